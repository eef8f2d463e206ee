package main

import (
	"fmt"
	"strings"
)

// emitClientOperations writes one method an operation. Invoke and streamed operations
// are unexported: hand-written methods give their answers a better form.
func emitClientOperations(m *api, f *file) error {
	f.use("context")
	for _, op := range m.operations() {
		if err := emitClientOperation(m, f, op); err != nil {
			return fmt.Errorf("%s: %w", op.Name, err)
		}
	}
	return nil
}

// emitClientOperation writes the method of one operation.
func emitClientOperation(m *api, f *file, op *operation) error {
	in, out := m.input(op), m.output(op)
	name, result, fail := op.Name, "error", "err"
	switch {
	case m.streamed(op):
		f.use("net/http")
		name, result, fail = lowerFirst(op.Name), "(*http.Response, error)", "nil, err"
	case out != nil:
		result, fail = "(*"+out.name+", error)", "nil, err"
	}
	if op.Name == "Invoke" {
		name, result, fail = lowerFirst(op.Name), "(*"+out.name+", *answer, error)", "nil, nil, err"
	}
	f.p("// %s calls %s.", name, op.Name)
	f.p("func (c *Client) %s(ctx context.Context, in *%s) %s {", name, in.name, result)
	path, query, _ := strings.Cut(op.HTTP.URI, "?")
	f.p("\tr := newRequest(%q, %q)", op.Name, op.HTTP.Method)
	for _, seg := range strings.Split(strings.Trim(path, "/"), "/") {
		if !strings.HasPrefix(seg, "{") {
			f.p("\tr.literal(%q)", seg)
			continue
		}
		mem := memberAt(in, strings.Trim(seg, "{}"))
		switch m.shape(mem.Shape).Type {
		case "string":
			f.p("\tr.label(%q, in.%s)", mem.Name, mem.Name)
		case "long":
			f.use("strconv")
			f.p("\tr.label(%q, strconv.FormatInt(in.%s, 10))", mem.Name, mem.Name)
		default:
			return fmt.Errorf("label %s", mem.Name)
		}
	}
	if query != "" {
		key, value, _ := strings.Cut(query, "=")
		f.p("\tr.query.Set(%q, %q)", key, value)
	}
	for _, mem := range in.Members {
		switch typ := m.shape(mem.Shape).Type; mem.Location {
		case "querystring":
			set := map[string]string{"string": "queryString", "integer": "queryInt", "boolean": "queryBool", "timestamp": "queryTime", "list": "queryList"}[typ]
			if set == "" {
				return fmt.Errorf("query member %s of type %s", mem.Name, typ)
			}
			f.p("\tr.%s(%q, in.%s)", set, mem.LocationName, mem.Name)
		case "header":
			f.p("\tr.setHeader(%q, in.%s)", mem.LocationName, mem.Name)
		}
	}
	if pay, ok := payload(in); ok && m.shape(pay.Shape).Type == "blob" {
		f.p("\tr.raw(in.%s)", pay.Name)
	} else if ok {
		f.p("\tif in.%[1]s != nil {\n\t\tr.json(in.%[1]s)\n\t}", pay.Name)
	} else if len(bodyMembers(in)) > 0 {
		f.p("\tr.json(in)")
	}
	switch {
	case m.streamed(op):
		f.p("\treturn c.open(ctx, r)\n}\n")
		return nil
	case out == nil:
		f.p("\t_, err := c.send(ctx, r)\n\treturn err\n}\n")
		return nil
	}
	return emitClientAnswer(m, f, out, fail, op.Name == "Invoke")
}

// emitClientAnswer writes how an answer becomes the output; whole returns the answer too.
func emitClientAnswer(m *api, f *file, out *shape, fail string, whole bool) error {
	pay, hasPayload := payload(out)
	body := !hasPayload && len(bodyMembers(out)) > 0
	used := body || hasPayload || countLocation(out, "header")+countLocation(out, "statusCode") > 0
	answer := "a"
	if !used {
		answer = "_"
	}
	f.p("\t%s, err := c.send(ctx, r)", answer)
	f.p("\tif err != nil {\n\t\treturn %s\n\t}", fail)
	f.p("\tout := new(%s)", out.name)
	if body {
		f.p("\tif err := a.json(out); err != nil {\n\t\treturn %s\n\t}", fail)
	}
	for _, mem := range out.Members {
		switch mem.Location {
		case "header":
			f.p("\tout.%s = a.headerValue(%q)", mem.Name, mem.LocationName)
		case "statusCode":
			f.p("\tout.%s = &a.status", mem.Name)
		}
	}
	if hasPayload {
		if m.shape(pay.Shape).Type != "blob" {
			return fmt.Errorf("output payload %s", pay.Name)
		}
		f.p("\tout.%s = a.body", pay.Name)
	}
	if whole {
		f.p("\treturn out, a, nil\n}\n")
		return nil
	}
	f.p("\treturn out, nil\n}\n")
	return nil
}

// memberAt returns the member that a label of the path takes.
func memberAt(s *shape, label string) member {
	for _, mem := range s.Members {
		if mem.Location == "uri" && mem.LocationName == label {
			return mem
		}
	}
	return member{}
}
