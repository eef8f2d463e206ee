package main

import (
	"fmt"
	"strings"
	"unicode"
)

// emitEnums writes the values of every enumeration as untyped string constants,
// so that they compare with and assign to plain strings.
func emitEnums(m *api, f *file) error {
	roots := append(append(m.inputs(), m.outputs()...), "ThrottleReason")
	taken := map[string]string{}
	for _, s := range m.reachable(roots...) {
		if s.Type != "string" || len(s.Enum) == 0 {
			continue
		}
		f.p("// Values of %s.", s.name)
		f.p("const (")
		for _, v := range s.Enum {
			name := s.name + enumName(v)
			if other, ok := taken[name]; ok {
				return fmt.Errorf("enum values %q and %q of %s share the name %s", other, v, s.name, name)
			}
			taken[name] = v
			f.p("\t%s = %q", name, v)
		}
		f.p(")\n")
	}
	return nil
}

// enumName turns a value such as TRIM_HORIZON or nodejs4.3-edge into the tail of
// a Go name.
func enumName(v string) string {
	var b strings.Builder
	words := strings.FieldsFunc(v, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for _, w := range words {
		if len(w) > 1 && w == strings.ToUpper(w) && strings.ToUpper(v) == v {
			w = strings.ToLower(w)
		}
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return b.String()
}

// emitServerShapes writes the structures of the API as plain Go structures, with
// members in the model's order.
func emitServerShapes(m *api, f *file) error {
	for _, s := range structures(m.reachable(append(m.inputs(), m.outputs()...)...)) {
		emitStruct(m, f, s, s.Members, "time.Time", nil)
	}
	return nil
}

// emitClientShapes writes the same structures for encoding/json: members in
// alphabetical order, which is the order on the wire.
func emitClientShapes(m *api, f *file) error {
	tag := func(s *shape, mem member) string {
		if mem.Name == s.Payload || mem.Location != "" && mem.Location != "statusCode" {
			return "`json:\"-\"`"
		}
		return fmt.Sprintf("`json:\"%s,omitzero\"`", mem.Name)
	}
	for _, s := range structures(m.reachable(append(m.inputs(), m.outputs()...)...)) {
		emitStruct(m, f, s, s.Members.sorted(), "Time", tag)
	}
	return nil
}

// emitStruct writes one structure.
func emitStruct(m *api, f *file, s *shape, list members, timeType string, tag func(*shape, member) string) {
	f.p("// %s is %s.", s.name, m.role(s.name))
	f.p("type %s struct {", s.name)
	for _, mem := range list {
		if m.shape(mem.Shape).EventStream {
			continue
		}
		t := m.fieldType(mem, timeType)
		if strings.Contains(t, "time.Time") {
			f.use("time")
		}
		text := ""
		if tag != nil {
			text = tag(s, mem)
		}
		f.p("\t%s %s %s // %s", exported(mem.Name), t, text, m.travels(s, mem))
	}
	f.p("}\n")
}

// role says in words which part of the API a structure is.
func (m *api) role(name string) string {
	var in, out []string
	for _, op := range m.operations() {
		if op.Input.Shape == name {
			in = append(in, op.Name)
		}
		if op.Output != nil && op.Output.Shape == name {
			out = append(out, op.Name)
		}
	}
	switch {
	case len(in) > 0:
		return "the input of " + strings.Join(in, ", ")
	case len(out) > 0:
		return "the output of " + strings.Join(out, ", ")
	}
	return "a structure of the API"
}

// travels says in words where a member is on the wire.
func (m *api) travels(s *shape, mem member) string {
	what := mem.Shape
	if s.required(mem.Name) {
		what += ", required"
	}
	switch {
	case mem.Name == s.Payload:
		return what + ", the whole body"
	case mem.Location == "uri":
		return what + ", in the path"
	case mem.Location == "querystring":
		return what + ", query " + mem.LocationName
	case mem.Location == "header":
		return what + ", header " + mem.LocationName
	case mem.Location == "statusCode":
		return what + ", the status"
	}
	return what
}

// exported makes a member name a Go field name.
func exported(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
