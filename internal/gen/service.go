package main

import "strings"

// streamed says whether the answer of an operation is an event stream.
func (m *api) streamed(op *operation) bool {
	out := m.output(op)
	if out == nil {
		return false
	}
	pay, ok := payload(out)
	return ok && m.shape(pay.Shape).EventStream
}

// signature returns parameters and results of an operation's method.
func (m *api) signature(op *operation) (params, results string) {
	params = "ctx context.Context, in *" + op.Input.Shape
	switch {
	case m.streamed(op):
		return params + ", out *Stream", "error"
	case op.Output == nil:
		return params, "error"
	}
	return params, "(*" + op.Output.Shape + ", error)"
}

// emitService writes the interface of all operations and the embeddable default.
func emitService(m *api, f *file) error {
	f.use("context")
	f.p("// Service is the Lambda API: one method an operation. An operation without output")
	f.p("// returns an error only.")
	f.p("type Service interface {")
	for _, op := range m.operations() {
		params, results := m.signature(op)
		f.p("\t%s(%s) %s", op.Name, params, results)
	}
	f.p("}\n")
	f.p("// Unimplemented answers every operation with 501 NotImplementedException. Embed it")
	f.p("// and write the methods that exist.")
	f.p("type Unimplemented struct{}\n")
	f.p("var _ Service = Unimplemented{}\n")
	for _, op := range m.operations() {
		params, results := m.signature(op)
		params = strings.Replace(params, "ctx ", "_ ", 1)
		params = strings.Replace(params, "in ", "_ ", 1)
		params = strings.Replace(params, "out ", "_ ", 1)
		value := "notImplemented(%q)"
		if strings.HasPrefix(results, "(") {
			value = "nil, " + value
		}
		f.p("// %s answers 501.", op.Name)
		f.p("func (Unimplemented) %s(%s) %s { return "+value+" }\n", op.Name, params, results, op.Name)
	}
	return nil
}

// bodyKind says what the body of a request is: nothing, JSON or raw bytes.
func (m *api) bodyKind(op *operation) string {
	in := m.input(op)
	if pay, ok := payload(in); ok && m.shape(pay.Shape).Type == "blob" {
		return "bodyRaw"
	} else if ok || len(bodyMembers(in)) > 0 {
		return "bodyJSON"
	}
	return "bodyNone"
}

// emitOperations writes the table of operations and, for each, the function that
// takes a request from decoding to the written answer.
func emitOperations(m *api, f *file) error {
	f.p("// Indices into the table of operations.")
	f.p("const (")
	for i, op := range m.operations() {
		if i == 0 {
			f.p("\top%s = iota", op.Name)
			continue
		}
		f.p("\top%s", op.Name)
	}
	f.p(")\n")
	f.p("// operations lists every operation by name.")
	f.p("var operations = [...]operation{")
	for _, op := range m.operations() {
		f.p("\top%[1]s: {name: %[1]q, body: %[2]s, serve: serve%[1]s},", op.Name, m.bodyKind(op))
	}
	f.p("}\n")
	for _, op := range m.operations() {
		f.p("// serve%[1]s decodes, checks and answers one %[1]s.", op.Name)
		f.p("func serve%s(c *call) error {", op.Name)
		f.p("\tin := new(%s)", op.Input.Shape)
		f.p("\tif err := in.decode(c); err != nil {\n\t\treturn err\n\t}")
		f.p("\tif err := in.Validate(); err != nil {\n\t\treturn err\n\t}")
		f.p("\tif err := c.permitted(%q, in); err != nil {\n\t\treturn err\n\t}", op.Name)
		switch {
		case m.streamed(op):
			f.p("\tout := newStream(c.w)")
			f.p("\treturn out.end(c.service.%s(c.ctx, in, out))", op.Name)
		case op.Output == nil:
			f.p("\tif err := c.service.%s(c.ctx, in); err != nil {\n\t\treturn err\n\t}", op.Name)
			f.p("\treturn c.empty(%d)", op.HTTP.Status)
		default:
			f.p("\tout, err := c.service.%s(c.ctx, in)", op.Name)
			f.p("\tif err != nil {\n\t\treturn err\n\t}")
			f.p("\tif out == nil {\n\t\treturn errNoOutput\n\t}")
			f.p("\treturn out.write(c, %d)", op.HTTP.Status)
		}
		f.p("}\n")
	}
	return nil
}
