package catalog_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"kiln"
	"kiln/engine/catalog"
	"kiln/engine/catalog/storetest"
)

var home = kiln.Scope{Account: "000000000000", Region: "us-east-1"}

func named(name string) kiln.FunctionID { return kiln.FunctionID{Scope: home, Name: name} }

// rig is a catalog on stores in memory that outlive it.
type rig struct {
	*catalog.Catalog
	store *storetest.Store
	blobs *storetest.Blobs
	preps *preparer
	draw  float64

	patience time.Duration
	objects  catalog.Objects
	images   catalog.Images
}

// preparer puts versions in place as a test wants.
type preparer struct {
	mu    sync.Mutex
	gate  chan struct{} // when it is set, Prepare waits for it to be closed
	fail  func(v *kiln.Version) error
	calls []string // name:version:package

	release string // of every runtime
}

func (p *preparer) Release(context.Context, *kiln.Version) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.release
}

// serve makes another release serve every runtime.
func (p *preparer) serve(release string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release = release
}

func (p *preparer) Prepare(ctx context.Context, v *kiln.Version) error {
	p.mu.Lock()
	p.calls = append(p.calls, v.Function.Name+":"+v.Name()+":"+v.Package.SHA256[:4])
	gate, fail := p.gate, p.fail
	p.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		return fail(v)
	}
	return nil
}

// hold makes preparations wait until the result is called.
func (p *preparer) hold() (open func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gate := make(chan struct{})
	p.gate = gate
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.gate == gate {
			p.gate = nil
		}
		close(gate)
	})
}

func (p *preparer) failWith(fail func(v *kiln.Version) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = fail
}

// test is what testing.T and rapid.T have in common.
type test interface {
	Helper()
	Fatal(args ...any)
	Errorf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

func newRig(t test) *rig {
	t.Helper()
	r := &rig{store: &storetest.Store{}, blobs: &storetest.Blobs{}, preps: &preparer{}, patience: -1}
	r.open(t)
	t.Cleanup(func() { r.Close() })
	return r
}

// open opens the catalog, or opens it again as after a crash.
func (r *rig) open(t test) {
	t.Helper()
	if r.Catalog != nil {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c, err := catalog.Open(t.Context(), catalog.Options{
		Store: r.store, Blobs: r.blobs, Preparer: r.preps, SweepEvery: -1, Patience: r.patience, Objects: r.objects, Images: r.images,
		Inspect: func(z io.ReaderAt, size int64) (int64, error) {
			text, err := io.ReadAll(io.NewSectionReader(z, 0, size))
			if err == nil && strings.HasPrefix(string(text), "broken") {
				err = kiln.Errorf(kiln.Invalid, "Could not unzip uploaded file. Please check your file, then try to upload again.")
			}
			var unzipped int64
			if n, _ := fmt.Sscanf(string(text), "size %d", &unzipped); n == 1 {
				return unzipped, err
			}
			return 2 * size, err
		},
		Draw: func() float64 { return r.draw },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Catalog = c
}

func (r *rig) idle(t test) {
	t.Helper()
	if err := r.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// create makes a function and waits until it is Active.
func (r *rig) create(t test, name, zip string) *kiln.Version {
	t.Helper()
	if _, err := r.CreateFunction(t.Context(), catalog.New{ID: named(name), Config: config(), Zip: []byte(zip)}); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	return r.version(t, name, "")
}

// createPending makes a function and does not wait.
func (r *rig) createPending(t test, name string) {
	t.Helper()
	if _, err := r.CreateFunction(t.Context(), catalog.New{ID: named(name), Config: config(), Zip: []byte("code")}); err != nil {
		t.Fatal(err)
	}
}

func config() kiln.Config {
	return kiln.Config{Runtime: "python3.12", Handler: "a.b", Role: "arn:aws:iam::000000000000:role/r", Timeout: kiln.DefaultTimeout, MemoryMB: 128, StorageMB: 512, Architecture: "x86_64"}
}

func (r *rig) version(t test, name string, q kiln.Qualifier) *kiln.Version {
	t.Helper()
	v, err := r.Version(named(name), q)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// publish publishes and fails the test when that does not work.
func (r *rig) publish(t test, name string) *kiln.Version {
	t.Helper()
	v, err := r.Publish(t.Context(), named(name), catalog.Publication{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// change gives $LATEST another configuration and waits until it is in place.
func (r *rig) change(t test, name, description string) *kiln.Version {
	t.Helper()
	_, err := r.UpdateConfig(t.Context(), named(name), "", func(c *kiln.Config) error { c.Description = description; return nil })
	if err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	return r.version(t, name, "")
}

func (r *rig) alias(t test, function, name, version string) *kiln.Alias {
	t.Helper()
	a, err := r.CreateAlias(t.Context(), kiln.Alias{Function: named(function), Name: name, Version: version})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wantError holds an error to its code and the exact text of its message.
func wantError(t test, what string, err error, code kiln.Code, message string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %q", what, message)
		return
	}
	if kiln.CodeOf(err) != code || err.Error() != message {
		t.Errorf("%s: %s error %q, want %s error %q", what, kiln.CodeOf(err), err, code, message)
	}
}

func ptr[T any](v T) *T { return &v }
