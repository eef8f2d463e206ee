package api

import (
	"context"
	"strings"
	"time"

	"kiln"
	"kiln/door/lambda"
)

// Mappings are the event source mappings. Every pointer that they give is a snapshot.
type Mappings interface {
	// Create makes a mapping, which is being created then.
	Create(ctx context.Context, m kiln.Mapping) (*kiln.Mapping, error)
	// Update lets change edit a copy. A mapping between two states is a Conflict.
	Update(ctx context.Context, in kiln.Scope, id string, change func(*kiln.Mapping) error) (*kiln.Mapping, error)
	// Delete begins to take a mapping away. A mapping between two states is a Conflict.
	Delete(ctx context.Context, in kiln.Scope, id string) (*kiln.Mapping, error)
	// Retag lets change edit the tags of a mapping.
	Retag(ctx context.Context, in kiln.Scope, id string, change func(map[string]string) error) error
	Mapping(in kiln.Scope, id string) (*kiln.Mapping, error)
	Mappings(in kiln.Scope) []*kiln.Mapping // by ID
}

// inUse has what is between two states as AWS has it: the same code of kiln is a
// ResourceConflictException elsewhere.
var inUse = map[kiln.Code]string{kiln.Conflict: lambda.ResourceInUseException}

// mappings gives the event source mappings, or says that there are none here.
func (s service) mappings() (Mappings, error) {
	if s.o.Mappings == nil {
		return nil, &lambda.Error{Code: lambda.NotImplementedException, Message: "This server has no event source mappings."}
	}
	return s.o.Mappings, nil
}

// mappingID reads the name of a mapping: its UUID, or its ARN.
func (c *call) mappingID(text string) string {
	return strings.TrimPrefix(text, "arn:aws:lambda:"+c.Region+":"+c.Account+":event-source-mapping:")
}

// mappingConfig writes a mapping.
func mappingConfig(m *kiln.Mapping) *lambda.EventSourceMappingConfiguration {
	arn, function, state := m.ARN(), m.FunctionARN(), string(m.State)
	batch, window := int32(m.BatchSize), int32(m.Window/time.Second)
	out := &lambda.EventSourceMappingConfiguration{
		UUID: &m.ID, EventSourceMappingArn: &arn, EventSourceArn: &m.Source, FunctionArn: &function, BatchSize: &batch, MaximumBatchingWindowInSeconds: &window,
		State: &state, StateTransitionReason: &m.Reason, LastProcessingResult: textOrNil(m.Result), LastModified: &m.Modified, FunctionResponseTypes: []string{},
	}
	if m.Partial {
		out.FunctionResponseTypes = []string{lambda.FunctionResponseTypeReportBatchItemFailures}
	}
	if len(m.Filters) > 0 {
		out.FilterCriteria = &lambda.FilterCriteria{}
		for i := range m.Filters {
			out.FilterCriteria.Filters = append(out.FilterCriteria.Filters, lambda.Filter{Pattern: &m.Filters[i]})
		}
	}
	if m.MaxConcurrency > 0 {
		n := int32(m.MaxConcurrency)
		out.ScalingConfig = &lambda.ScalingConfig{MaximumConcurrency: &n}
	}
	return out
}

// mappingSettings are the members that making and changing a mapping have in common.
type mappingSettings struct {
	enabled   *bool
	batch     *int32
	window    *int32
	filters   *lambda.FilterCriteria
	scaling   *lambda.ScalingConfig
	responses []string // nil was not sent
}

// apply puts what was sent into a mapping, and refuses what does not go together.
func (w mappingSettings) apply(m *kiln.Mapping) error {
	if w.enabled != nil {
		m.Enabled = *w.enabled
	}
	if w.batch != nil {
		m.BatchSize = int(*w.batch)
	}
	if w.window != nil {
		m.Window = time.Duration(*w.window) * time.Second
	}
	if w.filters != nil {
		m.Filters = nil
		for _, f := range w.filters.Filters {
			m.Filters = append(m.Filters, value(f.Pattern))
		}
	}
	if w.scaling != nil {
		m.MaxConcurrency = int(value(w.scaling.MaximumConcurrency))
	}
	if w.responses != nil {
		m.Partial = len(w.responses) > 0 // the model knows one
	}
	if m.BatchSize > kiln.DefaultQueueBatch && m.Window == 0 && !strings.HasSuffix(m.Source, ".fifo") {
		return invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")
	}
	return nil
}

// foreign are members that only other sources than queues have.
func foreign(start *string, at *time.Time, to *lambda.DestinationConfig, age, retries, parallel, tumbling *int32, bisect *bool,
	access []lambda.SourceAccessConfiguration, topics, queues []string) []ask {
	return []ask{
		{"StartingPosition", value(start) != ""},
		{"StartingPositionTimestamp", at != nil && !at.IsZero()},
		{"DestinationConfig", to != nil && (to.OnFailure != nil && value(to.OnFailure.Destination) != "" || to.OnSuccess != nil && value(to.OnSuccess.Destination) != "")},
		{"MaximumRecordAgeInSeconds", age != nil && *age != -1},
		{"MaximumRetryAttempts", retries != nil && *retries != -1},
		{"ParallelizationFactor", value(parallel) > 1},
		{"TumblingWindowInSeconds", value(tumbling) != 0},
		{"BisectBatchOnFunctionError", value(bisect)},
		{"SourceAccessConfigurations", len(access) > 0},
		{"Topics", len(topics) > 0},
		{"Queues", len(queues) > 0},
	}
}

// refuseForeign answers for the first member that another kind of source would have.
func refuseForeign(asks []ask) error {
	for _, a := range asks {
		if a.asked {
			return invalid("Unsupported " + a.member + " parameter for given event source mapping type.")
		}
	}
	return nil
}

// mappingAsks are the members that kiln does not obey of any source.
func mappingAsks(kms *string, metrics *lambda.EventSourceMappingMetricsConfig, log *lambda.EventSourceMappingLoggingConfig, pollers *lambda.ProvisionedPollerConfig,
	kafka *lambda.AmazonManagedKafkaEventSourceConfig, ownKafka *lambda.SelfManagedKafkaEventSourceConfig, documents *lambda.DocumentDBEventSourceConfig) []ask {
	return []ask{
		{"KMSKeyArn", value(kms) != ""},
		{"MetricsConfig", metrics != nil && len(metrics.Metrics) > 0},
		{"LoggingConfig", log != nil && value(log.SystemLogLevel) != ""},
		{"ProvisionedPollerConfig", pollers != nil},
		{"AmazonManagedKafkaEventSourceConfig", kafka != nil},
		{"SelfManagedKafkaEventSourceConfig", ownKafka != nil},
		{"DocumentDBEventSourceConfig", documents != nil},
	}
}

// refuseCreateMapping refuses what CreateEventSourceMapping asks for and kiln would not
// obey.
func refuseCreateMapping(in *lambda.CreateEventSourceMappingRequest) error {
	asks := mappingAsks(in.KMSKeyArn, in.MetricsConfig, in.LoggingConfig, in.ProvisionedPollerConfig, in.AmazonManagedKafkaEventSourceConfig, in.SelfManagedKafkaEventSourceConfig, in.DocumentDBEventSourceConfig)
	if err := refuse(append(asks, ask{"SelfManagedEventSource", in.SelfManagedEventSource != nil && len(in.SelfManagedEventSource.Endpoints) > 0})); err != nil {
		return err
	}
	return refuseForeign(foreign(in.StartingPosition, in.StartingPositionTimestamp, in.DestinationConfig, in.MaximumRecordAgeInSeconds, in.MaximumRetryAttempts,
		in.ParallelizationFactor, in.TumblingWindowInSeconds, in.BisectBatchOnFunctionError, in.SourceAccessConfigurations, in.Topics, in.Queues))
}

// refuseUpdateMapping refuses what UpdateEventSourceMapping asks for and kiln would not
// obey.
func refuseUpdateMapping(in *lambda.UpdateEventSourceMappingRequest) error {
	if err := refuse(mappingAsks(in.KMSKeyArn, in.MetricsConfig, in.LoggingConfig, in.ProvisionedPollerConfig, in.AmazonManagedKafkaEventSourceConfig, in.SelfManagedKafkaEventSourceConfig, in.DocumentDBEventSourceConfig)); err != nil {
		return err
	}
	return refuseForeign(foreign(nil, nil, in.DestinationConfig, in.MaximumRecordAgeInSeconds, in.MaximumRetryAttempts,
		in.ParallelizationFactor, in.TumblingWindowInSeconds, in.BisectBatchOnFunctionError, in.SourceAccessConfigurations, nil, nil))
}
