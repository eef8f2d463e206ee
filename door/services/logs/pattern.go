package logs

import (
	"regexp"
	"strings"
	"unicode"
)

// maxPattern is how long a filter pattern may be.
const maxPattern = 1024

// Pattern gives the test that a filter pattern stands for, nil for one that lets
// everything pass. The forms are those of the service's documentation: terms, all of
// which must stand in a message; -terms, which must not; ?terms, one of which must,
// unless others stand beside them; %regular expressions%; and { conditions on JSON }.
func Pattern(text string) (func(string) bool, error) {
	if len(text) > maxPattern {
		return nil, invalid("Filter pattern is longer than 1024 characters.")
	}
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "" || trimmed == `""` || trimmed == `" "`:
		return nil, nil
	case trimmed[0] == '{':
		return jsonPattern(trimmed)
	case trimmed[0] == '[':
		return nil, unsupported("filter patterns of fields that spaces divide, [a, b, …]")
	}
	return termPattern(trimmed)
}

// badPattern is the answer to a pattern that cannot be read.
func badPattern() error { return invalid("Invalid filter pattern") }

// term is one thing that is looked for in a message.
type term struct {
	text  string
	regex *regexp.Regexp
}

func (t *term) in(message string) bool {
	if t.regex != nil {
		return t.regex.MatchString(message)
	}
	return strings.Contains(message, t.text)
}

// termPattern reads a pattern of terms.
func termPattern(text string) (func(string) bool, error) {
	var all, none, one []term
	for rest := text; rest != ""; rest = strings.TrimLeft(rest, " \t\r\n") {
		into := &all
		switch rest[0] {
		case '-':
			into, rest = &none, rest[1:]
		case '?':
			into, rest = &one, rest[1:]
		}
		t, tail, err := readTerm(rest)
		if err != nil {
			return nil, err
		}
		*into, rest = append(*into, t), tail
	}
	if len(all)+len(none) > 0 {
		one = nil // as documented: they count only among themselves
	}
	return func(message string) bool {
		for i := range all {
			if !all[i].in(message) {
				return false
			}
		}
		for i := range none {
			if none[i].in(message) {
				return false
			}
		}
		for i := range one {
			if one[i].in(message) {
				return true
			}
		}
		return len(one) == 0
	}, nil
}

// readTerm reads one term and gives what stands behind it.
func readTerm(s string) (t term, rest string, err error) {
	if s == "" {
		return t, "", badPattern()
	}
	switch s[0] {
	case '"':
		t.text, rest, err = readQuoted(s)
		return t, rest, err
	case '%':
		t.regex, rest, err = readRegex(s)
		return t, rest, err
	}
	end := strings.IndexFunc(s, unicode.IsSpace)
	if end < 0 {
		end = len(s)
	}
	word := s[:end]
	for _, c := range word {
		if c != '_' && c < unicode.MaxASCII && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return t, "", invalid("Invalid character(s) in term '" + word + "'")
		}
	}
	return term{text: word}, s[end:], nil
}

// readQuoted reads a text in quotation marks, in which a backslash takes away the
// meaning of a mark.
func readQuoted(s string) (text, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", badPattern()
}

// regexAllowed is what a regular expression may consist of; groups are not among it.
const regexAllowed = `_#=@/;,:' -^$?[]{}|\*+.`

// readRegex reads an expression between percent signs.
func readRegex(s string) (*regexp.Regexp, string, error) {
	end := strings.IndexByte(s[1:], '%')
	if end <= 0 {
		return nil, "", badPattern()
	}
	text := s[1 : 1+end]
	for _, c := range text {
		alphanumeric := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alphanumeric && !strings.ContainsRune(regexAllowed, c) {
			return nil, "", invalid("Invalid character in regular expression: " + string(c))
		}
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, "", invalid("Invalid regular expression in filter pattern")
	}
	return re, s[end+2:], nil
}
