package kiln

import (
	"fmt"
	"strings"
)

// Scope is one name space: an account in a region. Functions of two scopes never
// meet.
type Scope struct{ Account, Region string }

// FunctionID names a function: the key of everything it owns.
type FunctionID struct {
	Scope
	Name string
}

// String gives account, region and name in a form fit for logs and keys.
func (id FunctionID) String() string { return id.Account + "/" + id.Region + "/" + id.Name }

// ARN gives the unqualified ARN of the function.
func (id FunctionID) ARN() string {
	return "arn:aws:lambda:" + id.Region + ":" + id.Account + ":function:" + id.Name
}

// QualifiedARN gives the ARN with a qualifier; an empty one adds nothing.
func (id FunctionID) QualifiedARN(q Qualifier) string {
	if q == "" {
		return id.ARN()
	}
	return id.ARN() + ":" + string(q)
}

// Reference is a function as a caller named it: by name, name:qualifier, partial
// ARN or full ARN.
type Reference struct {
	ID        FunctionID
	Qualifier Qualifier
}

// ParseReference reads a FunctionName member in any of its forms. What the text
// leaves out comes from home. It checks the form, not that the function exists;
// account or region other than home's stay as written, for the caller to judge.
func ParseReference(home Scope, text string) (Reference, error) {
	ref := Reference{ID: FunctionID{Scope: home}}
	parts := strings.Split(text, ":")
	switch {
	case len(parts) >= 7 && parts[0] == "arn" && parts[2] == "lambda" && parts[3] != "" && isAccount(parts[4]) && parts[5] == "function":
		ref.ID.Region, ref.ID.Account = parts[3], parts[4]
		parts = parts[6:]
	case len(parts) >= 3 && parts[1] == "function" && isAccount(parts[0]):
		ref.ID.Account = parts[0]
		parts = parts[2:]
	case len(parts) >= 2 && parts[0] == "function":
		parts = parts[1:]
	}
	if len(parts) > 2 || !IsName(parts[0]) {
		return Reference{}, fmt.Errorf("%q does not name a function", text)
	}
	ref.ID.Name = parts[0]
	if len(parts) == 2 {
		if parts[1] == "" {
			return Reference{}, fmt.Errorf("%q has an empty qualifier", text)
		}
		ref.Qualifier = Qualifier(parts[1])
	}
	return ref, nil
}

// IsName reports whether s can be the name of a function: letters, digits, - and
// _, at most 140 of them (on creation at most 64 are allowed).
func IsName(s string) bool {
	if s == "" || len(s) > 140 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
