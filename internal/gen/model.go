package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// api is the whole model: the published one with the supplement merged in.
type api struct {
	Operations map[string]*operation `json:"operations"`
	Shapes     map[string]*shape     `json:"shapes"`
	overrides  overrides
}

// operation is one call of the API.
type operation struct {
	Name string `json:"name"`
	HTTP struct {
		Method string `json:"method"`
		URI    string `json:"requestUri"`
		Status int    `json:"responseCode"`
	} `json:"http"`
	Input  ref  `json:"input"`
	Output *ref `json:"output"`
}

// ref names a shape.
type ref struct {
	Shape string `json:"shape"`
}

// shape is a type of the model.
type shape struct {
	name        string
	Type        string       `json:"type"`
	Enum        []string     `json:"enum"`
	Min         *json.Number `json:"min"`
	Max         *json.Number `json:"max"`
	Pattern     string       `json:"pattern"`
	Required    []string     `json:"required"`
	Members     members      `json:"members"`
	Member      ref          `json:"member"`
	Key         ref          `json:"key"`
	Value       ref          `json:"value"`
	Payload     string       `json:"payload"`
	Sensitive   bool         `json:"sensitive"`
	Exception   bool         `json:"exception"`
	Fault       bool         `json:"fault"`
	EventStream bool         `json:"eventstream"`
	TimeFormat  string       `json:"timestampFormat"`
	Error       struct {
		Status int `json:"httpStatusCode"`
	} `json:"error"`
}

// required says whether a member must be present.
func (s *shape) required(name string) bool {
	for _, r := range s.Required {
		if r == name {
			return true
		}
	}
	return false
}

// member is one member of a structure; where it travels is Location, empty for
// the body.
type member struct {
	Name         string `json:"-"`
	Shape        string `json:"shape"`
	Location     string `json:"location"`
	LocationName string `json:"locationName"`
}

// members keeps the declared order, which error messages follow.
type members []member

// UnmarshalJSON reads an object without losing the order of its keys.
func (m *members) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		v := member{Name: key.(string)}
		if err := d.Decode(&v); err != nil {
			return err
		}
		*m = append(*m, v)
	}
	return nil
}

// sorted returns the members in alphabetical order, as answers list them.
func (m members) sorted() members {
	out := append(members(nil), m...)
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// overrides holds what recorded answers of the service show differently.
type overrides struct {
	EnumText               map[string][]string `json:"enumText"`
	PatternText            map[string]string   `json:"patternText"`
	ElementsWithoutNotNull []string            `json:"elementsWithoutNotNull"`
	KeysWithNotNull        []string            `json:"keysWithNotNull"`
	UncheckedEnums         []string            `json:"uncheckedEnums"`
	Special                []string            `json:"special"`
	Rename                 map[string]string   `json:"rename"`
	Comment                string              `json:"comment"`
}

// load reads the model, merges the supplement and checks the result against the
// list of operations.
func load(dir string) (*api, error) {
	var m, extra api
	if err := readJSON(filepath.Join(dir, "lambda-2015-03-31.json"), &m, false); err != nil {
		return nil, err
	}
	if err := readJSON(filepath.Join(dir, "supplement.json"), &extra, true); err != nil {
		return nil, err
	}
	if err := readJSON(filepath.Join(dir, "overrides.json"), &m.overrides, true); err != nil {
		return nil, err
	}
	if err := m.merge(&extra); err != nil {
		return nil, err
	}
	if err := m.rename(); err != nil {
		return nil, err
	}
	for name, s := range m.Shapes {
		s.name = name
	}
	if err := m.checkReferences(); err != nil {
		return nil, err
	}
	list, err := os.ReadFile(filepath.Join(dir, "operations.tsv"))
	if err != nil {
		return nil, err
	}
	return &m, m.checkList(string(list))
}

// readJSON decodes a file; strict refuses members that nothing reads.
func readJSON(path string, into any, strict bool) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// merge adds operations, shapes and members that the model lacks. What the model
// already has is an error, so that a refreshed model shortens the supplement.
func (m *api) merge(extra *api) error {
	for name, op := range extra.Operations {
		if m.Operations[name] != nil {
			return fmt.Errorf("supplement: the model has operation %s by now", name)
		}
		m.Operations[name] = op
	}
	for name, s := range extra.Shapes {
		have := m.Shapes[name]
		if have == nil {
			m.Shapes[name] = s
			continue
		}
		for _, add := range s.Members {
			for _, old := range have.Members {
				if old.Name == add.Name {
					return fmt.Errorf("supplement: the model has %s.%s by now", name, add.Name)
				}
			}
			have.Members = append(have.Members, add)
		}
	}
	return nil
}

// rename gives shapes other names where the model's would collide with a name of the
// packages.
func (m *api) rename() error {
	for from, to := range m.overrides.Rename {
		if m.Shapes[from] == nil || m.Shapes[to] != nil {
			return fmt.Errorf("overrides: cannot rename %s to %s", from, to)
		}
		m.Shapes[to] = m.Shapes[from]
		delete(m.Shapes, from)
	}
	move := func(name *string) {
		if to, ok := m.overrides.Rename[*name]; ok {
			*name = to
		}
	}
	for _, s := range m.Shapes {
		for i := range s.Members {
			move(&s.Members[i].Shape)
		}
		move(&s.Member.Shape)
		move(&s.Key.Shape)
		move(&s.Value.Shape)
	}
	return nil
}

// checkReferences proves that every named shape exists and every override is of use.
func (m *api) checkReferences() error {
	need := func(where, name string) error {
		if m.Shapes[name] == nil {
			return fmt.Errorf("%s: no shape %q", where, name)
		}
		return nil
	}
	for name, s := range m.Shapes {
		switch s.Type {
		case "structure", "list", "map", "timestamp":
		default:
			if goTypes[s.Type] == "" {
				return fmt.Errorf("shape %s: type %q is not known", name, s.Type)
			}
		}
		for _, mem := range s.Members {
			if err := need(name+"."+mem.Name, mem.Shape); err != nil {
				return err
			}
		}
		for _, r := range []ref{s.Member, s.Key, s.Value} {
			if r.Shape == "" {
				continue
			}
			if err := need(name, r.Shape); err != nil {
				return err
			}
		}
	}
	for name := range m.overrides.EnumText {
		if err := need("overrides", name); err != nil {
			return err
		}
	}
	for name := range m.overrides.PatternText {
		if err := need("overrides", name); err != nil {
			return err
		}
	}
	for _, name := range slices.Concat(m.overrides.ElementsWithoutNotNull, m.overrides.KeysWithNotNull, m.overrides.Special) {
		if err := need("overrides", name); err != nil {
			return err
		}
	}
	return nil
}

// checkList proves that the operations are exactly those of the list.
func (m *api) checkList(list string) error {
	seen := 0
	for _, line := range strings.Split(strings.TrimSpace(list), "\n") {
		op := m.Operations[strings.Split(line, "\t")[0]]
		if op == nil {
			return fmt.Errorf("operations.tsv: %q is not in the model", line)
		}
		have := fmt.Sprintf("%s\t%s\t%s\t%d", op.Name, op.HTTP.Method, op.HTTP.URI, op.HTTP.Status)
		if have != line {
			return fmt.Errorf("operations.tsv: %q, but the model has %q", line, have)
		}
		seen++
	}
	if seen != len(m.Operations) {
		return fmt.Errorf("operations.tsv lists %d operations, the model has %d", seen, len(m.Operations))
	}
	return nil
}
