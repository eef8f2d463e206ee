package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"kiln"
)

// The keys of the book:
//
//	format                            the format of all records
//	f/<account>/<region>/<name>       a function
//	v/<account>/<region>/<name>/<n>   a version, n has ten digits, 0 is $LATEST
//	a/<account>/<region>/<name>/<a>   an alias
//	u/<account>/<region>/<name>/<a>   the URL of an alias, or of $LATEST for the function's own
//	p/<account>/<region>/<name>/<q>   the policy of a version or an alias, or of $LATEST for the function's own
//	c/<account>/<region>/<name>/<q>   provisioned concurrency of a version or an alias
//	e/<account>/<region>/<name>/<q>   how events of a version or an alias are run, or of $LATEST for the function's own
//	n/<account>/<region>/<name>       a layer
//	l/<account>/<region>/<name>/<n>   a version of it, n has ten digits
//	m/<account>/<region>/<uuid>       a mapping
const (
	formatKey = "format"
	// format is what this program writes and the highest that it reads. It grows
	// with every member that is added to a record: an older program would read over
	// the member and lose it with its next write.
	format = 8
)

func functionKey(id kiln.FunctionID) string { return "f/" + id.String() }

func versionKey(id kiln.FunctionID, number int) string {
	return fmt.Sprintf("v/%s/%010d", id, number)
}

func aliasKey(id kiln.FunctionID, name string) string { return "a/" + id.String() + "/" + name }

// functionRecord is a function as it is stored.
type functionRecord struct {
	Created  time.Time         `json:"created"`
	Reserved *int              `json:"reserved,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Last     int               `json:"last,omitempty"`
	Loops    bool              `json:"loops,omitempty"`
}

// versionRecord is a version as it is stored. Serving and Runs are what edition
// says of them; Serving is absent when the version itself serves.
type versionRecord struct {
	Content  content   `json:"content"`
	Status   status    `json:"status"`
	Revision string    `json:"revisionId"`
	Modified time.Time `json:"modified"`
	Runs     string    `json:"runs,omitempty"`
	Source   string    `json:"source,omitempty"`
	Serving  *serving  `json:"serving,omitempty"`
	Updates  updates   `json:"runtimeUpdates,omitzero"`
}

// updates is kiln.RuntimeUpdates as it is stored.
type updates struct {
	Mode    kiln.UpdateMode `json:"mode,omitempty"`
	Release string          `json:"release,omitempty"`
}

type serving struct {
	Content  content   `json:"content"`
	Revision string    `json:"revisionId"`
	Modified time.Time `json:"modified"`
}

// content is the code and configuration of a version: what makes two versions the
// same.
type content struct {
	Description  string            `json:"description,omitempty"`
	Runtime      string            `json:"runtime,omitempty"`
	Handler      string            `json:"handler,omitempty"`
	Role         string            `json:"role,omitempty"`
	Timeout      time.Duration     `json:"timeout,omitempty"`
	MemoryMB     int               `json:"memory,omitempty"`
	StorageMB    int               `json:"storage,omitempty"`
	Architecture string            `json:"architecture,omitempty"`
	Environment  map[string]string `json:"environment"` // null and {} differ
	LogGroup     string            `json:"logGroup,omitempty"`
	NoOutbound   bool              `json:"noOutbound,omitempty"`
	SigTERM      bool              `json:"sigTERM,omitempty"`
	Debug        bool              `json:"debug,omitempty"`
	KMSKey       string            `json:"kmsKey,omitempty"`
	CPUMode      string            `json:"cpuMode,omitempty"`
	PerTenant    bool              `json:"perTenant,omitempty"`
	DeadLetters  string            `json:"deadLetters,omitempty"`
	Logging      logging           `json:"logging,omitzero"`
	FileSystem   fileSystem        `json:"fileSystem,omitzero"`
	VPC          vpc               `json:"vpc,omitzero"`
	Layers       []layerUse        `json:"layers,omitempty"`
	PackageType  string            `json:"packageType,omitempty"`
	Image        image             `json:"image,omitzero"`
	Reference    string            `json:"imageReference,omitempty"`
	Resolved     string            `json:"imageResolved,omitempty"`
	SHA256       string            `json:"sha256"`
	Size         int64             `json:"size"`
	Unzipped     int64             `json:"unzipped"`
}

// logging is kiln.Logging as it is stored.
type logging struct {
	Format           string `json:"format,omitempty"`
	ApplicationLevel string `json:"application,omitempty"`
	SystemLevel      string `json:"system,omitempty"`
}

// fileSystem is kiln.FileSystemUse as it is stored.
type fileSystem struct {
	ARN  string `json:"arn,omitempty"`
	Path string `json:"path,omitempty"`
}

// vpc is kiln.VPCUse as it is stored.
type vpc struct {
	Subnets        []string `json:"subnets,omitempty"`
	SecurityGroups []string `json:"securityGroups,omitempty"`
}

// IsZero reports whether a version is in no VPC.
func (v vpc) IsZero() bool { return kiln.VPCUse(v).IsZero() }

// image is kiln.ImageConfig as it is stored.
type image struct {
	EntryPoint       []string `json:"entryPoint,omitempty"`
	Command          []string `json:"command,omitempty"`
	WorkingDirectory string   `json:"workingDirectory,omitempty"`
}

// IsZero reports whether nothing of an image is replaced.
func (i image) IsZero() bool { return kiln.ImageConfig(i).IsZero() }

type status struct {
	State            string `json:"state"`
	Reason           string `json:"reason,omitempty"`
	ReasonCode       string `json:"reasonCode,omitempty"`
	Update           string `json:"update,omitempty"`
	UpdateReason     string `json:"updateReason,omitempty"`
	UpdateReasonCode string `json:"updateReasonCode,omitempty"`
}

type aliasRecord struct {
	Version     string             `json:"version"`
	Description string             `json:"description,omitempty"`
	Weights     map[string]float64 `json:"weights,omitempty"`
	Revision    string             `json:"revisionId"`
}

func contentOf(v *kiln.Version) content {
	c := v.Config
	return content{
		Description: c.Description, Runtime: c.Runtime, Handler: c.Handler, Role: c.Role, Timeout: c.Timeout, MemoryMB: c.MemoryMB,
		StorageMB: c.StorageMB, Architecture: c.Architecture, Environment: c.Environment, LogGroup: c.LogGroup, NoOutbound: c.NoOutbound, CPUMode: c.CPUMode, SigTERM: c.SigTERM, Debug: c.Debug, KMSKey: c.KMSKey, PerTenant: c.PerTenant, DeadLetters: c.DeadLetters,
		Logging: logging(c.Logging), Layers: layersOf(c.Layers), FileSystem: fileSystem(c.FileSystem), VPC: vpc(c.VPC),
		PackageType: c.PackageType, Image: image(c.Image), Reference: v.Package.Image, Resolved: v.Package.ImageResolved,
		SHA256: v.Package.SHA256, Size: v.Package.Size, Unzipped: v.Package.UnzippedSize,
	}
}

func (c content) version(id kiln.FunctionID, number int) *kiln.Version {
	return &kiln.Version{
		Function: id, Number: number,
		Config: kiln.Config{
			Description: c.Description, Runtime: c.Runtime, Handler: c.Handler, Role: c.Role, Timeout: c.Timeout, MemoryMB: c.MemoryMB,
			StorageMB: c.StorageMB, Architecture: c.Architecture, Environment: c.Environment, LogGroup: c.LogGroup, NoOutbound: c.NoOutbound, CPUMode: c.CPUMode, SigTERM: c.SigTERM, Debug: c.Debug, KMSKey: c.KMSKey, PerTenant: c.PerTenant, DeadLetters: c.DeadLetters,
			Logging: kiln.Logging(c.Logging), Layers: layerUses(c.Layers), FileSystem: kiln.FileSystemUse(c.FileSystem), VPC: kiln.VPCUse(c.VPC),
			PackageType: c.PackageType, Image: kiln.ImageConfig(c.Image),
		},
		Package: kiln.Package{SHA256: c.SHA256, Size: c.Size, UnzippedSize: c.Unzipped, Image: c.Reference, ImageResolved: c.Resolved},
	}
}

// digest names a content: equal contents have equal digests.
func (c content) digest() string { return digestOf(c) }

// revisionOf gives the revision of a version of a function that was created at a
// moment: a function of the same name that is created later has other revisions.
func revisionOf(fn *kiln.Function, v *kiln.Version) kiln.Revision {
	return kiln.Revision(digestOf(struct {
		ID      string
		Created int64
		Number  int
		Content content
		Release string `json:",omitempty"` // environments of another one must not serve
	}{fn.ID.String(), fn.Created.UnixNano(), v.Number, contentOf(v), v.Updates.Release}))
}

func digestOf(v any) string {
	sum := sha256.Sum256(encode(v))
	return hex.EncodeToString(sum[:16])
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("catalog: record cannot be encoded: " + err.Error()) // only strings, numbers, maps and times are in it
	}
	return text
}

func (p *page) functionValue() []byte {
	return encode(functionRecord{p.fn.Created, p.fn.Reserved, p.fn.Tags, p.last, p.fn.Loops})
}

func (e *edition) value() []byte {
	v := e.version
	r := versionRecord{
		Content:  contentOf(v),
		Status:   status{string(v.Status.State), v.Status.Reason, v.Status.ReasonCode, string(v.Status.Update), v.Status.UpdateReason, v.Status.UpdateReasonCode},
		Revision: v.RevisionID, Modified: v.LastModified, Runs: string(e.runs), Source: e.source, Updates: updates(v.Updates),
	}
	if e.serving != nil && e.serving != v {
		r.Serving = &serving{contentOf(e.serving), e.serving.RevisionID, e.serving.LastModified}
	}
	return encode(r)
}

func (a *alias) value() []byte {
	return encode(aliasRecord{a.alias.Version, a.alias.Description, a.alias.Weights, a.alias.RevisionID})
}

func decodeRecord(r Record, same interner) (any, error) {
	parts := strings.Split(r.Key, "/")
	if len(parts) < 4 {
		return nil, fmt.Errorf("the key has no meaning")
	}
	id := kiln.FunctionID{Scope: kiln.Scope{Account: same.of(parts[1]), Region: same.of(parts[2])}, Name: same.of(parts[3])}
	switch {
	case parts[0] == "f" && len(parts) == 4:
		var f functionRecord
		if err := json.Unmarshal(r.Value, &f); err != nil {
			return nil, err
		}
		fn := &kiln.Function{ID: id, Created: f.Created, Reserved: f.Reserved, Tags: f.Tags, Loops: f.Loops}
		return &page{fn: fn, last: f.Last, aliases: map[string]*alias{}, revision: r.Revision}, nil
	case parts[0] == "v" && len(parts) == 5:
		number, err := strconv.Atoi(parts[4])
		if err != nil {
			return nil, err
		}
		return decodeVersion(r, id, number, same)
	case parts[0] == "m" && len(parts) == 4:
		return decodeMapping(r, id.Scope, parts[3])
	case parts[0] == "n" && len(parts) == 4:
		return decodeLayer(r, kiln.LayerID(id), "")
	case parts[0] == "l" && len(parts) == 5:
		return decodeLayer(r, kiln.LayerID(id), parts[4])
	case parts[0] == "u" && len(parts) == 5:
		var u urlRecord
		if err := json.Unmarshal(r.Value, &u); err != nil {
			return nil, err
		}
		return addressOf(u, id, parts[4], r.Revision), nil
	case parts[0] == "p" && len(parts) == 5:
		var p policyRecord
		if err := json.Unmarshal(r.Value, &p); err != nil {
			return nil, err
		}
		return rulePartOf(p, id, parts[4], r.Revision), nil
	case parts[0] == "c" && len(parts) == 5:
		var c provisionRecord
		if err := json.Unmarshal(r.Value, &c); err != nil {
			return nil, err
		}
		return provisionPartOf(c, id, parts[4], r.Revision), nil
	case parts[0] == "e" && len(parts) == 5:
		var e eventRecord
		if err := json.Unmarshal(r.Value, &e); err != nil {
			return nil, err
		}
		return turnoutOf(e, id, parts[4], r.Revision), nil
	case parts[0] == "a" && len(parts) == 5:
		var a aliasRecord
		if err := json.Unmarshal(r.Value, &a); err != nil {
			return nil, err
		}
		return newAlias(&kiln.Alias{Function: id, Name: parts[4], Version: a.Version, Description: a.Description, Weights: a.Weights, RevisionID: a.Revision}, r.Revision)
	}
	return nil, fmt.Errorf("the key has no meaning")
}

func decodeVersion(r Record, id kiln.FunctionID, number int, same interner) (*edition, error) {
	var s versionRecord
	if err := json.Unmarshal(r.Value, &s); err != nil {
		return nil, err
	}
	same.content(&s.Content)
	v := s.Content.version(id, number)
	v.RevisionID, v.LastModified, v.Updates = s.Revision, s.Modified, kiln.RuntimeUpdates(s.Updates)
	v.Status = kiln.Status{
		State: kiln.State(same.of(s.Status.State)), Reason: same.of(s.Status.Reason), ReasonCode: same.of(s.Status.ReasonCode),
		Update: kiln.UpdateStatus(same.of(s.Status.Update)), UpdateReason: same.of(s.Status.UpdateReason), UpdateReasonCode: same.of(s.Status.UpdateReasonCode),
	}
	e := &edition{version: v, runs: kiln.Revision(s.Runs), source: s.Source, stored: r.Revision}
	switch {
	case s.Serving != nil:
		same.content(&s.Serving.Content)
		e.serving = s.Serving.Content.version(id, number)
		e.serving.RevisionID, e.serving.LastModified, e.serving.Updates = s.Serving.Revision, s.Serving.Modified, v.Updates
		e.serving.Status = kiln.Status{State: kiln.Active, Update: kiln.Successful}
	case s.Runs != "":
		e.serving = v
	}
	return e, nil
}

// interner keeps one copy of strings that many records share.
type interner map[string]string

func (in interner) of(s string) string {
	if known, ok := in[s]; ok {
		return known
	}
	in[s] = s
	return s
}

func (in interner) content(c *content) {
	for _, s := range []*string{&c.Description, &c.Runtime, &c.Handler, &c.Role, &c.Architecture, &c.LogGroup, &c.Logging.Format, &c.Logging.ApplicationLevel, &c.Logging.SystemLevel, &c.SHA256} {
		*s = in.of(*s)
	}
	for i := range c.Layers {
		c.Layers[i].ARN, c.Layers[i].SHA256 = in.of(c.Layers[i].ARN), in.of(c.Layers[i].SHA256)
	}
}
