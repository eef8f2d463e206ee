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

// ParseReference reads a FunctionName member in any of its forms, which are those of the
// model's pattern: before the name each of region, account and the word function may be
// missing, and what looks like one of them is one; a whole ARN has them all. What the text leaves
// out comes from home. It checks the form, not that the function exists;
// account or region other than home's stay as written, for the caller to judge.
func ParseReference(home Scope, text string) (Reference, error) {
	ref := Reference{ID: FunctionID{Scope: home}}
	parts := strings.Split(text, ":")
	if len(parts) >= 7 && parts[0] == "arn" && parts[2] == "lambda" && parts[3] != "" && isAccount(parts[4]) && parts[5] == "function" {
		ref.ID.Region, ref.ID.Account, parts = parts[3], parts[4], parts[6:]
	} else {
		if len(parts) > 1 && isRegion(parts[0]) {
			ref.ID.Region, parts = parts[0], parts[1:]
		}
		if len(parts) > 1 && isAccount(parts[0]) {
			ref.ID.Account, parts = parts[0], parts[1:]
		}
		if len(parts) > 1 && parts[0] == "function" {
			parts = parts[1:]
		}
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

// isRegion reports whether s has the form of a region: letters, words, and one digit last.
func isRegion(s string) bool {
	parts := strings.Split(s, "-")
	last := parts[len(parts)-1]
	if len(parts) < 3 || len(last) != 1 || last[0] < '0' || last[0] > '9' {
		return false
	}
	for _, p := range parts[:len(parts)-1] {
		if p == "" || strings.Trim(p, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	return len(parts[0]) == 2 || parts[0] == "eusc"
}

// isAccount reports whether s is the number of an account.
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
