package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/policy"
	"kiln/door/lambda"
)

// wish is what an operation is about: the action and the resource that a policy must
// allow, and the function when it is one.
type wish struct {
	auth.Act
	function  kiln.FunctionID // empty when it is about something else
	qualifier kiln.Qualifier
}

// actions are the operations whose action has another name.
var actions = map[string]string{
	"Invoke": "lambda:InvokeFunction", "InvokeWithResponseStream": "lambda:InvokeFunction", "GetLayerVersionByArn": "lambda:GetLayerVersion",
}

// unbound are the operations that have no resource although they name a function.
var unbound = map[string]bool{"CreateEventSourceMapping": true, "ListEventSourceMappings": true}

// permit refuses an operation that the caller's policies and those of the resource do
// not allow. It is lambda.Options.Permit: every operation passes it, and one that it
// does not know needs the permission for everything.
func (s *Server) permit(ctx context.Context, operation string, in any) error {
	if !s.gate.Verifies() {
		return nil
	}
	c := callOf(ctx)
	w, err := s.wish(c, operation, in)
	if err != nil {
		return err
	}
	if err := s.gate.Authorize(c.Identity, c.request, w.Act); err != nil {
		return s.fault(ctx, err)
	}
	if c.granted = w.Owner; strings.Contains(w.Resource, ":layer:") {
		c.layers = append(c.layers, w.Resource)
	}
	if err := s.permitLayers(c, in); err != nil {
		return err
	}
	return s.permitRole(c, in, w.function)
}

// permitLayers refuses layers for a function that the caller may not read.
func (s *Server) permitLayers(c *call, in any) error {
	var arns []string
	switch in := in.(type) {
	case *lambda.CreateFunctionRequest:
		arns = in.Layers
	case *lambda.UpdateFunctionConfigurationRequest:
		arns = in.Layers
	}
	for _, arn := range arns {
		a := auth.Act{Action: "lambda:GetLayerVersion", Resource: arn}
		if err := s.aimAtLayer(&a); err != nil {
			return err
		}
		if err := s.gate.Authorize(c.Identity, c.request, a); err != nil {
			return s.fault(c.request.Context(), err)
		}
		c.layers = append(c.layers, arn)
	}
	return nil
}

// wish says what an operation with its input is about.
func (s *Server) wish(c *call, operation string, in any) (*wish, error) {
	w := &wish{Act: auth.Act{Action: actions[operation], Resource: "*", Keys: policy.Context{}}}
	if w.Action == "" {
		w.Action = "lambda:" + operation
	}
	if c.room != nil && c.Caller != nil && c.Caller.Role != "" {
		if id, _ := c.room.environment.Function(); strings.HasSuffix(c.Caller.ARN, "/"+id.Name) {
			w.Keys["lambda:sourcefunctionarn"] = []string{id.ARN()}
		}
	}
	var name string
	var qualifier *string
	switch in := in.(type) { // the path of calls needs no reflection
	case *lambda.InvocationRequest:
		name, qualifier = in.FunctionName, in.Qualifier
	case *lambda.InvokeWithResponseStreamRequest:
		name, qualifier = in.FunctionName, in.Qualifier
	default:
		f := fields{reflect.ValueOf(in).Elem()}
		name, qualifier = f.text("FunctionName"), f.pointer("Qualifier")
		w.fill(c, f)
		if err := s.aimAtLayer(&w.Act); err != nil {
			return nil, err
		}
		if unbound[operation] {
			if ref, err := kiln.ParseReference(c.Scope, name); err == nil {
				w.Keys["lambda:functionarn"] = []string{ref.ID.QualifiedARN(ref.Qualifier)}
			}
			w.Resource, name = "*", ""
		} else if name == "" && strings.HasPrefix(w.Resource, "arn:") {
			if _, err := kiln.ParseReference(c.Scope, w.Resource); err == nil {
				name = w.Resource // of tags and whole policies: a function by its ARN
			}
		}
	}
	if name == "" {
		return w, nil
	}
	ref, err := kiln.ParseReference(c.Scope, name)
	if err != nil {
		return w, nil // refused by the operation; until then it needs everything
	}
	if qualifier != nil {
		ref.Qualifier = kiln.Qualifier(*qualifier)
	}
	return w, s.aim(w, ref)
}

// aim makes a wish one about a function.
func (s *Server) aim(w *wish, ref kiln.Reference) error {
	w.function, w.qualifier = ref.ID, ref.Qualifier
	w.Resource, w.Owner = ref.ID.QualifiedARN(ref.Qualifier), ref.ID.Account
	w.Keys["lambda:functionarn"] = []string{w.Resource}
	if fn, err := s.o.Catalog.Function(ref.ID); err == nil {
		for k, v := range fn.Tags {
			w.Keys["aws:resourcetag/"+strings.ToLower(k)] = []string{v}
		}
	}
	var err error
	w.Policy, err = s.resources.Of(ref.ID, ref.Qualifier)
	return err
}

// aimAtLayer gives an act about a layer version, or a layer, its owner and its policy.
func (s *Server) aimAtLayer(a *auth.Act) error {
	id, number, ok := kiln.ParseLayerARN(a.Resource)
	if !ok {
		return nil
	}
	a.Owner = id.Account
	if number == 0 {
		return nil
	}
	v, err := s.o.Catalog.LayerVersion(id, number)
	if err != nil {
		return nil // which only those are told who may ask for it
	}
	text := v.PolicyDocument()
	if text == "" {
		return nil
	}
	a.Policy, err = policy.Parse(policy.Resource, []byte(text))
	return err
}

// fields reads the members of an input by their names.
type fields struct{ reflect.Value }

// pointer gives a member that may be absent.
func (f fields) pointer(name string) *string {
	switch v := f.FieldByName(name); {
	case !v.IsValid():
	case v.Kind() == reflect.String:
		text := v.String()
		return &text
	case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.String && !v.IsNil():
		text := v.Elem().String()
		return &text
	}
	return nil
}

// text gives a member, "" for none.
func (f fields) text(name string) string { return value(f.pointer(name)) }

// fill sets the resource of an operation that is not about a function, and the keys that
// its members give.
func (w *wish) fill(c *call, f fields) {
	own := func(kind, name string) string {
		if strings.HasPrefix(name, "arn:") {
			return name
		}
		return "arn:aws:lambda:" + c.Region + ":" + c.Account + ":" + kind + ":" + name
	}
	switch {
	case f.text("FunctionName") != "":
	case f.text("LayerName") != "":
		w.Resource = own("layer", f.text("LayerName"))
		if n := f.FieldByName("VersionNumber"); n.IsValid() && n.Kind() == reflect.Int64 {
			w.Resource += ":" + strconv.FormatInt(n.Int(), 10)
		}
	case f.text("UUID") != "":
		w.Resource = own("event-source-mapping", f.text("UUID"))
	case f.text("CapacityProviderName") != "":
		w.Resource = own("capacity-provider", f.text("CapacityProviderName"))
	default:
		for _, member := range []string{"Arn", "Resource", "ResourceArn", "CodeSigningConfigArn", "DurableExecutionArn"} {
			if arn := f.text(member); arn != "" {
				w.Resource = arn
				if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
					w.Owner = parts[4]
				}
			}
		}
	}
	for member, key := range map[string]string{"Principal": "lambda:principal", "FunctionUrlAuthType": "lambda:functionurlauthtype", "AuthType": "lambda:functionurlauthtype",
		"EventSourceToken": "lambda:eventsourcetoken", "CodeSigningConfigArn": "lambda:codesigningconfigarn"} {
		if v := f.text(member); v != "" {
			w.Keys[key] = []string{v}
		}
	}
	if layers, ok := f.member("Layers").([]string); ok && len(layers) > 0 {
		w.Keys["lambda:layer"] = layers
	}
	if tags, ok := f.member("Tags").(map[string]string); ok {
		for k, v := range tags {
			w.Keys["aws:requesttag/"+strings.ToLower(k)] = []string{v}
			w.Keys["aws:tagkeys"] = append(w.Keys["aws:tagkeys"], k)
		}
	}
	if vpc, ok := f.member("VpcConfig").(*lambda.VpcConfig); ok && vpc != nil {
		w.Keys["lambda:subnetids"], w.Keys["lambda:securitygroupids"] = vpc.SubnetIds, vpc.SecurityGroupIds
		if len(vpc.SubnetIds) > 0 {
			w.Keys["lambda:vpcids"] = []string{kiln.VPCID}
		}
	}
}

// member gives a member as it is, nil for none.
func (f fields) member(name string) any {
	if v := f.FieldByName(name); v.IsValid() {
		return v.Interface()
	}
	return nil
}

// permitRole refuses a role that the caller may not hand to a function, or that does not
// let functions assume it.
func (s *Server) permitRole(c *call, in any, of kiln.FunctionID) error {
	var role *string
	switch in := in.(type) {
	case *lambda.CreateFunctionRequest:
		role = in.Role
	case *lambda.UpdateFunctionConfigurationRequest:
		role = in.Role
	}
	if role == nil || s.o.Accounts == nil {
		return nil
	}
	if parts := strings.SplitN(*role, ":", 6); len(parts) == 6 && parts[4] != of.Account {
		return &lambda.Error{Code: lambda.AccessDeniedException, Message: "Cross-account pass role is not allowed."}
	}
	pass := auth.Act{Action: "iam:PassRole", Resource: *role, Owner: of.Account, Keys: policy.Context{"iam:passedtoservice": {"lambda.amazonaws.com"}}}
	if err := s.gate.Authorize(c.Identity, c.request, pass); err != nil {
		return s.fault(c.request.Context(), err)
	}
	r := s.o.Accounts.RoleByARN(*role)
	service := &policy.Question{Principal: policy.Principal{Service: "lambda.amazonaws.com"}, Action: "sts:AssumeRole", Resource: *role, Owner: of.Account,
		Keys: policy.Context{"aws:sourceaccount": {of.Account}}}
	if r == nil || !policy.Trusts(service, r.TrustPolicy(), policy.Policies{}) {
		return invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	return nil
}

// sealed is a body that knows whether it is the one that was signed.
type sealed struct {
	io.ReadCloser
	hash hash.Hash
	seal *auth.Seal
	fail func(error) error
}

// Read reads and takes note.
func (b *sealed) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.hash.Write(p[:n])
	return n, err
}

// Genuine reads what is left of the body, up to a bound, and says whether all of it is
// what was signed.
func (b *sealed) Genuine() error {
	rest := io.LimitReader(b, lambda.DefaultMaxOther+1)
	n, err := io.Copy(io.Discard, rest)
	if err == nil && n > lambda.DefaultMaxOther {
		err = &lambda.Error{Code: lambda.RequestEntityTooLargeException, Message: "The request has a body that its operation does not read, and which is too long."}
	}
	if err != nil {
		var known *lambda.Error
		if errors.As(err, &known) {
			return err
		}
		return &lambda.Error{Code: lambda.SerializationException, Message: "request body could not be read"}
	}
	var sum [sha256.Size]byte
	b.hash.Sum(sum[:0])
	if err := b.seal.Check(sum); err != nil {
		return b.fail(err)
	}
	return nil
}

// unseal makes the body of a request one that is held to its signature. Rows that are
// not the Lambda API's have it read and judged before they see it: theirs are short.
func (s *Server) unseal(r *http.Request, seal *auth.Seal, whole bool) error {
	if seal == nil {
		return nil
	}
	body := &sealed{r.Body, sha256.New(), seal, func(err error) error { return s.fault(r.Context(), err) }}
	if r.Body == nil {
		body.ReadCloser = http.NoBody
	}
	if !whole {
		r.Body = body
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(body, maxOwnBody+1))
	if err != nil || len(text) > maxOwnBody {
		return &lambda.Error{Code: lambda.RequestEntityTooLargeException, Message: "The body of the request is longer than " + strconv.Itoa(maxOwnBody) + " bytes, or ended early."}
	}
	if err := body.Genuine(); err != nil {
		return err
	}
	r.Body = io.NopCloser(strings.NewReader(string(text)))
	return nil
}

// maxOwnBody is how long the body of a request of kiln's own API, or of a small
// neighbour, may be.
const maxOwnBody = 1 << 20
