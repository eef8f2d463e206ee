package catalog_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"kiln"
	"kiln/engine/catalog"
)

// layerModel is what the book must say of layers, and of functions that have them.
type layerModel struct {
	r     *rig
	last  map[string]int                     // the highest number of each layer
	there map[string]map[int]kiln.Package    // layer → number → package
	have  map[string]map[int][]kiln.LayerUse // function → version → its layers; 0 is $LATEST
	code  map[string]kiln.Package            // of each function
}

// TestLayersFollowTheirModel does what users do in any order, with sweeps and restarts
// between, and holds the book and the store of packages to the model after each step.
func TestLayersFollowTheirModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &layerModel{
			r: newRig(t), last: map[string]int{}, there: map[string]map[int]kiln.Package{}, have: map[string]map[int][]kiln.LayerUse{},
			code: map[string]kiln.Package{},
		}
		layer := rapid.SampledFrom([]string{"a", "b"})
		function := rapid.SampledFrom([]string{"f", "g"})
		t.Repeat(map[string]func(*rapid.T){
			"publish layer": func(t *rapid.T) {
				name := layer.Draw(t, "layer")
				// few contents, so that layers share packages with each other and with code
				v := m.r.layer(t, name, fmt.Sprint("content ", rapid.IntRange(0, 3).Draw(t, "content")))
				if m.last[name]++; v.Number != m.last[name] {
					t.Fatalf("%s got number %d, want %d", name, v.Number, m.last[name])
				}
				if m.there[name] == nil {
					m.there[name] = map[int]kiln.Package{}
				}
				m.there[name][v.Number] = v.Package
			},
			"delete layer version": func(t *rapid.T) {
				name := layer.Draw(t, "layer")
				number := rapid.IntRange(1, max(1, m.last[name])).Draw(t, "number")
				if err := m.r.DeleteLayerVersion(t.Context(), layerNamed(name), number); err != nil {
					t.Fatal(err)
				}
				delete(m.there[name], number)
			},
			"create": func(t *rapid.T) {
				name := function.Draw(t, "function")
				cfg := config()
				cfg.Layers = m.draw(t)
				v, err := m.r.CreateFunction(t.Context(), catalog.New{ID: named(name), Config: cfg, Zip: fmt.Append(nil, "content ", rapid.IntRange(0, 3).Draw(t, "content"))})
				if _, exists := m.have[name]; exists != (err != nil) {
					t.Fatalf("create %s: %v", name, err)
				}
				if err == nil {
					m.have[name], m.code[name] = map[int][]kiln.LayerUse{0: cfg.Layers}, v.Package
				}
				m.r.idle(t)
			},
			"set layers": func(t *rapid.T) {
				name, list := function.Draw(t, "function"), m.draw(t)
				_, err := m.r.UpdateConfig(t.Context(), named(name), "", func(c *kiln.Config) error { c.Layers = list; return nil })
				if _, exists := m.have[name]; exists != (err == nil) {
					t.Fatalf("set layers of %s: %v", name, err)
				}
				if err == nil {
					m.have[name][0] = list
				}
				m.r.idle(t)
			},
			"publish version": func(t *rapid.T) {
				name := function.Draw(t, "function")
				v, err := m.r.Publish(t.Context(), named(name), catalog.Publication{})
				if _, exists := m.have[name]; exists != (err == nil) {
					t.Fatalf("publish %s: %v", name, err)
				}
				if err == nil {
					m.have[name][v.Number] = m.have[name][0]
				}
			},
			"delete function": func(t *rapid.T) {
				name := function.Draw(t, "function")
				err := m.r.DeleteFunction(t.Context(), named(name))
				if _, exists := m.have[name]; exists != (err == nil) {
					t.Fatalf("delete %s: %v", name, err)
				}
				delete(m.have, name)
				delete(m.code, name)
			},
			"sweep": func(t *rapid.T) {
				if _, err := m.r.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				kept := m.referred()
				if n, err := m.r.blobs.Sweep(t.Context(), func(sha string) bool { return kept[sha] }); err != nil || n != 0 {
					t.Fatalf("the sweep left %d packages that nothing refers to, %v", n, err)
				}
			},
			"restart": func(t *rapid.T) { m.r.open(t) },
			"":        m.check,
		})
	})
}

// draw picks layers that are there, at most one version of each.
func (m *layerModel) draw(t *rapid.T) []kiln.LayerUse {
	var list []kiln.LayerUse
	for _, name := range slices.Sorted(maps.Keys(m.there)) {
		numbers := slices.Sorted(maps.Keys(m.there[name]))
		if len(numbers) == 0 || rapid.IntRange(0, 3).Draw(t, "leave "+name) == 3 {
			continue
		}
		n := rapid.SampledFrom(numbers).Draw(t, "of "+name)
		list = append(list, kiln.LayerUse{ARN: layerNamed(name).VersionARN(n), Package: m.there[name][n]})
	}
	return list
}

// referred gives the packages that something refers to.
func (m *layerModel) referred() map[string]bool {
	all := map[string]bool{}
	for _, numbers := range m.there {
		for _, p := range numbers {
			all[p.SHA256] = true
		}
	}
	for name, versions := range m.have {
		all[m.code[name].SHA256] = true
		for _, list := range versions {
			for _, use := range list {
				all[use.Package.SHA256] = true
			}
		}
	}
	return all
}

// check holds the book to the model.
func (m *layerModel) check(t *rapid.T) {
	for name, numbers := range m.there {
		got := numbersOf(m.r.LayerVersions(layerNamed(name)))
		slices.Reverse(got)
		if want := slices.Sorted(maps.Keys(numbers)); !slices.Equal(got, want) {
			t.Fatalf("layer %s has %v, want %v", name, got, want)
		}
	}
	for name, versions := range m.have {
		for number, want := range versions {
			q := kiln.Qualifier("")
			if number > 0 {
				q = kiln.Qualifier(fmt.Sprint(number))
			}
			if got := m.r.version(t, name, q).Config.Layers; !slices.Equal(got, want) {
				t.Fatalf("%s:%d has %v, want %v", name, number, got, want)
			}
		}
	}
	for sha := range m.referred() {
		blob, _, err := m.r.blobs.Open(sha)
		if err != nil {
			t.Fatalf("a package that is referred to is gone: %v", err)
		}
		if err := blob.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
