// Package policy reads IAM policies and decides by them: identity policies, policies
// of resources, and policies that say who may assume a role. It is pure: it knows
// documents, principals and the keys of a request, never a clock, a store or HTTP, and
// never who a principal really is.
package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// MaxDocument is the longest text that is read as a policy, in bytes.
const MaxDocument = 64 << 10

// maxDepth is how deep JSON in a policy may be nested.
const maxDepth = 16

// Kind is what a document is for, which decides what must be in its statements.
type Kind uint8

// The kinds of documents.
const (
	Identity Kind = iota // of a user or role: no principals
	Resource             // of a function, version, alias or layer: principals and resources
	Trust                // of a role, for who may assume it: principals, no resources
)

// Document is a policy that was read. It is immutable and safe for concurrent use.
type Document struct {
	ID         string
	variables  bool // its version knows ${…}
	statements []statement
}

// statement is one rule of a document. What is nil is not in it.
type statement struct {
	sid             string
	deny            bool
	principals      *principals
	notPrincipals   *principals
	actions, notAct []string // lower case
	resources       []string
	notResources    []string
	conditions      []condition
}

// Error says why a text is not a policy.
type Error struct{ Message string }

// Error gives the message.
func (e *Error) Error() string { return e.Message }

func malformed(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Parse reads a policy of a kind. What it gives can be decided by; anything else is an
// *Error: unknown members, elements that are missing or do not belong there, operators
// and principals that do not exist, duplicate members.
func Parse(kind Kind, text []byte) (*Document, error) {
	if len(text) > MaxDocument {
		return nil, malformed("The policy is longer than %d bytes.", MaxDocument)
	}
	tree, err := readTree(text)
	if err != nil {
		return nil, err
	}
	d := &Document{}
	var list any
	for _, m := range tree {
		switch m.name {
		case "Version":
			switch m.value {
			case "2012-10-17":
				d.variables = true
			case "2008-10-17":
			default:
				return nil, malformed("The policy must contain a valid version string")
			}
		case "Id":
			id, ok := m.value.(string)
			if !ok {
				return nil, malformed("Syntax errors in policy: Id is not a string.")
			}
			d.ID = id
		case "Statement":
			list = m.value
		default:
			return nil, malformed("Syntax errors in policy: unknown element %q.", clip(m.name))
		}
	}
	if one, ok := list.(members); ok {
		list = []any{one}
	}
	statements, ok := list.([]any)
	if !ok || len(statements) == 0 {
		return nil, malformed("Syntax errors in policy: it has no Statement.")
	}
	seen := map[string]bool{}
	for _, v := range statements {
		m, ok := v.(members)
		if !ok {
			return nil, malformed("Syntax errors in policy: a Statement is not an object.")
		}
		s, err := readStatement(kind, m)
		if err != nil {
			return nil, err
		}
		if s.sid != "" && seen[s.sid] {
			return nil, malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		seen[s.sid] = true
		d.statements = append(d.statements, s)
	}
	return d, nil
}

// readStatement reads one statement and holds it to its kind.
func readStatement(kind Kind, m members) (s statement, err error) {
	effect := ""
	for _, e := range m {
		switch e.name {
		case "Sid":
			var ok bool
			if s.sid, ok = e.value.(string); !ok {
				return s, malformed("Syntax errors in policy: Sid is not a string.")
			}
		case "Effect":
			effect, _ = e.value.(string)
		case "Principal":
			s.principals, err = readPrincipals(e.value)
		case "NotPrincipal":
			s.notPrincipals, err = readPrincipals(e.value)
		case "Action":
			s.actions, err = readActions(e.value)
		case "NotAction":
			s.notAct, err = readActions(e.value)
		case "Resource":
			s.resources, err = readResources(e.value)
		case "NotResource":
			s.notResources, err = readResources(e.value)
		case "Condition":
			s.conditions, err = readConditions(e.value)
		default:
			err = malformed("Syntax errors in policy: unknown element %q.", clip(e.name))
		}
		if err != nil {
			return s, err
		}
	}
	s.deny = effect == "Deny"
	principals, resources := s.principals != nil || s.notPrincipals != nil, s.resources != nil || s.notResources != nil
	switch {
	case effect != "Allow" && effect != "Deny":
		return s, malformed("Syntax errors in policy: Effect must be Allow or Deny.")
	case (s.actions == nil) == (s.notAct == nil):
		return s, malformed("Policy statement must contain actions.")
	case s.principals != nil && s.notPrincipals != nil || s.resources != nil && s.notResources != nil:
		return s, malformed("Syntax errors in policy: an element and its opposite exclude each other.")
	case kind == Identity && principals:
		return s, malformed("Policy document should not specify a principal.")
	case kind != Identity && !principals:
		return s, malformed("Missing required field Principal")
	case kind == Trust && resources:
		return s, malformed("Has prohibited field Resource")
	case kind != Trust && !resources:
		return s, malformed("Policy statement must contain resources.")
	}
	return s, nil
}

// texts reads a string or a list of strings, of which there is at least one.
func texts(v any, element string) ([]string, error) {
	if one, ok := v.(string); ok {
		v = []any{one}
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, malformed("Syntax errors in policy: %s is neither a string nor a list of strings.", element)
	}
	out := make([]string, len(list))
	for i, v := range list {
		text, ok := v.(string)
		if !ok || text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
			return nil, malformed("Syntax errors in policy: %s has a value that is not a string, is empty or has control characters.", element)
		}
		out[i] = text
	}
	return out, nil
}

// readActions reads patterns of actions: service:Name, or * for all.
func readActions(v any) ([]string, error) {
	list, err := texts(v, "Action")
	for i, a := range list {
		service, name, ok := strings.Cut(a, ":")
		if a != "*" && (!ok || service == "" || name == "" || strings.ContainsAny(a, " /")) {
			return nil, malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		}
		list[i] = strings.ToLower(a)
	}
	return list, err
}

// readResources reads patterns of ARNs, or * for all.
func readResources(v any) ([]string, error) {
	list, err := texts(v, "Resource")
	for _, r := range list {
		if r != "*" && strings.Count(r, ":") < 5 && !strings.Contains(r, "*") {
			return nil, malformed("Resource %s must be in ARN format or \"*\".", clip(r))
		}
	}
	return list, err
}

// members is a JSON object in the order of its text; each name is there once.
type members []member

type member struct {
	name  string
	value any // string, bool, json.Number, nil, []any or members
}

// readTree reads a JSON object and nothing behind it.
func readTree(text []byte) (members, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := readValue(d, 0)
	var known *Error
	if err != nil && !errors.As(err, &known) {
		return nil, malformed("This policy contains invalid Json")
	}
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("This policy contains invalid Json")
	}
	m, ok := v.(members)
	if !ok {
		return nil, malformed("This policy contains invalid Json")
	}
	return m, nil
}

// readValue reads one JSON value.
func readValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, malformed("Syntax errors in policy: it is nested too deeply.")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	case json.Delim('{'):
		object := members{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			m := member{name.(string), v} // the decoder gives nothing else as a name
			if slices.ContainsFunc(object, func(x member) bool { return x.name == m.name }) {
				return nil, malformed("Syntax errors in policy: %q is there twice.", clip(m.name))
			}
			object = append(object, m)
		}
		_, err = d.Token()
		return object, err
	}
	return t, nil
}

// clip bounds what an error repeats of a text.
func clip(s string) string {
	if len(s) > 128 {
		return s[:128] + "…"
	}
	return s
}
