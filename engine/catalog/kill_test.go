package catalog_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/back/blobdir"
	"kiln/back/sqlite"
	"kiln/box/rootfs"
	"kiln/engine/catalog"
	"kiln/engine/catalog/storetest"
)

// TestMain turns the test binary into a server that is going to be killed when it
// is asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("KILN_TEST_VICTIM"); dir != "" {
		if err := victim(dir, os.Getenv("KILN_TEST_RUN"), os.Getenv("KILN_TEST_LAZY") != ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// server is a catalog on real stores and a real place to unpack.
type server struct {
	*catalog.Catalog
	store  *sqlite.Store
	rootfs *rootfs.Cache
}

type unpacker struct{ cache *rootfs.Cache }

func (u unpacker) Prepare(ctx context.Context, v *kiln.Version) error {
	_, err := u.cache.Prepare(ctx, v, kiln.Runtime{})
	return err
}

func openServer(ctx context.Context, dir string, lazy bool) (*server, error) {
	host := filepath.Join(dir, "host")
	if err := os.MkdirAll(filepath.Join(host, "usr"), 0o755); err != nil {
		return nil, err
	}
	store, err := sqlite.Open(ctx, filepath.Join(dir, "catalog.db"))
	if err != nil {
		return nil, err
	}
	blobs, err := blobdir.Open(filepath.Join(dir, "packages"), blobdir.Options{Grace: -1})
	if err != nil {
		return nil, err
	}
	cache, err := rootfs.Open(dir, blobs, rootfs.Options{Host: host, Grace: -1, Boot: "1"})
	if err != nil {
		return nil, err
	}
	var use catalog.Store = store
	if lazy {
		use = newLazy(store)
	}
	c, err := catalog.Open(ctx, catalog.Options{Store: use, Blobs: blobs, Preparer: unpacker{cache}, Inspect: rootfs.Inspect, SweepEvery: 5 * time.Millisecond, Patience: -1})
	if err != nil {
		return nil, err
	}
	return &server{c, store, cache}, nil
}

func (s *server) close() error { return errors.Join(s.Close(), s.store.Close()) }

// packageOf gives the zip of a round and step of a function.
func packageOf(name string, round, step int) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, file := range []string{"index.py", "lib/data"} {
		f, err := w.Create(file)
		if err == nil {
			_, err = fmt.Fprintf(f, "%s of %s, round %d, step %d", file, name, round, step)
		}
		if err != nil {
			panic(err) // to memory
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// script is the life of a function, over and over: what each step does, and what the
// book says after it.
var script = []struct {
	run  func(ctx context.Context, s *server, id kiln.FunctionID, round int) error
	want string // %[1]d is the round
}{
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		_, err := s.CreateFunction(ctx, catalog.New{ID: id, Config: config(), Zip: packageOf(id.Name, round, 0), Publish: true})
		return err
	}, "$LATEST=%[1]d.0 1=%[1]d.0"},
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		_, err := s.CreateAlias(ctx, kiln.Alias{Function: id, Name: "live", Version: "1"})
		return err
	}, "$LATEST=%[1]d.0 1=%[1]d.0 live:1"},
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		if err := s.WaitIdle(ctx); err != nil {
			return err
		}
		_, err := s.UpdateCode(ctx, id, catalog.CodeUpdate{Zip: packageOf(id.Name, round, 2), Publish: true})
		return err
	}, "$LATEST=%[1]d.2 1=%[1]d.0 2=%[1]d.2 live:1"},
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		_, err := s.UpdateAlias(ctx, id, "live", "", func(a *kiln.Alias) error { a.Version = "2"; return nil })
		return err
	}, "$LATEST=%[1]d.2 1=%[1]d.0 2=%[1]d.2 live:2"},
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		return s.DeleteVersion(ctx, id, "1")
	},
		"$LATEST=%[1]d.2 2=%[1]d.2 live:2"},
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		return s.SetReserved(ctx, id, ptr(3))
	},
		"$LATEST=%[1]d.2 2=%[1]d.2 live:2 reserved 3"},
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		if err := s.WaitIdle(ctx); err != nil {
			return err
		}
		_, err := s.UpdateCode(ctx, id, catalog.CodeUpdate{Zip: packageOf(id.Name, round, 6)})
		return err
	}, "$LATEST=%[1]d.6 2=%[1]d.2 live:2 reserved 3"},
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		_, err := s.PublishLayer(ctx, catalog.NewLayer{ID: kiln.LayerID(id), Zip: packageOf(id.Name, round, 7)})
		return err
	}, "$LATEST=%[1]d.6 2=%[1]d.2 live:2 reserved 3 layer %[2]d=%[1]d.7"},
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		if err := s.WaitIdle(ctx); err != nil {
			return err
		}
		_, err := s.UpdateConfig(ctx, id, "", func(c *kiln.Config) error { c.Layers = uses(s.LayerVersions(kiln.LayerID(id))...); return nil })
		return err
	}, "$LATEST=%[1]d.6 2=%[1]d.2 live:2 reserved 3 has %[1]d.7 layer %[2]d=%[1]d.7"},
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		return s.DeleteLayerVersion(ctx, kiln.LayerID(id), round+1)
	}, "$LATEST=%[1]d.6 2=%[1]d.2 live:2 reserved 3 has %[1]d.7"},
	{func(ctx context.Context, s *server, id kiln.FunctionID, round int) error {
		return s.DeleteFunction(ctx, id)
	}, "absent"},
}

// expected gives what the book says after a number of steps.
func expected(steps int) string {
	if steps == 0 {
		return "absent"
	}
	want := script[(steps-1)%len(script)].want
	if !strings.Contains(want, "%") {
		return want
	}
	round := (steps - 1) / len(script)
	return fmt.Sprintf(want, round, round+1)
}

// victim works until it is killed. After each step that returned it writes a line.
func victim(dir, run string, lazy bool) error {
	ctx := context.Background()
	s, err := openServer(ctx, dir, lazy)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	failed := make(chan error)
	for w := range 3 {
		id := named(fmt.Sprintf("%s-%d", run, w))
		go func() {
			for n := 0; ; n++ {
				if err := script[n%len(script)].run(ctx, s, id, n/len(script)); err != nil {
					failed <- fmt.Errorf("%s, step %d: %w", id.Name, n, err)
					return
				}
				fmt.Println(id.Name) // one write: it is in the pipe as a whole or not at all
			}
		}()
	}
	return <-failed
}

// kill runs a victim until it acknowledged that many steps and a moment longer, kills it, and gives how many of each
// function it acknowledged.
func kill(t *testing.T, dir, run string, after int, delay time.Duration, lazy bool) (acknowledged map[string]int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "KILN_TEST_VICTIM="+dir, "KILN_TEST_RUN="+run)
	if lazy {
		child.Env = append(child.Env, "KILN_TEST_LAZY=1")
	}
	var stderr bytes.Buffer
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged = map[string]int{}
	lines := bufio.NewScanner(out)
	timer := (*time.Timer)(nil)
	for lines.Scan() {
		if lines.Text() == "ready" {
			continue
		}
		acknowledged[lines.Text()]++
		if after--; after == 0 {
			timer = time.AfterFunc(delay, func() { _ = child.Process.Kill() })
		}
	}
	if timer == nil || timer.Stop() {
		t.Fatalf("the victim ended by itself: %s", stderr.String())
	}
	_ = child.Wait() // it was killed
	if child.ProcessState.Exited() {
		t.Fatalf("the victim was not killed but ended: %s", stderr.String())
	}
	return acknowledged
}

// describe says what the book says about a function, in the words of script.
func describe(s *server, id kiln.FunctionID) string {
	versions, err := s.Versions(id)
	if err != nil {
		return "absent"
	}
	var parts []string
	for _, v := range versions {
		parts = append(parts, v.Name()+"="+readPackage(s, id.Name, v.Package))
	}
	aliases, _ := s.Aliases(id, "")
	for _, a := range aliases {
		parts = append(parts, a.Name+":"+a.Version)
	}
	if fn, err := s.Function(id); err == nil && fn.Reserved != nil {
		parts = append(parts, fmt.Sprintf("reserved %d", *fn.Reserved))
	}
	for _, use := range versions[0].Config.Layers {
		parts = append(parts, "has "+readPackage(s, id.Name, use.Package))
	}
	for _, l := range s.LayerVersions(kiln.LayerID(id)) {
		parts = append(parts, fmt.Sprintf("layer %d=%s", l.Number, readPackage(s, id.Name, l.Package)))
	}
	return strings.Join(parts, " ")
}

// readPackage gives round and step of a function's package, or what is wrong with it.
func readPackage(s *server, name string, p kiln.Package) string {
	body, size, err := s.Package(context.Background(), &kiln.Version{Package: p})
	if err != nil {
		return err.Error()
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil || int64(len(text)) != size {
		return fmt.Sprintf("%d bytes of %d, %v", len(text), size, err)
	}
	for round := range 500 {
		for _, step := range []int{0, 2, 6, 7} {
			if bytes.Equal(text, packageOf(name, round, step)) {
				return fmt.Sprintf("%d.%d", round, step)
			}
		}
	}
	return "a package of another function"
}

// afterKill opens what a killed server left and gives everything that is wrong.
// steps is what was acknowledged so far; it becomes what is there now.
func afterKill(t *testing.T, dir string, steps map[string]int, live map[string]bool) (wrong []string) {
	t.Helper()
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	s, err := openServer(t.Context(), dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, n := range steps {
		got := describe(s, named(name))
		switch {
		case got == expected(n):
		case live[name] && got == expected(n+1): // it was done and not yet acknowledged
			steps[name] = n + 1
		default:
			complain("%s after %d acknowledged steps: %q, want %q", name, n, got, expected(n))
		}
	}
	for _, v := range s.AllVersions(home) {
		if _, known := steps[v.Function.Name]; !known {
			complain("%s was never acknowledged and is not in flight", v.Function.Name)
		}
		if v.Status.State != kiln.Active || v.Status.Update != kiln.Successful {
			complain("%s:%s is %+v", v.Function.Name, v.Name(), v.Status)
		}
		if target, err := s.Resolve(v.Function, kiln.Qualifier(v.Name())); err != nil || target.Version.Package != v.Package {
			complain("%s:%s runs %+v, %v", v.Function.Name, v.Name(), target, err)
		}
	}
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	known := s.Packages()
	keep := func(sha string) bool { _, ok := known[sha]; return ok }
	if err := s.rootfs.GC(keep); err != nil {
		t.Error(err)
	}
	for _, place := range []string{"packages", "rootfs/code-1"} {
		for _, name := range listing(t, filepath.Join(dir, place)) {
			if !keep(name) {
				complain("%s/%s belongs to nothing", place, name)
			}
		}
	}
	if left := listing(t, filepath.Join(dir, "rootfs/tmp")); len(left) > 0 {
		complain("rootfs/tmp holds %q", left)
	}
	return wrong
}

func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// killMany kills a server again and again and gives what was wrong after each time.
func killMany(t *testing.T, times int, lazy bool) (wrong []string, total int) {
	t.Helper()
	dir := t.TempDir()
	steps := map[string]int{}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range times {
		run := fmt.Sprintf("run%d", n)
		acknowledged := kill(t, dir, run, 1+random.IntN(60), time.Duration(random.IntN(5000))*time.Microsecond, lazy)
		live := map[string]bool{}
		for w := range 3 {
			name := fmt.Sprintf("%s-%d", run, w)
			steps[name], live[name] = acknowledged[name], true
			total += acknowledged[name]
		}
		for _, w := range afterKill(t, dir, steps, live) {
			wrong = append(wrong, fmt.Sprintf("kill %d: %s", n, w))
		}
		if lazy && len(wrong) > 0 {
			break
		}
	}
	return wrong, total
}

func TestAKilledServerHasEverythingThatItAcknowledged(t *testing.T) {
	wrong, total := killMany(t, 30, false)
	for _, w := range wrong {
		t.Error(w)
	}
	if total < 100 {
		t.Errorf("only %d steps were acknowledged before 30 kills: they say nothing", total)
	}
	t.Logf("%d steps acknowledged before 30 kills", total)
}

// A server that answers before its commit is durable must be caught; otherwise the
// test above proves nothing.
func TestAServerThatAnswersTooEarlyIsCaught(t *testing.T) {
	if wrong, total := killMany(t, 10, true); len(wrong) == 0 || total == 0 {
		t.Errorf("nothing was lost after %d acknowledged steps", total)
	}
}

// lazy answers commits from memory and writes them a moment later.
type lazy struct {
	storetest.Store
	under *sqlite.Store
	queue chan []catalog.Write
	once  sync.Once
}

func newLazy(under *sqlite.Store) *lazy {
	l := &lazy{under: under, queue: make(chan []catalog.Write, 10_000)}
	go l.run()
	return l
}

// Scan fills the memory from the file at first.
func (l *lazy) Scan(ctx context.Context, prefix string, f func(catalog.Record) error) (err error) {
	l.once.Do(func() {
		err = l.under.Scan(ctx, "", func(r catalog.Record) error {
			_, err := l.Store.Commit(ctx, []catalog.Write{{Key: r.Key, Value: r.Value}})
			return err
		})
	})
	if err != nil {
		return err
	}
	return l.Store.Scan(ctx, prefix, f)
}

// Commit answers at once.
func (l *lazy) Commit(ctx context.Context, writes []catalog.Write) ([]uint64, error) {
	revisions, err := l.Store.Commit(ctx, writes)
	if err == nil {
		l.queue <- slices.Clone(writes)
	}
	return revisions, err
}

// run writes what was answered, with the revisions that the file has.
func (l *lazy) run() {
	ctx := context.Background()
	stored := map[string]uint64{}
	if err := l.under.Scan(ctx, "", func(r catalog.Record) error { stored[r.Key] = r.Revision; return nil }); err != nil {
		panic(err)
	}
	for writes := range l.queue {
		<-time.After(10 * time.Millisecond) // being late is what this store is for
		for i := range writes {
			writes[i].Expect = stored[writes[i].Key]
		}
		revisions, err := l.under.Commit(ctx, writes)
		if err != nil {
			panic(err)
		}
		for i, w := range writes {
			if stored[w.Key] = revisions[i]; w.Value == nil {
				delete(stored, w.Key)
			}
		}
	}
}
