package policy

import "strings"

// Context holds the keys of a request that conditions and variables ask for: names in
// lower case, each with its values. A key without values is not there.
type Context map[string][]string

// Wildcards in a pattern that was made ready; text that comes out of a variable has
// none.
const (
	anyText = '\x01'
	anyChar = '\x02'
)

// ready makes a pattern ready to match: with wild * and ? become wildcards, and with
// variables ${key} the text of the key, which is never a wildcard. It is not ok when a key is
// not there and the pattern names no text instead: such a pattern matches nothing.
func ready(pattern string, variables, wild bool, c Context) (string, bool) {
	if !strings.ContainsAny(pattern, "*?$") {
		return pattern, true
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch ch := pattern[i]; {
		case ch == '*' && wild:
			b.WriteByte(anyText)
		case ch == '?' && wild:
			b.WriteByte(anyChar)
		case ch == '$' && variables && strings.HasPrefix(pattern[i:], "${"):
			name, _, closed := strings.Cut(pattern[i+2:], "}")
			if !closed {
				return "", false
			}
			i += 2 + len(name)
			text, ok := variable(name, c)
			if !ok {
				return "", false
			}
			b.WriteString(text)
		default:
			b.WriteByte(ch)
		}
	}
	return b.String(), true
}

// variable gives what stands for ${name}; "name, 'text'" names a text for a key that
// is not there, and three names stand for signs that would mean something.
func variable(name string, c Context) (string, bool) {
	switch name {
	case "*", "?", "$":
		return name, true
	}
	key, otherwise, has := strings.Cut(name, ",")
	if v := c[strings.ToLower(strings.TrimSpace(key))]; len(v) == 1 {
		return strings.Map(func(r rune) rune {
			if r == anyText || r == anyChar {
				return -1 // would be a wildcard
			}
			return r
		}, v[0]), true
	}
	otherwise = strings.TrimSpace(otherwise)
	if has && len(otherwise) >= 2 && otherwise[0] == '\'' && otherwise[len(otherwise)-1] == '\'' {
		return otherwise[1 : len(otherwise)-1], true
	}
	return "", false
}

// like matches a text with a pattern that was made ready, in time linear in the
// product of both at worst.
func like(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == anyText:
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == anyChar || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], string(rune(anyText))) == ""
}

// glob matches without variables.
func glob(pattern, s string) bool {
	p, _ := ready(pattern, false, true, nil)
	return like(p, s)
}

// likeARN matches ARNs part by part, so that no wildcard reaches over a colon of the
// first five.
func likeARN(pattern, arn string) bool {
	p, a := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	if len(p) != 6 || len(a) != 6 {
		return pattern == string(rune(anyText))
	}
	for i := range p {
		if !like(p[i], a[i]) {
			return false
		}
	}
	return true
}
