package main

import (
	"fmt"
	"net/http"
)

// appenders names the function that appends a plain value to JSON.
var appenders = map[string]string{
	"string": "appendString", "double": "appendFloat", "blob": "appendBlob",
}

// emitEncoders writes how every output becomes headers, status and body.
func emitEncoders(m *api, f *file) error {
	done := map[string]bool{}
	for _, op := range m.operations() {
		out := m.output(op)
		if out == nil || done[out.name] || m.streamed(op) {
			continue
		}
		done[out.name] = true
		if err := emitAnswer(m, f, out); err != nil {
			return err
		}
	}
	for _, s := range structures(m.reachable(m.outputs()...)) {
		list := s.Members
		if done[s.name] {
			list = answerMembers(s)
			if len(list) == 0 {
				continue
			}
		} else if streamedOutput(m, s) {
			continue
		}
		f.p("// appendJSON appends the body of one %s, members in alphabetical order.", s.name)
		f.p("func (v *%s) appendJSON(b []byte) []byte {", s.name)
		if len(list) == 0 {
			f.p("\treturn append(b, \"{}\"...)\n}\n")
			continue
		}
		f.p("\tb = append(b, '{')")
		for _, mem := range list.sorted() {
			if err := emitMember(m, f, mem); err != nil {
				return err
			}
		}
		f.p("\treturn closeObject(b)\n}\n")
	}
	return nil
}

// streamedOutput says whether a structure is the head of an event stream.
func streamedOutput(m *api, s *shape) bool {
	pay, ok := payload(s)
	return ok && m.shape(pay.Shape).EventStream
}

// answerMembers returns the members an answer has as JSON. The status is repeated
// in the body when nothing else is, as the service does.
func answerMembers(s *shape) (out members) {
	for _, mem := range s.Members {
		if s.Payload == "" && (mem.Location == "" || mem.Location == "statusCode") {
			out = append(out, mem)
		}
	}
	return out
}

// emitAnswer writes the method that sends one output.
func emitAnswer(m *api, f *file, out *shape) error {
	f.p("// write sends the output with the given status.")
	f.p("func (v *%s) write(c *call, status int) error {", out.name)
	for _, mem := range out.Members {
		switch mem.Location {
		case "header":
			if m.shape(mem.Shape).Type != "string" {
				return fmt.Errorf("header member %s.%s is no string", out.name, mem.Name)
			}
			f.p("\tc.setHeader(%q, v.%s)", http.CanonicalHeaderKey(mem.LocationName), mem.Name)
		case "statusCode":
			f.p("\tif v.%s != nil {\n\t\tstatus = int(*v.%s)\n\t}", mem.Name, mem.Name)
		case "":
		default:
			return fmt.Errorf("output member %s.%s in %s", out.name, mem.Name, mem.Location)
		}
	}
	switch pay, ok := payload(out); {
	case ok && m.shape(pay.Shape).Type == "blob":
		f.p("\treturn c.send(status, v.%s)\n}\n", pay.Name)
	case ok:
		return fmt.Errorf("output payload %s.%s", out.name, pay.Name)
	case len(answerMembers(out)) == 0:
		f.p("\treturn c.empty(status)\n}\n")
	default:
		f.p("\treturn c.send(status, v.appendJSON(make([]byte, 0, 1024)))\n}\n")
	}
	return nil
}

// emitMember appends one member if it is present.
func emitMember(m *api, f *file, mem member) error {
	s := m.shape(mem.Shape)
	name := "v." + exported(mem.Name)
	f.p("\tif %s != nil {", name)
	f.p("\t\tb = appendName(b, %q)", mem.Name)
	switch s.Type {
	case "structure":
		f.p("\t\tb = %s.appendJSON(b)", name)
	case "list", "map", "blob":
		if err := emitValue(m, f, s, name); err != nil {
			return err
		}
	default:
		if err := emitValue(m, f, s, "*"+name); err != nil {
			return err
		}
	}
	f.p("\t}")
	return nil
}

// emitValue appends one value that is present.
func emitValue(m *api, f *file, s *shape, expr string) error {
	switch s.Type {
	case "structure":
		f.p("\t\tb = %s.appendJSON(b)", expr)
	case "list":
		f.p("\t\tb = append(b, '[')")
		f.p("\t\tfor i := range %s {", expr)
		f.p("\t\t\tb = separate(b)")
		if err := emitValue(m, f, m.shape(s.Member.Shape), expr+"[i]"); err != nil {
			return err
		}
		f.p("\t\t}\n\t\tb = append(b, ']')")
	case "map":
		f.p("\t\tb = append(b, '{')")
		f.p("\t\tfor _, k := range sortedKeys(%s) {", expr)
		f.p("\t\t\tb = appendName(b, k)")
		if err := emitValue(m, f, m.shape(s.Value.Shape), expr+"[k]"); err != nil {
			return err
		}
		f.p("\t\t}\n\t\tb = closeObject(b)")
	case "timestamp":
		if s.TimeFormat != "" && s.TimeFormat != "unixTimestamp" {
			return fmt.Errorf("%s: timestamp format %s", s.name, s.TimeFormat)
		}
		f.p("\t\tb = appendTime(b, %s)", expr)
	case "boolean":
		f.use("strconv")
		f.p("\t\tb = strconv.AppendBool(b, %s)", expr)
	case "integer", "long":
		f.use("strconv")
		f.p("\t\tb = strconv.AppendInt(b, int64(%s), 10)", expr)
	default:
		a := appenders[s.Type]
		if a == "" {
			return fmt.Errorf("%s: type %s", s.name, s.Type)
		}
		f.p("\t\tb = %s(b, %s)", a, expr)
	}
	return nil
}
