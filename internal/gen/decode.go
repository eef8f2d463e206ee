package main

import (
	"fmt"
	"net/http"
)

// readers names the method of the JSON decoder for a scalar type.
var readers = map[string]string{
	"string": "string", "boolean": "boolean", "integer": "int32", "long": "int64",
	"double": "float64", "timestamp": "time", "blob": "blob",
}

// queries names the method that reads a query member of a type.
var queries = map[string]string{
	"string": "queryString", "boolean": "queryBool", "integer": "queryInt32", "timestamp": "queryTime",
}

// emitDecoders writes, for every input, how it is read from a request, and for
// every structure and list below it how it is read from JSON.
func emitDecoders(m *api, f *file) error {
	for _, op := range m.operations() {
		if err := emitRequestDecoder(m, f, op); err != nil {
			return fmt.Errorf("%s: %w", op.Name, err)
		}
	}
	done := map[string]bool{}
	for _, name := range m.inputs() {
		done[name] = true
	}
	for _, s := range structures(m.reachable(m.inputs()...)) {
		if done[s.name] {
			continue
		}
		f.p("// decode%s reads one %s.", s.name, s.name)
		f.p("func decode%s(d *decoder) (v %s) {", s.name, s.name)
		emitMemberSwitch(m, f, s.Members)
		f.p("\treturn v\n}\n")
	}
	return nil
}

// emitMemberSwitch writes the loop over the members of a JSON object.
func emitMemberSwitch(m *api, f *file, list members) {
	f.p("\tfor more := d.object(); more; more = d.nextMember() {")
	if len(list) == 0 {
		f.p("\t\td.skip()\n\t}")
		return
	}
	f.p("\t\tswitch string(d.name) {")
	for _, mem := range list.sorted() {
		f.p("\t\tcase %q:", mem.Name)
		f.p("\t\t\tv.%s = %s", exported(mem.Name), m.readMember(mem.Shape))
	}
	f.p("\t\tdefault:\n\t\t\td.skip()\n\t\t}\n\t}")
}

// readMember is the expression that reads an optional member.
func (m *api) readMember(name string) string {
	switch s := m.shape(name); s.Type {
	case "list":
		return fmt.Sprintf("decodeList(d, %s)", m.reader(s.Member.Shape))
	case "map":
		return fmt.Sprintf("decodeMap(d, %s)", m.reader(s.Value.Shape))
	case "blob":
		return "d.optionalBlob()"
	}
	return fmt.Sprintf("optional(d, %s)", m.reader(name))
}

// reader is the function value that reads one element of a shape.
func (m *api) reader(name string) string {
	switch s := m.shape(name); s.Type {
	case "structure":
		return "decode" + name
	case "list":
		return fmt.Sprintf("func(d *decoder) []%s { return decodeList(d, %s) }", m.goType(s.Member.Shape, "time.Time"), m.reader(s.Member.Shape))
	default:
		return "(*decoder)." + readers[s.Type]
	}
}

// emitRequestDecoder writes how the members of one input are gathered from path,
// query, headers and body.
func emitRequestDecoder(m *api, f *file, op *operation) error {
	in := m.input(op)
	f.p("// decode reads the input of %s from a request.", op.Name)
	f.p("func (v *%s) decode(c *call) error {", in.name)
	index := map[string]int{}
	for i, name := range labels(op.HTTP.URI) {
		index[name] = i
	}
	for _, mem := range in.Members {
		typ := m.shape(mem.Shape).Type
		switch mem.Location {
		case "uri":
			i, ok := index[mem.LocationName]
			if !ok {
				return fmt.Errorf("no label for %s", mem.Name)
			}
			read := map[string]string{"string": "label", "long": "labelInt64"}[typ]
			if read == "" {
				return fmt.Errorf("label %s of type %s", mem.Name, typ)
			}
			f.p("\tv.%s = c.%s(%d)", mem.Name, read, i)
		case "querystring":
			if typ == "list" && m.shape(m.shape(mem.Shape).Member.Shape).Type == "string" {
				f.p("\tv.%s = c.queryList(%q)", mem.Name, mem.LocationName)
				continue
			}
			if queries[typ] == "" {
				return fmt.Errorf("query member %s of type %s", mem.Name, typ)
			}
			f.p("\tv.%s = c.%s(%q)", mem.Name, queries[typ], mem.LocationName)
		case "header":
			if typ != "string" {
				return fmt.Errorf("header member %s of type %s", mem.Name, typ)
			}
			f.p("\tv.%s = c.header(%q)", mem.Name, http.CanonicalHeaderKey(mem.LocationName))
		case "":
		default:
			return fmt.Errorf("input member %s in %s", mem.Name, mem.Location)
		}
	}
	if len(index) != countLocation(in, "uri") {
		return fmt.Errorf("path has labels that no member takes")
	}
	if pay, ok := payload(in); ok {
		if m.shape(pay.Shape).Type == "blob" {
			f.p("\tv.%s = c.body", pay.Name)
		} else {
			f.p("\tif d := c.decoder(); d != nil {")
			f.p("\t\tv.%s = %s", pay.Name, m.readMember(pay.Shape))
			f.p("\t\tc.finish(d)\n\t}")
		}
	} else if body := bodyMembers(in); len(body) > 0 {
		f.p("\tif d := c.decoder(); d != nil {")
		f.p("\t\tif !d.null() {")
		emitMemberSwitch(m, f, body)
		f.p("\t\t}\n\t\tc.finish(d)\n\t}")
	}
	f.p("\treturn c.err\n}\n")
	return nil
}

// countLocation counts the members of a structure in one place.
func countLocation(s *shape, location string) (n int) {
	for _, mem := range s.Members {
		if mem.Location == location {
			n++
		}
	}
	return n
}
