package catalog

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kiln"
)

// The keys of the book:
//
//	format                            the format of all records
//	f/<account>/<region>/<name>       a function
//	v/<account>/<region>/<name>/<n>   a version, n has ten digits, 0 is $LATEST
//	a/<account>/<region>/<name>/<a>   an alias
const (
	formatKey = "format"
	// format is what this program writes and the highest that it reads.
	format = 1
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
	SHA256       string            `json:"sha256"`
	Size         int64             `json:"size"`
	Unzipped     int64             `json:"unzipped"`
}

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
		c.Description, c.Runtime, c.Handler, c.Role, c.Timeout, c.MemoryMB, c.StorageMB, c.Architecture, c.Environment, c.LogGroup,
		v.Package.SHA256, v.Package.Size, v.Package.UnzippedSize,
	}
}

func (c content) version(id kiln.FunctionID, number int) *kiln.Version {
	return &kiln.Version{
		Function: id, Number: number,
		Config: kiln.Config{
			Description: c.Description, Runtime: c.Runtime, Handler: c.Handler, Role: c.Role, Timeout: c.Timeout, MemoryMB: c.MemoryMB,
			StorageMB: c.StorageMB, Architecture: c.Architecture, Environment: c.Environment, LogGroup: c.LogGroup,
		},
		Package: kiln.Package{SHA256: c.SHA256, Size: c.Size, UnzippedSize: c.Unzipped},
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
	}{fn.ID.String(), fn.Created.UnixNano(), v.Number, contentOf(v)}))
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
	return encode(functionRecord{p.fn.Created, p.fn.Reserved, p.fn.Tags, p.last})
}

func (e *edition) value() []byte {
	v := e.version
	r := versionRecord{
		Content:  contentOf(v),
		Status:   status{string(v.Status.State), v.Status.Reason, v.Status.ReasonCode, string(v.Status.Update), v.Status.UpdateReason, v.Status.UpdateReasonCode},
		Revision: v.RevisionID, Modified: v.LastModified, Runs: string(e.runs), Source: e.source,
	}
	if e.serving != nil && e.serving != v {
		r.Serving = &serving{contentOf(e.serving), e.serving.RevisionID, e.serving.LastModified}
	}
	return encode(r)
}

func (a *alias) value() []byte {
	return encode(aliasRecord{a.alias.Version, a.alias.Description, a.alias.Weights, a.alias.RevisionID})
}

// load reads the book and gives the versions that wait for their package.
func (c *Catalog) load(ctx context.Context) ([]job, error) {
	known := false
	var records []Record
	err := c.o.Store.Scan(ctx, "", func(r Record) error {
		if r.Key != formatKey {
			records = append(records, r)
			return nil
		}
		known = true
		n, err := strconv.Atoi(string(r.Value))
		if err != nil || n < 1 {
			return fmt.Errorf("record %q does not name a format: %q", formatKey, r.Value)
		}
		if n > format {
			return fmt.Errorf("the book has format %d and this program reads up to %d: a newer kiln wrote it", n, format)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !known {
		if len(records) > 0 {
			return nil, fmt.Errorf("the record %q is missing", formatKey)
		}
		if _, err := c.o.Store.Commit(ctx, []Write{{Key: formatKey, Value: strconv.AppendInt(nil, format, 10)}}); err != nil {
			return nil, err
		}
	}
	pages, err := decode(records)
	if err != nil {
		return nil, err
	}
	c.book.fill(pages)
	var waiting []job
	for id, p := range pages {
		for _, e := range append([]*edition{p.latest}, p.editions...) {
			if isWaiting(e.version) {
				waiting = append(waiting, job{id, e.version.Number})
			}
		}
	}
	return waiting, nil
}

// decode makes pages of records, on all processors: a book of a million versions
// is read in seconds.
func decode(records []Record) (map[kiln.FunctionID]*page, error) {
	parts := make([]any, len(records)) // *page, *edition or *alias
	errs := make([]error, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	size := len(records)/len(errs) + 1
	for n := range errs {
		all.Go(func() {
			same := interner{}
			for i := n * size; i < min((n+1)*size, len(records)); i++ {
				part, err := decodeRecord(records[i], same)
				if err != nil {
					errs[n] = fmt.Errorf("record %q: %w", records[i].Key, err)
					return
				}
				parts[i] = part
			}
		})
	}
	all.Wait()
	if err := cmp.Or(errs...); err != nil {
		return nil, err
	}
	return bind(parts)
}

// bind puts versions and aliases into the pages of their functions. One without
// its function, or a function without $LATEST, is an error.
func bind(parts []any) (map[kiln.FunctionID]*page, error) {
	pages := map[kiln.FunctionID]*page{}
	for _, part := range parts {
		if p, ok := part.(*page); ok {
			pages[p.fn.ID] = p
		}
	}
	for _, part := range parts {
		var id kiln.FunctionID
		switch part := part.(type) {
		case *edition:
			id = part.version.Function
		case *alias:
			id = part.alias.Function
		default:
			continue
		}
		p := pages[id]
		if p == nil {
			return nil, fmt.Errorf("function %s has versions or aliases but no record of its own", id)
		}
		switch part := part.(type) {
		case *alias:
			p.aliases[part.alias.Name] = part
		case *edition:
			if part.version.Number == 0 {
				p.latest = part
			} else {
				p.editions = append(p.editions, part)
			}
		}
	}
	for id, p := range pages {
		if p.latest == nil {
			return nil, fmt.Errorf("function %s has no $LATEST", id)
		}
		slices.SortFunc(p.editions, func(x, y *edition) int { return x.version.Number - y.version.Number })
		if newest := p.newest(); newest != nil && newest.version.Number > p.last {
			return nil, fmt.Errorf("function %s has version %d but gave only %d numbers", id, newest.version.Number, p.last)
		}
		for name, a := range p.aliases {
			if p.edition(a.main) == nil || a.other >= 0 && p.edition(a.other) == nil {
				return nil, fmt.Errorf("alias %s of function %s points to a version that is not there", name, id)
			}
		}
	}
	return pages, nil
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
		if err := decodeStrictly(r.Value, &f); err != nil {
			return nil, err
		}
		fn := &kiln.Function{ID: id, Created: f.Created, Reserved: f.Reserved, Tags: f.Tags}
		return &page{fn: fn, last: f.Last, aliases: map[string]*alias{}, revision: r.Revision}, nil
	case parts[0] == "v" && len(parts) == 5:
		number, err := strconv.Atoi(parts[4])
		if err != nil {
			return nil, err
		}
		return decodeVersion(r, id, number, same)
	case parts[0] == "a" && len(parts) == 5:
		var a aliasRecord
		if err := decodeStrictly(r.Value, &a); err != nil {
			return nil, err
		}
		return newAlias(&kiln.Alias{Function: id, Name: parts[4], Version: a.Version, Description: a.Description, Weights: a.Weights, RevisionID: a.Revision}, r.Revision)
	}
	return nil, fmt.Errorf("the key has no meaning")
}

func decodeVersion(r Record, id kiln.FunctionID, number int, same interner) (*edition, error) {
	var s versionRecord
	if err := decodeStrictly(r.Value, &s); err != nil {
		return nil, err
	}
	same.content(&s.Content)
	v := s.Content.version(id, number)
	v.RevisionID, v.LastModified = s.Revision, s.Modified
	v.Status = kiln.Status{
		State: kiln.State(same.of(s.Status.State)), Reason: same.of(s.Status.Reason), ReasonCode: same.of(s.Status.ReasonCode),
		Update: kiln.UpdateStatus(same.of(s.Status.Update)), UpdateReason: same.of(s.Status.UpdateReason), UpdateReasonCode: same.of(s.Status.UpdateReasonCode),
	}
	e := &edition{version: v, runs: kiln.Revision(s.Runs), source: s.Source, stored: r.Revision}
	switch {
	case s.Serving != nil:
		same.content(&s.Serving.Content)
		e.serving = s.Serving.Content.version(id, number)
		e.serving.RevisionID, e.serving.LastModified = s.Serving.Revision, s.Serving.Modified
		e.serving.Status = kiln.Status{State: kiln.Active, Update: kiln.Successful}
	case s.Runs != "":
		e.serving = v
	}
	return e, nil
}

// decodeStrictly refuses members that this format does not have: they would be
// lost by the next write.
func decodeStrictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
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
	for _, s := range []*string{&c.Description, &c.Runtime, &c.Handler, &c.Role, &c.Architecture, &c.LogGroup, &c.SHA256} {
		*s = in.of(*s)
	}
}
