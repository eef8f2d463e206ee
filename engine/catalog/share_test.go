package catalog_test

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kiln"
	"kiln/engine/catalog"
	"kiln/engine/catalog/storetest"
)

func TestSnapshotsNeverChange(t *testing.T) {
	r := newRig(t)
	mine := config()
	mine.Environment = map[string]string{"K": "v"}
	tags := map[string]string{"team": "a"}
	if _, err := r.CreateFunction(t.Context(), catalog.New{ID: named("f"), Config: mine, Zip: []byte("x"), Tags: tags}); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	before := r.version(t, "f", "")
	mine.Environment["K"], tags["team"] = "mine", "mine"
	theirs := map[string]string{"K": "new"}
	if _, err := r.UpdateConfig(t.Context(), named("f"), "", func(c *kiln.Config) error {
		c.Environment["K"] = "in place"
		c.Environment = theirs
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	theirs["K"] = "theirs"
	fn, err := r.Function(named("f"))
	if err != nil || before.Config.Environment["K"] != "v" || fn.Tags["team"] != "a" {
		t.Errorf("what was read before is %v, %v, %v now", before.Config.Environment, fn.Tags, err)
	}
	if after := r.version(t, "f", ""); after.Config.Environment["K"] != "new" {
		t.Errorf("the update is %v", after.Config.Environment)
	}
	r.idle(t)
	r.publish(t, "f")
	r.change(t, "f", "x")
	r.publish(t, "f")
	weights := map[string]float64{"2": 0.25}
	a, err := r.CreateAlias(t.Context(), kiln.Alias{Function: named("f"), Name: "live", Version: "1", Weights: weights})
	if err != nil {
		t.Fatal(err)
	}
	weights["2"] = 1
	if _, err := r.UpdateAlias(t.Context(), named("f"), "live", "", func(a *kiln.Alias) error { a.Weights["2"] = 0.5; return nil }); err != nil {
		t.Fatal(err)
	}
	if a.Weights["2"] != 0.25 {
		t.Errorf("the alias that was read before has the weights %v now", a.Weights)
	}
}

func TestAbsentAndEmptyEnvironmentsStayDifferent(t *testing.T) {
	r := newRig(t)
	for name, env := range map[string]map[string]string{"absent": nil, "empty": {}} {
		c := config()
		c.Environment = env
		if _, err := r.CreateFunction(t.Context(), catalog.New{ID: named(name), Config: c, Zip: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	r.idle(t)
	for range 2 {
		if got := r.version(t, "absent", "").Config.Environment; got != nil {
			t.Errorf("an absent environment became %v", got)
		}
		if got := r.version(t, "empty", "").Config.Environment; got == nil || len(got) != 0 {
			t.Errorf("an empty environment became %v", got)
		}
		r.open(t)
	}
}

func TestResolveTakesNoMemory(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	r.publish(t, "f")
	r.change(t, "f", "x")
	r.publish(t, "f")
	if _, err := r.CreateAlias(t.Context(), kiln.Alias{Function: named("f"), Name: "live", Version: "1", Weights: map[string]float64{"2": 0.5}}); err != nil {
		t.Fatal(err)
	}
	for _, q := range []kiln.Qualifier{"", "$LATEST", "1", "live"} {
		n := testing.AllocsPerRun(100, func() {
			if _, err := r.Resolve(named("f"), q); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("resolving %q allocates %v times", q, n)
		}
	}
}

func TestAWeightedAliasDrawsByWeight(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	r.publish(t, "f")
	r.change(t, "f", "x")
	r.publish(t, "f")
	for weight, want := range map[float64]int{0: 0, 0.25: 25, 1: 100} {
		name := fmt.Sprint("w", weight*100)
		if _, err := r.CreateAlias(t.Context(), kiln.Alias{Function: named("f"), Name: name, Version: "1", Weights: map[string]float64{"2": weight}}); err != nil {
			t.Fatal(err)
		}
		second := 0
		for n := range 100 {
			r.draw = float64(n) / 100
			target, err := r.Resolve(named("f"), kiln.Qualifier(name))
			if err != nil {
				t.Fatal(err)
			}
			if target.Version.Number == 2 {
				second++
			}
		}
		if second != want {
			t.Errorf("with weight %v version 2 got %d of 100 calls, want %d", weight, second, want)
		}
	}
}

func TestOfManyUpdatesFromOneRevisionOneWins(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "one")
	revision := r.version(t, "f", "").RevisionID
	var won, lost atomic.Int32
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			_, err := r.UpdateConfig(t.Context(), named("f"), revision, func(c *kiln.Config) error { c.MemoryMB = 200 + n; return nil })
			switch kiln.CodeOf(err) {
			case kiln.Precondition, kiln.Conflict:
				lost.Add(1)
			default:
				if err != nil {
					t.Error(err)
				}
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || lost.Load() != 19 {
		t.Errorf("%d won and %d lost, want 1 and 19", won.Load(), lost.Load())
	}
}

func TestOfManyCreationsOfOneNameOneWins(t *testing.T) {
	r := newRig(t)
	var won atomic.Int32
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			_, err := r.CreateFunction(t.Context(), catalog.New{ID: named("f"), Config: config(), Zip: fmt.Append(nil, n)})
			if err == nil {
				won.Add(1)
			} else if kiln.CodeOf(err) != kiln.Conflict {
				t.Error(err)
			}
		})
	}
	all.Wait()
	r.idle(t)
	if won.Load() != 1 || len(r.Functions(home)) != 1 {
		t.Errorf("%d won and there are %d functions", won.Load(), len(r.Functions(home)))
	}
}

func TestReservationsAtOnceNeverTakeTheMinimum(t *testing.T) {
	r := newRig(t)
	for n := range 10 {
		r.create(t, fmt.Sprint("f", n), "x")
	}
	r.store.FailWith(func([]catalog.Write) error { // a disk takes its time
		for range 50 {
			runtime.Gosched()
		}
		return nil
	})
	var all sync.WaitGroup
	for n := range 10 {
		all.Go(func() {
			for range 20 {
				if err := r.SetReserved(t.Context(), named(fmt.Sprint("f", n)), ptr(300)); err != nil && kiln.CodeOf(err) != kiln.Invalid {
					t.Error(err)
				}
				if sum := r.Reserved(home); sum > 900 {
					t.Errorf("%d are reserved, at most 900 can be", sum)
				}
				if err := r.SetReserved(t.Context(), named(fmt.Sprint("f", n)), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if sum := r.Reserved(home); sum != 0 {
		t.Errorf("%d are reserved, want none", sum)
	}
}

// Readers run beside writers of all kinds: nobody ever sees a page that is half one
// thing and half another, and a writer sees what it wrote.
func TestReadersSeeWholePages(t *testing.T) {
	r := newRig(t)
	const functions = 4
	ctx, stop := context.WithCancel(t.Context())
	var writers, all sync.WaitGroup
	for n := range functions {
		name := fmt.Sprint("f", n)
		writers.Go(func() {
			for round := 0; round < 30; round++ {
				if _, err := r.CreateFunction(t.Context(), catalog.New{ID: named(name), Config: config(), Zip: fmt.Append(nil, round), Publish: true}); err != nil {
					t.Error(err)
					return
				}
				if _, err := r.Version(named(name), "1"); err != nil {
					t.Errorf("a writer does not see its own version: %v", err)
				}
				if err := r.SetReserved(t.Context(), named(name), ptr(round)); err != nil {
					t.Error(err)
				}
				if _, err := r.CreateAlias(t.Context(), kiln.Alias{Function: named(name), Name: "live", Version: "1"}); err != nil {
					t.Error(err)
				}
				if a, err := r.Alias(named(name), "live"); err != nil || a.Version != "1" {
					t.Errorf("a writer does not see its own alias: %v, %v", a, err)
				}
				if err := r.DeleteFunction(t.Context(), named(name)); err != nil {
					t.Error(err)
				}
				if _, err := r.Function(named(name)); kiln.CodeOf(err) != kiln.NotFound {
					t.Errorf("a writer sees what it deleted: %v", err)
				}
			}
		})
		all.Go(func() {
			for ctx.Err() == nil {
				if target, err := r.Resolve(named(name), "live"); err == nil && (target.Version.Number != 1 || target.Revision == "" || target.Reserved == nil) {
					t.Errorf("resolve gave %+v", target)
				}
				for _, v := range r.Functions(home) {
					if !strings.HasPrefix(v.Function.Name, "f") || v.Number != 0 {
						t.Errorf("the list has %+v", v)
					}
				}
			}
		})
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stop()
	all.Wait()
}

func TestAPackageIsSweptWhenNothingRefersToItAndNotBefore(t *testing.T) {
	r := newRig(t)
	old := r.create(t, "f", "old").Package
	open := r.preps.hold()
	if _, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("new")}); err != nil {
		t.Fatal(err)
	}
	next := r.version(t, "f", "").Package
	sweep := func(want int) {
		t.Helper()
		if n, err := r.Sweep(t.Context()); n != want || err != nil {
			t.Errorf("sweep removed %d, %v, want %d", n, err, want)
		}
	}
	sweep(0) // the old one serves, the new one is wanted
	open()
	r.idle(t)
	sweep(1)
	if _, _, err := r.blobs.Open(old.SHA256); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("the old package: %v", err)
	}
	r.publish(t, "f")
	if _, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("newer")}); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	sweep(0) // version 1 has it
	body, size, err := r.Package(t.Context(), r.version(t, "f", "1"))
	if err != nil || size != next.Size {
		t.Fatal(size, err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); string(text) != "new" || err != nil {
		t.Errorf("the package of version 1 is %q, %v", text, err)
	}
	if err := r.DeleteVersion(t.Context(), named("f"), "1"); err != nil {
		t.Fatal(err)
	}
	sweep(1)
	if err := r.DeleteFunction(t.Context(), named("f")); err != nil {
		t.Fatal(err)
	}
	sweep(1)
}

// slowStore lets a sweep run between the storing of a package and the commit that
// refers to it.
type slowStore struct {
	*storetest.Store
	between func()
}

func (s slowStore) Commit(ctx context.Context, writes []catalog.Write) ([]uint64, error) {
	s.between()
	return s.Store.Commit(ctx, writes)
}

func TestASweepSparesAPackageOnItsWayIntoTheBook(t *testing.T) {
	blobs := &storetest.Blobs{}
	var c *catalog.Catalog
	var swept atomic.Int64 // states are committed in the background
	between := func() {
		if c != nil {
			n, err := c.Sweep(t.Context())
			if err != nil {
				t.Error(err)
			}
			swept.Add(int64(n))
		}
	}
	var err error
	c, err = catalog.Open(t.Context(), catalog.Options{
		Store: slowStore{&storetest.Store{}, between}, Blobs: blobs, Preparer: &preparer{}, SweepEvery: -1,
		Inspect: func(io.ReaderAt, int64) (int64, error) { return 1, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n := range 20 {
		v, err := c.CreateFunction(t.Context(), catalog.New{ID: named(fmt.Sprint("f", n)), Config: config(), Zip: fmt.Append(nil, n)})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := blobs.Open(v.Package.SHA256); err != nil {
			t.Errorf("the package of a new function is gone: %v", err)
		}
	}
	if n := swept.Load(); n != 0 {
		t.Errorf("%d packages were swept", n)
	}
}

func TestABookOfANewerKilnIsRefused(t *testing.T) {
	for name, records := range map[string][]catalog.Write{
		"a newer format":              {{Key: "format", Value: []byte("9")}},
		"no format":                   {{Key: "f/000000000000/us-east-1/f", Value: []byte(`{"created":"2026-01-01T00:00:00Z"}`)}},
		"a broken format":             {{Key: "format", Value: []byte("x")}},
		"an unknown key":              {{Key: "format", Value: []byte("1")}, {Key: "z/1/2/3", Value: []byte("{}")}},
		"a broken record":             {{Key: "format", Value: []byte("1")}, {Key: "f/1/2/3", Value: []byte("{")}},
		"a function of no code":       {{Key: "format", Value: []byte("1")}, {Key: "f/1/2/3", Value: []byte(`{"created":"2026-01-01T00:00:00Z"}`)}},
		"a version of nothing":        {{Key: "format", Value: []byte("1")}, {Key: "v/1/2/3/0000000000", Value: []byte(`{}`)}},
		"an alias of no version":      {{Key: "format", Value: []byte("1")}, {Key: "a/1/2/3/live", Value: []byte(`{"version":"1"}`)}},
		"a layer version of no layer": {{Key: "format", Value: []byte("1")}, {Key: "l/1/2/3/0000000001", Value: []byte(`{"sha256":"x"}`)}},
		"a layer number not given":    {{Key: "format", Value: []byte("1")}, {Key: "n/1/2/3", Value: []byte(`{"last":1}`)}, {Key: "l/1/2/3/0000000002", Value: []byte(`{"sha256":"x"}`)}},
	} {
		store := &storetest.Store{}
		if _, err := store.Commit(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		c, err := catalog.Open(t.Context(), catalog.Options{
			Store: store, Blobs: &storetest.Blobs{}, Preparer: &preparer{}, Inspect: func(io.ReaderAt, int64) (int64, error) { return 0, nil },
		})
		if err == nil {
			t.Errorf("%s: not refused", name)
			c.Close()
		}
	}
}

func TestABookOfAnOlderKilnIsMarkedAsOneOfThisKiln(t *testing.T) {
	r := newRig(t)
	cfg := config()
	cfg.NoOutbound, cfg.CPUMode, cfg.SigTERM, cfg.PerTenant = true, kiln.CPUStrict, true, true
	cfg.Debug = true
	cfg.FileSystem = kiln.FileSystemUse{ARN: "arn", Path: "/mnt/a"}
	cfg.VPC = kiln.VPCUse{Subnets: []string{"subnet-1"}, SecurityGroups: []string{"sg-1", "sg-2"}}
	cfg.Logging = kiln.Logging{Format: kiln.FormatJSON, ApplicationLevel: kiln.LevelDebug, SystemLevel: kiln.LevelWarn}
	if _, err := r.CreateFunction(t.Context(), catalog.New{ID: named("f"), Config: cfg, Zip: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	format := func() (mark catalog.Record) {
		err := r.store.Scan(t.Context(), "format", func(r catalog.Record) error { mark = r; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return mark
	}
	if _, err := r.store.Commit(t.Context(), []catalog.Write{{Key: "format", Value: []byte("1"), Expect: format().Revision}}); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	if got := string(format().Value); got != "8" {
		t.Errorf("the book has format %s, want 8: an older kiln would lose what this one writes", got)
	}
	if v, err := r.Version(named("f"), ""); err != nil || !v.Config.NoOutbound || v.Config.CPUMode != kiln.CPUStrict || !v.Config.SigTERM || !v.Config.Debug || !v.Config.PerTenant || v.Config.Logging != cfg.Logging {
		t.Errorf("got %+v, %v: it may open connections, or runs, ends or logs otherwise", v, err)
	} else if v.Config.FileSystem != cfg.FileSystem || !reflect.DeepEqual(v.Config.VPC, cfg.VPC) {
		t.Errorf("got %+v and %+v", v.Config.FileSystem, v.Config.VPC)
	}
}

func BenchmarkResolve(b *testing.B) {
	r := newRig(b)
	for n := range 1000 {
		if _, err := r.CreateFunction(b.Context(), catalog.New{ID: named(fmt.Sprint("f", n)), Config: config(), Zip: []byte("x")}); err != nil {
			b.Fatal(err)
		}
	}
	r.idle(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Resolve(named("f500"), ""); err != nil {
				b.Fatal(err)
			}
		}
	})
}
