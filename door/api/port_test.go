package api_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/door/api"
	"kiln/engine/catalog"
	"kiln/engine/mapping"
)

const (
	account = "111111111111"
	region  = "eu-west-1"
	role    = "arn:aws:iam::111111111111:role/any"
)

// port is a Server over the real catalog and small rooms in memory.
type port struct {
	*api.Server
	t        testing.TB
	catalog  *catalog.Catalog
	blobs    *blobs
	invoker  *invoker
	mappings *mapping.Manager
	prepare  *prepared
}

// newPort makes a port; change may give it other rooms.
func newPort(t testing.TB, change ...func(*api.Options)) *port {
	t.Helper()
	b, pr := &blobs{m: map[string][]byte{}}, &prepared{}
	c, err := catalog.Open(t.Context(), catalog.Options{Store: &store{m: map[string]catalog.Record{}}, Blobs: b, Preparer: pr, Inspect: inspect, Objects: bucket{t}, Images: gallery{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	i := &invoker{catalog: c, run: func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		return &kiln.Outcome{Payload: inv.Payload, Version: inv.Target.Version.Name(), Trace: inv.Trace}, nil
	}}
	o := api.Options{Catalog: book{c}, Invoker: i, Runtimes: shelf{}, Version: "1.2.3", Events: accepting{}, Account: func(kiln.Scope) api.Account { return api.Account{Functions: 1} }}
	mappings := newMappings(t, c, i)
	o.Mappings = mappings
	for _, f := range change {
		f(&o)
	}
	return &port{api.New(o), t, c, b, i, mappings, pr}
}

// accepting is a queue that takes every event.
type accepting struct{}

func (accepting) Enqueue(context.Context, *kiln.Invocation) error { return nil }

// reply is an answer of the port.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends one request as the account in the region; headers are pairs.
func (p *port) do(method, target, body string, headers ...string) reply {
	p.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if !strings.HasPrefix(target, "http") {
		r.Host = "localhost:4566"
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+account+"/20260101/"+region+"/lambda/aws4_request, SignedHeaders=host, Signature=0")
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i] == "Host":
			r.Host = headers[i+1]
		case headers[i+1] == "":
			r.Header.Del(headers[i])
		default:
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return p.send(r)
}

func (p *port) send(r *http.Request) reply {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return reply{w.Code, w.Header(), w.Body.String()}
}

// members reads a JSON answer.
func (r reply) members(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("status %d: %v in %q", r.status, err, r.body)
	}
	return m
}

// message gives the text of a refusal.
func (r reply) message() string {
	var m struct{ Message string }
	_ = json.Unmarshal([]byte(r.body), &m) // "" then
	return m.Message
}

// refused checks that an answer says no in this way.
func refused(t testing.TB, what string, got reply, status int, exception, message string) {
	t.Helper()
	if got.status != status || got.header.Get("X-Amzn-Errortype") != exception || got.message() != message {
		t.Errorf("%s:\ngot  %d %s %q\nwant %d %s %q", what, got.status, got.header.Get("X-Amzn-Errortype"), got.message(), status, exception, message)
	}
}

// wants checks the status of an answer that must not be another.
func wants(t testing.TB, what string, got reply, status int) reply {
	t.Helper()
	if got.status != status {
		t.Fatalf("%s: got %d %s %s, want %d", what, got.status, got.header.Get("X-Amzn-Errortype"), got.body, status)
	}
	return got
}

// code is a package of one file.
func code(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("bootstrap")
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// request is the body of CreateFunction with the least that it needs; members replace
// or, being nil, remove what is there.
func request(t testing.TB, name string, members map[string]any) string {
	t.Helper()
	m := map[string]any{"FunctionName": name, "Role": role, "Runtime": "python3.12", "Handler": "app.handler", "Code": map[string]any{"ZipFile": code(t, name)}}
	for k, v := range members {
		if m[k] = v; v == nil {
			delete(m, k)
		}
	}
	return text(t, m)
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// create makes a function and waits until it is active.
func (p *port) create(name string, members map[string]any) map[string]any {
	p.t.Helper()
	m := wants(p.t, "create "+name, p.do("POST", "/2015-03-31/functions", request(p.t, name, members)), 201).members(p.t)
	p.settle()
	return m
}

// settle waits until nothing is pending.
func (p *port) settle() {
	p.t.Helper()
	if err := p.catalog.WaitIdle(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	for tick := time.Tick(time.Millisecond); !p.settled(); <-tick {
		if err := p.t.Context().Err(); err != nil {
			p.t.Fatal(err)
		}
	}
}

func arn(name string) string { return "arn:aws:lambda:" + region + ":" + account + ":function:" + name }

// book is the catalog as the door knows it; cmd/kiln has the same few lines.
type book struct{ *catalog.Catalog }

func (b book) CreateFunction(ctx context.Context, n api.NewFunction) (*kiln.Version, error) {
	return b.Catalog.CreateFunction(ctx, catalog.New(n))
}

func (b book) UpdateCode(ctx context.Context, id kiln.FunctionID, u api.CodeUpdate) (*kiln.Version, error) {
	return b.Catalog.UpdateCode(ctx, id, catalog.CodeUpdate(u))
}

func (b book) PublishLayer(ctx context.Context, n api.NewLayer) (*kiln.LayerVersion, error) {
	return b.Catalog.PublishLayer(ctx, catalog.NewLayer(n))
}

func (b book) Publish(ctx context.Context, id kiln.FunctionID, p api.Publication) (*kiln.Version, error) {
	return b.Catalog.Publish(ctx, id, catalog.Publication(p))
}

// invoker resolves with the catalog and runs a function of the test.
type invoker struct {
	catalog *catalog.Catalog
	run     func(context.Context, *kiln.Invocation) (*kiln.Outcome, error)
}

func (i *invoker) Invoke(ctx context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
	target, err := i.catalog.Resolve(inv.Function, inv.Qualifier)
	if err != nil {
		return nil, err
	}
	inv.Target = target
	if err := target.CheckTenant(inv.Tenant); err != nil {
		return nil, err
	}
	return i.run(ctx, inv)
}

func (i *invoker) Resolve(id kiln.FunctionID, q kiln.Qualifier) (kiln.Target, error) {
	return i.catalog.Resolve(id, q)
}

// shelf has one runtime and can fetch another.
type shelf struct{}

func (shelf) List(context.Context) []api.RuntimeEntry {
	return []api.RuntimeEntry{{Identifier: "python3.12", State: "ready", Source: "/usr/bin/python3.12"}}
}

func (shelf) Add(_ context.Context, id string, progress func(done, total int64)) error {
	if id != "nodejs22.x" {
		return kiln.Errorf(kiln.NotFound, "no runtime %s is known", id)
	}
	progress(5, 10)
	progress(10, 10)
	return nil
}

func (shelf) Remove(id string) error {
	if id != "nodejs22.x" {
		return kiln.Errorf(kiln.NotFound, "%s was not fetched", id)
	}
	return nil
}

func (shelf) Release(_ context.Context, id, _ string) string {
	if id == "python3.12" {
		return "0123abcd"
	}
	return ""
}

// diary is a log store of fixed lines.
type diary struct {
	records []api.LogRecord
	asked   chan api.LogQuery // gets every query
}

func (d *diary) Read(q api.LogQuery) ([]api.LogRecord, error) {
	d.asked <- q
	return d.records, nil
}

func (d *diary) Follow(ctx context.Context, q api.LogQuery) iter.Seq[api.LogRecord] {
	d.asked <- q
	return func(yield func(api.LogRecord) bool) {
		for _, r := range d.records {
			if !yield(r) {
				return
			}
		}
		<-ctx.Done()
	}
}

// bucket has one object, of which it has all versions.
type bucket struct{ t testing.TB }

func (b bucket) Open(_ context.Context, o kiln.S3Object) (io.ReadCloser, int64, error) {
	if o.Bucket != "bucket" || o.Key != "key" {
		return nil, 0, kiln.Errorf(kiln.Invalid, "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.")
	}
	text, err := base64.StdEncoding.DecodeString(code(b.t, "version "+o.Version))
	return io.NopCloser(bytes.NewReader(text)), int64(len(text)), err
}

// prepared has every package in place at once, unless a test holds the lock.
type prepared struct{ sync.RWMutex }

func (p *prepared) Prepare(context.Context, *kiln.Version) error {
	p.RLock()
	defer p.RUnlock()
	return nil
}

// inspect knows a zip when it sees one.
func inspect(r io.ReaderAt, size int64) (int64, error) {
	if _, err := zip.NewReader(r, size); err != nil {
		return 0, kiln.Errorf(kiln.Invalid, "Could not unzip uploaded file. Please check your file, then try to upload again.")
	}
	return size, nil
}

// store is a catalog.Store in memory.
type store struct {
	mu   sync.Mutex
	m    map[string]catalog.Record
	last uint64
}

func (s *store) Scan(_ context.Context, prefix string, f func(catalog.Record) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(s.m)) {
		if strings.HasPrefix(k, prefix) {
			if err := f(s.m[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *store) Commit(_ context.Context, writes []catalog.Write) ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range writes {
		if s.m[w.Key].Revision != w.Expect {
			return nil, catalog.ErrStale
		}
	}
	out := make([]uint64, len(writes))
	for i, w := range writes {
		s.last++
		out[i] = s.last
		if w.Value == nil {
			delete(s.m, w.Key)
		} else {
			s.m[w.Key] = catalog.Record{Key: w.Key, Value: w.Value, Revision: s.last}
		}
	}
	return out, nil
}

// blobs is a catalog.Blobs in memory whose disk can be full.
type blobs struct {
	mu   sync.Mutex
	m    map[string][]byte
	full bool
}

func (b *blobs) Put(_ context.Context, r io.Reader) (string, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, err := io.ReadAll(r)
	if err != nil {
		return "", 0, err
	}
	if b.full {
		return "", 0, errors.New("write /var/lib/kiln/blobs/tmp: no space left on device")
	}
	sum := sha256.Sum256(p)
	key := hex.EncodeToString(sum[:])
	b.m[key] = p
	return key, int64(len(p)), nil
}

func (b *blobs) Open(key string) (catalog.Blob, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.m[key]
	if !ok {
		return nil, 0, kiln.Errorf(kiln.NotFound, "no package %s", key)
	}
	return struct {
		io.ReaderAt
		io.Closer
	}{bytes.NewReader(p), io.NopCloser(nil)}, int64(len(p)), nil
}

func (b *blobs) Sweep(_ context.Context, keep func(string) bool) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range b.m {
		if !keep(k) {
			delete(b.m, k)
			n++
		}
	}
	return n, nil
}

// clock is a time that the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
