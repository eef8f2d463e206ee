package lambda

import (
	"regexp"
	"strings"
	"sync"
)

// pattern is a regular expression of the model. It holds for the whole string. Where Go
// cannot say it, match does; where first is true the expression need not be asked.
type pattern struct {
	text  string // as messages print it
	match func(string) bool
	first func(string) bool
	expr  string // compiled at first use
	once  sync.Once
	re    *regexp.Regexp
}

// fits says whether a whole string matches.
func (p *pattern) fits(s string) bool {
	if p.match != nil {
		return p.match(s)
	}
	if p.first != nil && p.first(s) {
		return true
	}
	p.once.Do(func() { p.re = regexp.MustCompile(p.expr) })
	return p.re.MatchString(s)
}

// Classes of bytes in names.
const (
	inWord      = 1 << iota // [a-zA-Z0-9-_]
	inBucket                // [0-9A-Za-z.-_]
	inQualifier             // [a-zA-Z0-9-_$]
	inTenant                // [a-zA-Z0-9._:/=+-@ ]
)

// classes holds the classes of every byte.
var classes = func() (t [256]uint8) {
	set := func(chars string, bits uint8) {
		for _, c := range []byte(chars) {
			t[c] |= bits
		}
	}
	set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", inWord|inBucket|inQualifier|inTenant)
	set("-_", inWord|inBucket|inQualifier|inTenant)
	set(".", inBucket|inTenant)
	set("$", inQualifier)
	set(":/=+@ ", inTenant)
	return t
}()

// allIn says whether every byte of a string is in a class.
func allIn(s string, class uint8) bool {
	for i := 0; i < len(s); i++ {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// allDigits says whether a string has only decimal digits.
func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// isWord is [a-zA-Z0-9-_]+, the plain name of a function.
func isWord(s string) bool { return s != "" && allIn(s, inWord) }

// isAliasName is [a-zA-Z0-9-_]+ that is not a number: a number is a version.
func isAliasName(s string) bool { return isWord(s) && !allDigits(s) }

// isQualifier is [a-zA-Z0-9-_$]+ or $LATEST.PUBLISHED.
func isQualifier(s string) bool {
	return s != "" && allIn(s, inQualifier) || s == "$LATEST.PUBLISHED"
}

// isTenantID is [a-zA-Z0-9._:/=+-@ ]+.
func isTenantID(s string) bool { return s != "" && allIn(s, inTenant) }

// isVariableName is [a-zA-Z]([a-zA-Z0-9_])+, which has at least two characters.
func isVariableName(s string) bool {
	return len(s) > 1 && (s[0]|0x20) >= 'a' && (s[0]|0x20) <= 'z' && allIn(s, inWord) && !strings.Contains(s, "-")
}

// isBucketName is [0-9A-Za-z.-_]* that does not end in a dot.
func isBucketName(s string) bool { return allIn(s, inBucket) && !strings.HasSuffix(s, ".") }

// isCollectionName begins with [_a-zA-Z0-9] but not with "system.", and has no $ behind
// its first character.
func isCollectionName(s string) bool {
	return s != "" && classes[s[0]]&inWord != 0 && s[0] != '-' &&
		!strings.HasPrefix(s, "system.") && !strings.Contains(s, "$")
}

// urlFunctionName is the name of a function with a URL, without its alias.
var urlFunctionName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\A(?:(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]{1,64}))\z`)
})

// isURLFunctionName is the name or ARN of a function, with an alias but never a version
// behind it.
func isURLFunctionName(s string) bool {
	if urlFunctionName().MatchString(s) {
		return true
	}
	i := strings.LastIndexByte(s, ':')
	return i >= 0 && isAliasName(s[i+1:]) && urlFunctionName().MatchString(s[:i])
}
