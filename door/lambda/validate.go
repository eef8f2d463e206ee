package lambda

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxShown is how much of a value a message repeats, in bytes. A longer value that breaks
// its length is not matched against its pattern as well.
const maxShown = 64 << 10

// checker gathers broken constraints in the service's words.
type checker struct {
	problems []string
}

// place is where in the input a structure is: a member, or with an index (from 1) the
// element of a list.
type place struct {
	parent *place
	name   string
	index  int
}

// path returns the full name of a member in camelCase: vpcConfig.subnetIds,
// filters.1.member.pattern.
func (p *place) path(name string) string {
	for ; p != nil; p = p.parent {
		if p.index > 0 {
			name = p.name + "." + strconv.Itoa(p.index) + ".member." + name
		} else {
			name = p.name + "." + name
		}
	}
	return name
}

// err returns everything gathered as one ValidationException, or nil.
func (c *checker) err() error {
	switch n := len(c.problems); n {
	case 0:
		return nil
	case 1:
		return &Error{Code: ValidationException, Message: "1 validation error detected: " + c.problems[0]}
	default:
		return &Error{Code: ValidationException, Message: fmt.Sprintf("%d validation errors detected: %s", n, strings.Join(c.problems, "; "))}
	}
}

// add notes one broken constraint of a value.
func (c *checker) add(at *place, name, shown, constraint string) {
	c.problems = append(c.problems, "Value "+shown+"at '"+at.path(name)+"' failed to satisfy constraint: "+constraint)
}

// missing notes a required member that is absent.
func (c *checker) missing(at *place, name string) {
	c.add(at, name, "null ", "Member must not be null")
}

// shown prints a value for a message; a secret one not at all.
func shown(v any, secret bool) string {
	if secret {
		return ""
	}
	s := plain(v)
	if len(s) > maxShown {
		s = s[:maxShown] + "…"
	}
	return "'" + s + "' "
}

// bound is one end of a range, with its text in the model.
type bound struct {
	value float64
	set   bool
	text  string
}

// lengthRule limits the length of a string, list, map or blob.
type lengthRule struct {
	min, max bound
}

// broken returns the texts of the limits that a length breaks.
func (r *lengthRule) broken(n int) (texts []string) {
	if r.max.set && float64(n) > r.max.value {
		texts = append(texts, "Member must have length less than or equal to "+r.max.text)
	}
	if r.min.set && float64(n) < r.min.value {
		texts = append(texts, "Member must have length greater than or equal to "+r.min.text)
	}
	return texts
}

// texts returns the texts of both limits.
func (r *lengthRule) texts() (texts []string) {
	if r.max.set {
		texts = append(texts, "Member must have length less than or equal to "+r.max.text)
	}
	if r.min.set {
		texts = append(texts, "Member must have length greater than or equal to "+r.min.text)
	}
	return texts
}

// stringRule limits a string.
type stringRule struct {
	lengthRule
	pattern  *pattern
	enum     []string
	enumText string // the set as messages print it
	secret   bool
}

// fits says whether a string keeps every limit, without allocating.
func (r *stringRule) fits(s string) bool {
	n := len(s)
	if r.min.set && float64(n) < r.min.value || r.max.set && float64(n) > r.max.value || n > 0 && !isASCII(s) {
		n = utf8.RuneCountInString(s)
		if r.min.set && float64(n) < r.min.value || r.max.set && float64(n) > r.max.value {
			return false
		}
	}
	return (r.pattern == nil || r.pattern.fits(s)) && (len(r.enum) == 0 || r.listed(s))
}

// isASCII says whether bytes and characters of a string are the same.
func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// listed says whether a string is one of the enumeration.
func (r *stringRule) listed(s string) bool {
	for _, v := range r.enum {
		if v == s {
			return true
		}
	}
	return false
}

// broken returns the texts of the limits that a string breaks.
func (r *stringRule) broken(s string) []string {
	texts := r.lengthRule.broken(utf8.RuneCountInString(s))
	if r.pattern != nil && (len(texts) == 0 || len(s) <= maxShown) && !r.pattern.fits(s) {
		texts = append(texts, "Member must satisfy regular expression pattern: "+r.pattern.text)
	}
	if len(r.enum) > 0 && !r.listed(s) {
		texts = append(texts, "Member must satisfy enum value set: "+r.enumText)
	}
	return texts
}

// texts returns the texts of all limits.
func (r *stringRule) texts() []string {
	texts := r.lengthRule.texts()
	if r.pattern != nil {
		texts = append(texts, "Member must satisfy regular expression pattern: "+r.pattern.text)
	}
	if len(r.enum) > 0 {
		texts = append(texts, "Member must satisfy enum value set: "+r.enumText)
	}
	return texts
}

// string checks an optional string.
func (c *checker) string(at *place, name string, v *string, r *stringRule) {
	if v == nil || r.fits(*v) {
		return
	}
	for _, text := range r.broken(*v) {
		c.add(at, name, shown(*v, r.secret), text)
	}
}

// blob checks the length of bytes; they are never shown.
func (c *checker) blob(at *place, name string, v []byte, r *lengthRule) {
	if v == nil {
		return
	}
	for _, text := range r.broken(len(v)) {
		c.add(at, name, "", text)
	}
}

// numberRule limits a number.
type numberRule struct {
	min, max bound
}

// fits says whether a number keeps both limits.
func (r *numberRule) fits(v float64) bool {
	return !(r.max.set && v > r.max.value) && !(r.min.set && v < r.min.value)
}

// texts returns the texts of both limits.
func (r *numberRule) texts() (texts []string) {
	if r.max.set {
		texts = append(texts, "Member must have value less than or equal to "+r.max.text)
	}
	if r.min.set {
		texts = append(texts, "Member must have value greater than or equal to "+r.min.text)
	}
	return texts
}

// checkNumber checks an optional number.
func checkNumber[N int32 | int64 | float64](c *checker, at *place, name string, v *N, r *numberRule) {
	if v == nil || r.fits(float64(*v)) {
		return
	}
	if r.max.set && float64(*v) > r.max.value {
		c.add(at, name, shown(*v, false), "Member must have value less than or equal to "+r.max.text)
		return
	}
	c.add(at, name, shown(*v, false), "Member must have value greater than or equal to "+r.min.text)
}
