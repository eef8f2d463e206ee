package main

import (
	"fmt"
	"sort"
	"strings"
)

// emitErrors writes the names of all exceptions of the model and the table of how
// each is sent.
func emitErrors(m *api, f *file) error {
	var names []string
	for name, s := range m.Shapes {
		if s.Exception {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	f.p("// Exceptions that the model declares.")
	f.p("const (")
	for _, name := range names {
		f.p("\t%[1]s = %[1]q", name)
	}
	f.p(")\n")
	f.p("// exceptions says how each declared exception is sent.")
	f.p("var exceptions = map[string]exception{")
	for _, name := range names {
		s := m.shape(name)
		if s.Error.Status == 0 {
			return fmt.Errorf("%s has no status", name)
		}
		parts := []string{fmt.Sprintf("status: %d", s.Error.Status), "typed: true"}
		for _, mem := range s.Members {
			switch mem.Name {
			case "Type":
			case "message", "Message":
				parts = append(parts, fmt.Sprintf("message: %q", mem.Name))
			case "Reason":
				parts = append(parts, "reason: true")
			case "EC2ErrorCode":
				parts = append(parts, "ec2ErrorCode: true")
			case "retryAfterSeconds":
				parts = append(parts, "retryAfter: true")
			default:
				return fmt.Errorf("%s.%s: nothing sends this member", name, mem.Name)
			}
		}
		if len(s.Members) > 0 && s.Members[0].Location == "" && !hasMember(s, "Type") {
			return fmt.Errorf("%s has no Type", name)
		}
		f.p("\t%s: {%s},", name, strings.Join(parts, ", "))
	}
	f.p("}")
	return nil
}

// hasMember says whether a structure has a member.
func hasMember(s *shape, name string) bool {
	for _, mem := range s.Members {
		if mem.Name == name {
			return true
		}
	}
	return false
}
