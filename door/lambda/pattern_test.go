package lambda

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

func TestPredicatesSayWhatTheirPatternsSay(t *testing.T) {
	notNumber := func(s string) bool { return !regexp.MustCompile(`\A\d+\z`).MatchString(s) }
	for _, c := range []struct {
		name  string
		fits  func(string) bool
		expr  string            // the pattern without its look around
		guard func(string) bool // what the look around says
	}{
		{"a word", isWord, `[a-zA-Z0-9-_]+`, nil},
		{"an alias", isAliasName, `[a-zA-Z0-9-_]+`, notNumber},
		{"a qualifier", isQualifier, `\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+`, nil},
		{"a tenant", isTenantID, `[a-zA-Z0-9\._:\/=+\-@ ]+`, nil},
		{"a variable", isVariableName, `[a-zA-Z]([a-zA-Z0-9_])+`, nil},
		{"a bucket", isBucketName, `[0-9A-Za-z\.\-_]*`, func(s string) bool { return !strings.HasSuffix(s, ".") }},
		{"a collection", isCollectionName, `[_a-zA-Z0-9][^$]*`, func(s string) bool { return !strings.HasPrefix(s, "system.") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			re := regexp.MustCompile(`\A(?:` + c.expr + `)\z`)
			yes := 0
			for _, s := range guesses() {
				want := re.MatchString(s) && (c.guard == nil || c.guard(s))
				if got := c.fits(s); got != want {
					t.Errorf("%q: got %v, want %v", s, got, want)
				}
				if want {
					yes++
				}
			}
			if yes < 20 {
				t.Errorf("only %d of the guesses fit: they prove little", yes)
			}
		})
	}
}

// guesses returns short strings over the bytes that matter to the patterns.
func guesses() []string {
	list := []string{"", "0", "12", "1a", "a1", "-", "_", ".", "$", "$LATEST", "$LATEST.PUBLISHED", "$LATEST.", "system.", "system.x", "system", "a.", "a\n", "é", "A_", "a-b"}
	r := rand.New(rand.NewPCG(1, 2))
	const bytes = "aZ09-_.$:/=+@ \n[^{`\x00\xff"
	for range 20000 {
		s := make([]byte, r.IntN(5))
		for i := range s {
			s[i] = bytes[r.IntN(len(bytes))]
		}
		list = append(list, string(s))
	}
	return list
}

func TestAFunctionWithAURLHasAnAliasButNoVersion(t *testing.T) {
	for s, want := range map[string]bool{
		"f":                true,
		"f:prod":           true,
		"f:1":              false,
		"f:1a":             true,
		"f:":               false,
		"":                 false,
		"000000000000:f":   true,
		"000000000000:123": true, // an account and a name
		"f:$LATEST":        false,
		"function:f:a":     true,
		"arn:aws:lambda:us-east-1:000000000000:function:f":      true,
		"arn:aws:lambda:us-east-1:000000000000:function:f:prod": true,
		"arn:aws:lambda:us-east-1:000000000000:function:f:7":    false,
		strings.Repeat("a", 64):                                 true,
		strings.Repeat("a", 65):                                 false,
		"a.b":                                                   false,
	} {
		if got := isURLFunctionName(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}

func TestPatternsHoldForTheWholeString(t *testing.T) {
	p := &pattern{expr: `\A(?:a|ab)\z`}
	for s, want := range map[string]bool{"a": true, "ab": true, "abc": false, "xa": false, "a\n": false} {
		if got := p.fits(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}
