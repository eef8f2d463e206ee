package api

import (
	"context"
	"io"
	"iter"
	"time"

	"kiln"
)

// Catalog is what the door asks the book of functions. Its errors are *kiln.Error
// with the texts that a client sees; what it returns is shared and never changed.
type Catalog interface {
	CreateFunction(ctx context.Context, n NewFunction) (*kiln.Version, error)
	Function(id kiln.FunctionID) (*kiln.Function, error)
	Version(id kiln.FunctionID, q kiln.Qualifier) (*kiln.Version, error)
	Functions(scope kiln.Scope) []*kiln.Version   // each function's $LATEST, by name
	AllVersions(scope kiln.Scope) []*kiln.Version // by name, $LATEST first
	Versions(id kiln.FunctionID) ([]*kiln.Version, error)

	UpdateCode(ctx context.Context, id kiln.FunctionID, u CodeUpdate) (*kiln.Version, error)
	UpdateConfig(ctx context.Context, id kiln.FunctionID, revisionID string, change func(*kiln.Config) error) (*kiln.Version, error)
	DeleteFunction(ctx context.Context, id kiln.FunctionID) error
	DeleteVersion(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier) error
	Publish(ctx context.Context, id kiln.FunctionID, p Publication) (*kiln.Version, error)
	// SetRuntimeUpdates says when a version, $LATEST without a qualifier, may get another
	// release of its runtime.
	SetRuntimeUpdates(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, u kiln.RuntimeUpdates) (*kiln.Version, error)
	SetReserved(ctx context.Context, id kiln.FunctionID, n *int) error
	// ChangeFunction edits what is said of a function as a whole: its tags, and whether it
	// may be in a loop.
	ChangeFunction(ctx context.Context, id kiln.FunctionID, change func(*kiln.Function) error) error

	CreateAlias(ctx context.Context, a kiln.Alias) (*kiln.Alias, error)
	Alias(id kiln.FunctionID, name string) (*kiln.Alias, error)
	Aliases(id kiln.FunctionID, version string) ([]*kiln.Alias, error)
	UpdateAlias(ctx context.Context, id kiln.FunctionID, name, revisionID string, change func(*kiln.Alias) error) (*kiln.Alias, error)
	DeleteAlias(ctx context.Context, id kiln.FunctionID, name string) error

	// Policy gives the policy of a function (no qualifier), a version or an alias; nil
	// when it has none.
	Policy(id kiln.FunctionID, q kiln.Qualifier) (*kiln.Policy, error)
	// ChangePolicy lets change make the next document of a policy, "" for none, from the
	// one that is there.
	ChangePolicy(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, revisionID string, change func(document string) (string, error)) (*kiln.Policy, error)

	// PublishLayer adds a version to a layer, which need not be there before.
	PublishLayer(ctx context.Context, n NewLayer) (*kiln.LayerVersion, error)
	LayerVersion(id kiln.LayerID, number int) (*kiln.LayerVersion, error)
	LayerVersions(id kiln.LayerID) []*kiln.LayerVersion // the newest first
	Layers(scope kiln.Scope) [][]*kiln.LayerVersion     // each layer's versions, by name
	DeleteLayerVersion(ctx context.Context, id kiln.LayerID, number int) error
	ChangeLayerPolicy(ctx context.Context, id kiln.LayerID, number int, revisionID string, change func(*kiln.LayerPolicy) error) (*kiln.LayerVersion, error)

	// Package opens the code of a version by its digest, whatever became of the
	// version meanwhile.
	Package(ctx context.Context, v *kiln.Version) (io.ReadCloser, int64, error)
}

// Developer is an optional power of a catalog: it shows the files of a directory of
// this host in the place of a function's package for a while, to somebody who proves
// that he may write there.
type Developer interface {
	Bind(id kiln.FunctionID, directory, proof string) (Binding, error)
}

// Binding is a function under development.
type Binding interface {
	// Changed lets later calls run the files as they are now, and gives the number of
	// that generation.
	Changed(directory, proof string) (int, error)
	// Release gives the function its package back.
	Release()
}

// NewFunction is a function to be made.
type NewFunction struct {
	ID      kiln.FunctionID
	Config  kiln.Config
	Zip     []byte
	Object  *kiln.S3Object // where the package is, when it is not Zip
	Image   string         // the reference of the image, when the function is one
	Tags    map[string]string
	Publish bool
}

// NewLayer is a layer version to be made.
type NewLayer struct {
	ID            kiln.LayerID
	Zip           []byte
	Object        *kiln.S3Object // where the package is, when it is not Zip
	Description   string
	License       string
	Runtimes      []string
	Architectures []string
}

// CodeUpdate is new code for $LATEST.
type CodeUpdate struct {
	Zip          []byte
	Object       *kiln.S3Object // where the package is, when it is not Zip
	Image        string         // the reference of the image, when the function is one
	Architecture string         // "" keeps it
	Publish      bool
	DryRun       bool
	RevisionID   string // "" is any
}

// Publication is a request to number $LATEST.
type Publication struct {
	Description *string // nil keeps the one of $LATEST
	CodeSHA256  string  // base64; "" is any
	RevisionID  string  // "" is any
}

// Invoker runs functions. Ending ctx ends the waiting for a place to run; a function
// that has begun goes on.
type Invoker interface {
	Invoke(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error)
	// Resolve answers a dry run: the error that Invoke would give before it runs
	// anything, or nil.
	Resolve(id kiln.FunctionID, q kiln.Qualifier) (kiln.Target, error)
}

// Logs is the store of what functions wrote.
type Logs interface {
	Read(q LogQuery) ([]LogRecord, error)
	// Follow gives what Read gives and goes on, without a gap, with what is written
	// from then on, until ctx ends.
	Follow(ctx context.Context, q LogQuery) iter.Seq[LogRecord]
}

// LogQuery chooses records; empty members choose all.
type LogQuery struct {
	Scope     kiln.Scope
	Group     string
	Stream    string
	RequestID string
	Since     time.Time
	Limit     int // the last so many
}

// LogRecord is one line of a log, as the API of kiln sends it.
type LogRecord struct {
	Time      time.Time `json:"time"`
	Type      string    `json:"type"`
	Group     string    `json:"group"`
	Stream    string    `json:"stream"`
	Function  string    `json:"function,omitempty"`
	Version   string    `json:"version,omitempty"`
	RequestID string    `json:"requestId,omitempty"`
	Text      string    `json:"text"`
}

// Runtimes is the shelf of interpreters.
type Runtimes interface {
	List(ctx context.Context) []RuntimeEntry
	// Add fetches what serves a runtime and reports its progress in bytes; total is
	// 0 while it is not known.
	Add(ctx context.Context, identifier string, progress func(done, total int64)) error
	Remove(identifier string) error
	// Release names the exact release that serves a runtime, as the last part of
	// its ARN; "" when nothing serves it.
	Release(ctx context.Context, identifier, architecture string) string
}

// Newest is an optional power of a shelf: it looks at the runtimes of a family from
// the newest on and stops at the first that is ready, so that few interpreters are
// asked. It gives all that it looked at. The name of one runtime stands for it alone.
type Newest interface {
	Newest(ctx context.Context, family string) []RuntimeEntry
}

// RuntimeEntry is one runtime of the shelf, as the API of kiln sends it.
type RuntimeEntry struct {
	Identifier string `json:"identifier"`
	State      string `json:"state"` // ready, fetchable, missing, image
	Source     string `json:"source,omitempty"`
	How        string `json:"how,omitempty"`
	Deprecated string `json:"deprecated,omitempty"`
}

// EnvironmentInfo is one execution environment, as the API of kiln sends it.
type EnvironmentInfo struct {
	Worker      string    `json:"worker"`
	ID          string    `json:"id"`
	Function    string    `json:"function"` // qualified ARN of the version
	State       string    `json:"state"`
	Frozen      bool      `json:"frozen"`
	MemoryBytes int64     `json:"memoryBytes"`
	MemoryMB    int       `json:"memoryMB"` // configured
	Since       time.Time `json:"since"`    // of its state
	AgeSeconds  float64   `json:"ageSeconds"`
	Invocations int       `json:"invocations"`
}
