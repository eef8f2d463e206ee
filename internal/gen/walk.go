package main

import "sort"

// operations returns all operations by name.
func (m *api) operations() []*operation {
	out := make([]*operation, 0, len(m.Operations))
	for _, op := range m.Operations {
		out = append(out, op)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// shape returns a shape that load has proved to exist.
func (m *api) shape(name string) *shape { return m.Shapes[name] }

// input returns the input structure of an operation.
func (m *api) input(op *operation) *shape { return m.Shapes[op.Input.Shape] }

// output returns the output structure of an operation, or nil.
func (m *api) output(op *operation) *shape {
	if op.Output == nil {
		return nil
	}
	return m.Shapes[op.Output.Shape]
}

// reachable returns every structure met from the given roots, by name. The event
// stream of a streamed answer is left out: it is framed by hand.
func (m *api) reachable(roots ...string) []*shape {
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if name == "" || seen[name] || m.Shapes[name].EventStream {
			return
		}
		seen[name] = true
		s := m.Shapes[name]
		for _, mem := range s.Members {
			visit(mem.Shape)
		}
		visit(s.Member.Shape)
		visit(s.Key.Shape)
		visit(s.Value.Shape)
	}
	for _, r := range roots {
		visit(r)
	}
	var out []*shape
	for name := range seen {
		out = append(out, m.Shapes[name])
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

// inputs names the input of every operation.
func (m *api) inputs() (names []string) {
	for _, op := range m.operations() {
		names = append(names, op.Input.Shape)
	}
	return names
}

// outputs names the outputs of the operations that have one.
func (m *api) outputs() (names []string) {
	for _, op := range m.operations() {
		if op.Output != nil {
			names = append(names, op.Output.Shape)
		}
	}
	return names
}

// structures keeps the structures of a list of shapes.
func structures(all []*shape) (out []*shape) {
	for _, s := range all {
		if s.Type == "structure" {
			out = append(out, s)
		}
	}
	return out
}

// bodyMembers returns the members that travel as JSON, in declared order.
func bodyMembers(s *shape) (out members) {
	for _, mem := range s.Members {
		if mem.Location == "" && mem.Name != s.Payload {
			out = append(out, mem)
		}
	}
	return out
}

// payload returns the member that is the whole body, if there is one.
func payload(s *shape) (member, bool) {
	for _, mem := range s.Members {
		if mem.Name == s.Payload {
			return mem, true
		}
	}
	return member{}, false
}

// goTypes maps the scalar types of the model to Go.
var goTypes = map[string]string{
	"string": "string", "boolean": "bool", "integer": "int32", "long": "int64", "double": "float64", "blob": "[]byte",
}

// goType is the Go type of a shape as an element of a list or map.
func (m *api) goType(name, timeType string) string {
	switch s := m.shape(name); s.Type {
	case "timestamp":
		return timeType
	case "structure":
		return name
	case "list":
		return "[]" + m.goType(s.Member.Shape, timeType)
	case "map":
		return "map[string]" + m.goType(s.Value.Shape, timeType)
	default:
		return goTypes[s.Type]
	}
}

// fieldType is the Go type of a member: labels of the path are always present and
// plain, everything else that can be absent is a pointer, slice or map.
func (m *api) fieldType(mem member, timeType string) string {
	t := m.goType(mem.Shape, timeType)
	if mem.Location == "uri" {
		return t
	}
	switch m.shape(mem.Shape).Type {
	case "list", "map", "blob":
		return t
	}
	return "*" + t
}
