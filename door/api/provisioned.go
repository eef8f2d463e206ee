package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// ProvisionCatalog keeps provisioned concurrency. It is an optional power of a catalog.
type ProvisionCatalog interface {
	PutProvision(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, n int) (kiln.ProvisionReport, error)
	Provision(id kiln.FunctionID, q kiln.Qualifier) (kiln.ProvisionReport, error)
	Provisions(id kiln.FunctionID) ([]kiln.ProvisionReport, error) // by qualifier
	DeleteProvision(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier) error
}

// provisionFault gives what the operations of provisioned concurrency declare for one that
// is not there.
func (s service) provisionFault(ctx context.Context, err error) error {
	if kiln.CodeOf(err) == kiln.NotFound && kiln.ReasonOf(err) != "" {
		return &lambda.Error{Code: lambda.ProvisionedConcurrencyConfigNotFoundException, Message: err.Error()}
	}
	return s.fault(ctx, err)
}

// provisionReference reads which provisioned concurrency a request is about.
func (s service) provisionReference(ctx context.Context, name string, qualifier *string) (ProvisionCatalog, kiln.FunctionID, kiln.Qualifier, error) {
	p, ok := s.o.Catalog.(ProvisionCatalog)
	if !ok {
		return nil, kiln.FunctionID{}, "", &lambda.Error{Code: lambda.NotImplementedException, Message: "This server keeps no environments ahead."}
	}
	id, q, err := callOf(ctx).reference(name, qualifier)
	return p, id, q, err
}

// provisionStatus says how far the environments are, in the words of the service.
func provisionStatus(p kiln.ProvisionReport) (status, reason *string) {
	switch {
	case p.Allocated >= p.Requested:
		return text(lambda.ProvisionedConcurrencyStatusEnumReady), nil
	case p.Failed:
		return text(lambda.ProvisionedConcurrencyStatusEnumFailed), text("FUNCTION_ERROR_INIT_FAILURE")
	}
	return text(lambda.ProvisionedConcurrencyStatusEnumInProgress), nil
}

func provisionTime(p kiln.ProvisionReport) *string {
	return text(p.Modified.UTC().Format("2006-01-02T15:04:05-0700"))
}

func number32(n int) *int32 {
	v := int32(n)
	return &v
}

// errNotProvisionable is recorded of $LATEST, which never has provisioned concurrency.
var errNotProvisionable = invalid("The function resource provided must be an alias or a published version.")

// PutProvisionedConcurrencyConfig keeps environments of a version or an alias
// initialised.
func (s service) PutProvisionedConcurrencyConfig(ctx context.Context, in *lambda.PutProvisionedConcurrencyConfigRequest) (*lambda.PutProvisionedConcurrencyConfigResponse, error) {
	c, id, q, err := s.provisionReference(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	p, err := c.PutProvision(ctx, id, q, int(*in.ProvisionedConcurrentExecutions))
	if err != nil {
		return nil, s.provisionFault(ctx, err)
	}
	status, reason := provisionStatus(p)
	return &lambda.PutProvisionedConcurrencyConfigResponse{
		RequestedProvisionedConcurrentExecutions: number32(p.Requested), AllocatedProvisionedConcurrentExecutions: number32(p.Allocated),
		AvailableProvisionedConcurrentExecutions: number32(p.Available), Status: status, StatusReason: reason, LastModified: provisionTime(p),
	}, nil
}

// GetProvisionedConcurrencyConfig tells how many environments are initialised.
func (s service) GetProvisionedConcurrencyConfig(ctx context.Context, in *lambda.GetProvisionedConcurrencyConfigRequest) (*lambda.GetProvisionedConcurrencyConfigResponse, error) {
	c, id, q, err := s.provisionReference(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if q == kiln.Latest {
		return nil, errNotProvisionable
	}
	p, err := c.Provision(id, q)
	if err != nil {
		return nil, s.provisionFault(ctx, err)
	}
	status, reason := provisionStatus(p)
	return &lambda.GetProvisionedConcurrencyConfigResponse{
		RequestedProvisionedConcurrentExecutions: number32(p.Requested), AllocatedProvisionedConcurrentExecutions: number32(p.Allocated),
		AvailableProvisionedConcurrentExecutions: number32(p.Available), Status: status, StatusReason: reason, LastModified: provisionTime(p),
	}, nil
}

// DeleteProvisionedConcurrencyConfig lets the environments go.
func (s service) DeleteProvisionedConcurrencyConfig(ctx context.Context, in *lambda.DeleteProvisionedConcurrencyConfigRequest) error {
	c, id, q, err := s.provisionReference(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return err
	}
	if q == kiln.Latest {
		return errNotProvisionable
	}
	if err := c.DeleteProvision(ctx, id, q); err != nil {
		return s.provisionFault(ctx, err)
	}
	return nil
}

// maxProvisions is how many descriptions a page of ListProvisionedConcurrencyConfigs has
// at most.
const maxProvisions = 50

// ListProvisionedConcurrencyConfigs gives a page of the provisioned concurrency of a
// function.
func (s service) ListProvisionedConcurrencyConfigs(ctx context.Context, in *lambda.ListProvisionedConcurrencyConfigsRequest) (*lambda.ListProvisionedConcurrencyConfigsResponse, error) {
	c, id, _, err := s.provisionReference(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	list, err := c.Provisions(id)
	if err != nil {
		return nil, s.provisionFault(ctx, err)
	}
	list, next, err := page(list, func(p kiln.ProvisionReport) string { return string(p.Qualifier) }, in.Marker, in.MaxItems, maxProvisions)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListProvisionedConcurrencyConfigsResponse{ProvisionedConcurrencyConfigs: make([]lambda.ProvisionedConcurrencyConfigListItem, 0, len(list)), NextMarker: next}
	for _, p := range list {
		status, reason := provisionStatus(p)
		out.ProvisionedConcurrencyConfigs = append(out.ProvisionedConcurrencyConfigs, lambda.ProvisionedConcurrencyConfigListItem{
			FunctionArn: text(id.QualifiedARN(p.Qualifier)), RequestedProvisionedConcurrentExecutions: number32(p.Requested),
			AllocatedProvisionedConcurrentExecutions: number32(p.Allocated), AvailableProvisionedConcurrentExecutions: number32(p.Available),
			Status: status, StatusReason: reason, LastModified: provisionTime(p),
		})
	}
	return out, nil
}
