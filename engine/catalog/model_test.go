package catalog_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kiln"
	"kiln/engine/catalog"
)

// model is what the book must say, told in the simplest way.
type model map[string]*modelFunction

type modelFunction struct {
	latest   modelVersion
	serving  string // content that $LATEST runs, "" is none
	last     int
	versions map[int]modelVersion
	aliases  map[string]modelAlias
	policies map[string]string
	reserved int // -1 is none
}

type modelVersion struct {
	content string // package and description
	failed  bool
	source  string // of a published one: what $LATEST was then
}

type modelAlias struct {
	main, other int // other 0 is none
}

// machine runs the catalog beside the model.
type machine struct {
	t     *rapid.T
	r     *rig
	model model
	seen  map[string]string // revision id: what it stood for
	// reached counts what the test is there for.
	reached map[string]int
}

var (
	names    = rapid.SampledFrom([]string{"a", "a", "b"})
	packages = rapid.SampledFrom([]string{"one", "two", "bad one", "bad two"})
	texts    = rapid.SampledFrom([]string{"", "x", "y"})
	aliases  = rapid.SampledFrom([]string{"live", "beta"})
)

// content names a package with a description; a bad package cannot be put in place.
func content(zip, description string) string { return zip + "/" + description }

func bad(content string) bool { return strings.HasPrefix(content, "bad") }

func (m *machine) create(t *rapid.T) {
	name, zip, text, publish := names.Draw(t, "name"), packages.Draw(t, "zip"), texts.Draw(t, "text"), rapid.Bool().Draw(t, "publish")
	c := config()
	c.Description = text
	v, err := m.r.CreateFunction(t.Context(), catalog.New{ID: named(name), Config: c, Zip: []byte(zip), Publish: publish})
	if m.model[name] != nil {
		expect(t, err, kiln.Conflict)
		return
	}
	expect(t, err, "")
	f := &modelFunction{versions: map[int]modelVersion{}, aliases: map[string]modelAlias{}, policies: map[string]string{}, reserved: -1}
	m.model[name] = f
	f.put(content(zip, text))
	if publish {
		f.publish(text)
		expectNumber(t, v, 1)
	}
}

// put makes a content $LATEST, and serving if it can.
func (f *modelFunction) put(content string) {
	f.latest = modelVersion{content: content, failed: bad(content)}
	if !bad(content) {
		f.serving = content
	}
}

// publish numbers $LATEST unless the newest version is the same already.
func (f *modelFunction) publish(description string) int {
	if n := f.highest(); n > 0 && f.versions[n].source == f.latest.content {
		return n
	}
	f.last++
	zip, _, _ := strings.Cut(f.latest.content, "/")
	f.versions[f.last] = modelVersion{content(zip, description), f.latest.failed, f.latest.content}
	return f.last
}

func (f *modelFunction) highest() int {
	highest := 0
	for n := range f.versions {
		highest = max(highest, n)
	}
	return highest
}

func (m *machine) updateCode(t *rapid.T) {
	name, zip, publish := names.Draw(t, "name"), packages.Draw(t, "zip"), rapid.Bool().Draw(t, "publish")
	v, err := m.r.UpdateCode(t.Context(), named(name), catalog.CodeUpdate{Zip: []byte(zip), Publish: publish})
	f := m.model[name]
	if f == nil {
		expect(t, err, kiln.NotFound)
		return
	}
	expect(t, err, "")
	_, text, _ := strings.Cut(f.latest.content, "/")
	f.put(content(zip, text))
	if publish {
		expectNumber(t, v, f.publish(text))
	}
}

func (m *machine) updateConfig(t *rapid.T) {
	name, text, stale := names.Draw(t, "name"), texts.Draw(t, "text"), rapid.Bool().Draw(t, "stale")
	revision := ""
	if stale {
		revision = kiln.NewID()
	}
	_, err := m.r.UpdateConfig(t.Context(), named(name), revision, func(c *kiln.Config) error { c.Description = text; return nil })
	f := m.model[name]
	switch {
	case f == nil:
		expect(t, err, kiln.NotFound)
	case stale:
		expect(t, err, kiln.Precondition)
	default:
		expect(t, err, "")
		zip, _, _ := strings.Cut(f.latest.content, "/")
		f.put(content(zip, text))
	}
}

func (m *machine) publish(t *rapid.T) {
	name, own := names.Draw(t, "name"), rapid.Bool().Draw(t, "own description")
	how := catalog.Publication{}
	if own {
		how.Description = ptr("own")
	}
	v, err := m.r.Publish(t.Context(), named(name), how)
	f := m.model[name]
	switch {
	case f == nil:
		expect(t, err, kiln.NotFound)
	case f.latest.failed:
		expect(t, err, kiln.Conflict)
	default:
		expect(t, err, "")
		_, text, _ := strings.Cut(f.latest.content, "/")
		if own {
			text = "own"
		}
		expectNumber(t, v, f.publish(text))
	}
}

// release is what a deployment does: a change, a version, an alias to it and the one
// before.
func (m *machine) release(t *rapid.T) {
	name := names.Draw(t, "name")
	f := m.model[name]
	if f == nil {
		t.Skip("no function")
	}
	text := strconv.Itoa(f.last)
	if _, err := m.r.UpdateConfig(t.Context(), named(name), "", func(c *kiln.Config) error { c.Description = text; return nil }); err != nil {
		t.Fatal(err)
	}
	m.r.idle(m.t)
	zip, _, _ := strings.Cut(f.latest.content, "/")
	f.put(content(zip, text))
	if f.latest.failed {
		return
	}
	before := f.highest()
	v, err := m.r.Publish(t.Context(), named(name), catalog.Publication{})
	expect(t, err, "")
	expectNumber(t, v, f.publish(text))
	if before == 0 || has(f.aliases, "live") || v.Number == before {
		return
	}
	_, err = m.r.CreateAlias(t.Context(), kiln.Alias{Function: named(name), Name: "live", Version: v.Name(), Weights: map[string]float64{strconv.Itoa(before): 0.5}})
	expect(t, err, "")
	f.aliases["live"] = modelAlias{v.Number, before}
}

func (m *machine) deleteVersion(t *rapid.T) {
	name, n := names.Draw(t, "name"), rapid.IntRange(1, 6).Draw(t, "number")
	err := m.r.DeleteVersion(t.Context(), named(name), kiln.Qualifier(strconv.Itoa(n)))
	f := m.model[name]
	if f == nil || f.versions[n].content == "" {
		expect(t, err, kiln.NotFound)
		return
	}
	for _, a := range f.aliases {
		if a.main == n || a.other == n {
			expect(t, err, kiln.Conflict)
			return
		}
	}
	expect(t, err, "")
	delete(f.versions, n)
	delete(f.policies, strconv.Itoa(n))
}

func (m *machine) deleteFunction(t *rapid.T) {
	name := names.Draw(t, "name")
	err := m.r.DeleteFunction(t.Context(), named(name))
	if m.model[name] == nil {
		expect(t, err, kiln.NotFound)
		return
	}
	expect(t, err, "")
	delete(m.model, name)
}

func (m *machine) putAlias(t *rapid.T) {
	name, alias := names.Draw(t, "name"), aliases.Draw(t, "alias")
	main, other, update := rapid.IntRange(0, 3).Draw(t, "main"), rapid.IntRange(0, 3).Draw(t, "other"), rapid.Bool().Draw(t, "update")
	version := strconv.Itoa(main)
	if main == 0 {
		version = kiln.Latest
	}
	var weights map[string]float64
	if other > 0 {
		weights = map[string]float64{strconv.Itoa(other): 0.5}
	}
	var err error
	if update {
		_, err = m.r.UpdateAlias(t.Context(), named(name), alias, "", func(a *kiln.Alias) error { a.Version, a.Weights = version, weights; return nil })
	} else {
		_, err = m.r.CreateAlias(t.Context(), kiln.Alias{Function: named(name), Name: alias, Version: version, Weights: weights})
	}
	f := m.model[name]
	switch {
	case f == nil:
		expect(t, err, kiln.NotFound)
		return
	case update && !has(f.aliases, alias):
		expect(t, err, kiln.NotFound)
		return
	case !update && has(f.aliases, alias):
		expect(t, err, kiln.Conflict)
		return
	case other > 0 && (main == 0 || other == main):
		expect(t, err, kiln.Invalid)
		return
	case main > 0 && f.versions[main].content == "" || other > 0 && f.versions[other].content == "":
		expect(t, err, kiln.NotFound)
		return
	}
	expect(t, err, "")
	f.aliases[alias] = modelAlias{main, other}
}

func has[V any](m map[string]V, key string) bool { _, ok := m[key]; return ok }

func (m *machine) deleteAlias(t *rapid.T) {
	name, alias := names.Draw(t, "name"), aliases.Draw(t, "alias")
	err := m.r.DeleteAlias(t.Context(), named(name), alias)
	if m.model[name] == nil {
		expect(t, err, kiln.NotFound)
		return
	}
	expect(t, err, "")
	delete(m.model[name].aliases, alias)
	delete(m.model[name].policies, alias)
}

func (m *machine) reserve(t *rapid.T) {
	name, n := names.Draw(t, "name"), rapid.SampledFrom([]int{-1, 0, 100, 400, 500, 900}).Draw(t, "n")
	var value *int
	if n >= 0 {
		value = &n
	}
	err := m.r.SetReserved(t.Context(), named(name), value)
	f := m.model[name]
	if f == nil {
		expect(t, err, kiln.NotFound)
		return
	}
	others := 0
	for other, g := range m.model {
		if other != name {
			others += max(g.reserved, 0)
		}
	}
	if 1000-others-max(n, 0) < 100 {
		expect(t, err, kiln.Invalid)
		return
	}
	expect(t, err, "")
	f.reserved = n
}

func (m *machine) restart(t *rapid.T) {
	m.reached["a start with functions"] += len(m.model)
	m.r.open(m.t)
}

func (m *machine) sweep(t *rapid.T) {
	if _, err := m.r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// check compares the whole book with the model.
func (m *machine) check(t *rapid.T) {
	m.r.idle(m.t)
	var got []string
	for _, v := range m.r.Functions(home) {
		got = append(got, v.Function.Name)
	}
	if want := slices.Sorted(maps.Keys(m.model)); !slices.Equal(got, want) {
		t.Fatalf("functions are %q, want %q", got, want)
	}
	sum := 0
	for name, f := range m.model {
		sum += max(f.reserved, 0)
		m.checkFunction(t, name, f)
	}
	if got := m.r.Reserved(home); got != sum {
		t.Errorf("reserved is %d, want %d", got, sum)
	}
}

func (m *machine) checkFunction(t *rapid.T, name string, f *modelFunction) {
	id := named(name)
	fn, err := m.r.Function(id)
	expect(t, err, "")
	if f.reserved < 0 != (fn.Reserved == nil) || fn.Reserved != nil && *fn.Reserved != f.reserved {
		t.Errorf("%s: reserved is %v, want %d", name, fn.Reserved, f.reserved)
	}
	versions, err := m.r.Versions(id)
	expect(t, err, "")
	numbers := []int{}
	for _, v := range versions {
		numbers = append(numbers, v.Number)
		want := f.latest
		if v.Number > 0 {
			want = f.versions[v.Number]
		}
		m.checkVersion(t, v, want)
	}
	if want := append([]int{0}, slices.Sorted(maps.Keys(f.versions))...); !slices.Equal(numbers, want) {
		t.Errorf("%s: versions are %v, want %v", name, numbers, want)
	}
	m.checkRuns(t, id, "", f.serving)
	for n, v := range f.versions {
		serving := v.content
		if v.failed {
			serving = ""
		}
		m.checkRuns(t, id, kiln.Qualifier(strconv.Itoa(n)), serving)
	}
	m.checkPolicies(t, id, f)
	got, err := m.r.Aliases(id, "")
	expect(t, err, "")
	if len(got) != len(f.aliases) {
		t.Errorf("%s: there are %d aliases, want %d", name, len(got), len(f.aliases))
	}
	for alias, to := range f.aliases {
		for draw, n := range map[float64]int{0.49: to.other, 0.51: to.main} {
			if to.other == 0 {
				n = to.main
			} else {
				m.reached["a weighted alias"]++
			}
			m.r.draw = draw
			want := f.serving
			if n > 0 {
				want = f.versions[n].content
				if f.versions[n].failed {
					want = ""
				}
			}
			m.checkRuns(t, id, kiln.Qualifier(alias), want)
		}
	}
}

// checkVersion compares a version with the model, and that its revision id stood
// for nothing else before.
func (m *machine) checkVersion(t *rapid.T, v *kiln.Version, want modelVersion) {
	what := v.Function.Name + ":" + v.Name()
	if got := m.contentOf(v); got != want.content {
		t.Errorf("%s is %q, want %q", what, got, want.content)
	}
	if v.Status.State == kiln.Active && v.Status.Update == kiln.UpdateFailed {
		m.reached["old code beside a failed update"]++
	}
	failed := v.Status.State == kiln.Failed || v.Status.Update == kiln.UpdateFailed
	if failed != want.failed || v.Status.State == kiln.Pending || v.Status.Update == kiln.InProgress {
		t.Errorf("%s has status %+v, want failed: %v", what, v.Status, want.failed)
	}
	means := fmt.Sprintf("%s %v %+v %+v", what, v.Package, v.Config, v.Status)
	if before, known := m.seen[v.RevisionID]; known && before != means {
		t.Errorf("revision id %s stands for\n%s\nand\n%s", v.RevisionID, before, means)
	}
	m.seen[v.RevisionID] = means
}

// checkRuns compares what a call runs with the model, and that a revision is one
// content of one version for ever.
func (m *machine) checkRuns(t *rapid.T, id kiln.FunctionID, q kiln.Qualifier, want string) {
	target, err := m.r.Resolve(id, q)
	if want == "" {
		expect(t, err, kiln.Conflict)
		return
	}
	expect(t, err, "")
	got := m.contentOf(target.Version)
	if got != want {
		t.Errorf("%s:%s runs %q, want %q", id.Name, q, got, want)
	}
	means := id.Name + ":" + target.Version.Name() + " " + got
	if before, known := m.seen[string(target.Revision)]; known && before != means {
		t.Errorf("revision %s is %q and %q", target.Revision, before, means)
	}
	m.seen[string(target.Revision)] = means
}

func (m *machine) contentOf(v *kiln.Version) string {
	r, size, err := m.r.Package(m.t.Context(), v)
	if err != nil {
		m.t.Fatalf("the package of %s:%s is gone: %v", v.Function, v.Name(), err)
	}
	defer r.Close()
	zip := make([]byte, size)
	if _, err := r.Read(zip); err != nil {
		m.t.Fatal(err)
	}
	return content(string(zip), v.Config.Description)
}

func expect(t *rapid.T, err error, code kiln.Code) {
	t.Helper()
	if code == "" && err != nil || code != "" && kiln.CodeOf(err) != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	if code != "" && err == nil {
		t.Fatalf("got no error, want %s", code)
	}
}

func expectNumber(t *rapid.T, v *kiln.Version, want int) {
	t.Helper()
	if v.Number != want {
		t.Fatalf("version %d was published, want %d", v.Number, want)
	}
}

func TestTheBookDoesWhatTheModelDoes(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		r.preps.failWith(func(v *kiln.Version) error {
			if blob, size, err := r.blobs.Open(v.Package.SHA256); err == nil {
				text := make([]byte, size)
				if _, err := blob.ReadAt(text, 0); err == nil && bad(string(text)) {
					return kiln.Errorf(kiln.BadPackage, "it is bad")
				}
			}
			return nil
		})
		m := &machine{t: rt, r: r, model: model{}, seen: map[string]string{}, reached: reached}
		rt.Repeat(map[string]func(*rapid.T){
			"create": m.create, "update code": m.updateCode, "update configuration": m.updateConfig, "publish": m.publish, "release": m.release,
			"delete version": m.deleteVersion, "delete function": m.deleteFunction, "put alias": m.putAlias, "delete alias": m.deleteAlias, "policy": m.policy,
			"reserve": m.reserve, "restart": m.restart, "sweep": m.sweep, "": m.check,
		})
		if err := r.Close(); err != nil {
			rt.Fatal(err)
		}
	})
	for _, what := range []string{"a weighted alias", "old code beside a failed update", "a start with functions", "a policy"} {
		if reached[what] == 0 {
			t.Errorf("the test never came to %s", what)
		}
	}
}
