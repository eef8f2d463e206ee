package kiln

import (
	"strings"
	"time"
)

// Mapping is a standing order: read what a source has, and run a function with it.
type Mapping struct {
	Scope
	ID        string // a UUID
	Source    string // ARN of what is read
	Function  FunctionID
	Qualifier Qualifier
	Enabled   bool

	BatchSize      int           // records that one invocation gets at most
	Window         time.Duration // how long a batch may wait for more records
	Filters        []string      // event patterns of which a record must match one; none lets all through
	Partial        bool          // the function says which records failed
	MaxConcurrency int           // invocations at once; 0 is the platform's limit

	Tags     map[string]string
	Modified time.Time
	Deleting bool // it goes as soon as what runs is over

	// What the platform says of it; nothing of this is kept.
	State  MappingState
	Reason string // of the last transition
	Result string // what is wrong, "" when nothing is
}

// ARN gives the ARN of the mapping itself.
func (m *Mapping) ARN() string {
	return "arn:aws:lambda:" + m.Region + ":" + m.Account + ":event-source-mapping:" + m.ID
}

// FunctionARN gives the ARN of what is run.
func (m *Mapping) FunctionARN() string { return m.Function.QualifiedARN(m.Qualifier) }

// SourceService names the service that a source belongs to, as its ARN does.
func (m *Mapping) SourceService() string {
	if parts := strings.SplitN(m.Source, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		return parts[2]
	}
	return ""
}

// MappingState is where a mapping is in its life.
type MappingState string

// States of a mapping. Those that end in -ing pass by themselves.
const (
	MappingCreating  MappingState = "Creating"
	MappingEnabling  MappingState = "Enabling"
	MappingEnabled   MappingState = "Enabled"
	MappingDisabling MappingState = "Disabling"
	MappingDisabled  MappingState = "Disabled"
	MappingUpdating  MappingState = "Updating"
	MappingDeleting  MappingState = "Deleting"
)

// Limits of mappings, as AWS has them.
const (
	DefaultQueueBatch = 10
	MaxFIFOBatch      = 10
	MaxFilters        = 5
)
