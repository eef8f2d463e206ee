package main

import (
	"fmt"
	"regexp"
	"strings"
)

// predicate replaces or shortens a pattern by a hand-written function of
// door/lambda. The pattern is repeated here so that a changed model stops the
// generator instead of being checked by yesterday's function.
type predicate struct {
	pattern string
	fn      string
	whole   bool // fn decides alone; otherwise true from fn settles it and false asks the pattern
}

// predicates lists the patterns that Go cannot compile (they look ahead or
// behind) and those on the path of every invocation.
var predicates = map[string]predicate{
	"Alias":                   {`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`, "isAliasName", true},
	"FunctionUrlQualifier":    {`((?!^\d+$)^[0-9a-zA-Z-_]+$)`, "isAliasName", true},
	"CollectionName":          {`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`, "isCollectionName", true},
	"EnvironmentVariableName": {`[a-zA-Z]([a-zA-Z0-9_])+`, "isVariableName", true},
	"S3Bucket":                {`[0-9A-Za-z\.\-_]*(?<!\.)`, "isBucketName", true},
	"FunctionUrlFunctionName": {
		`(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]{1,64})(:((?!\d+$)[0-9a-zA-Z-_]+))?`,
		"isURLFunctionName", true,
	},
	"NamespacedFunctionName": {
		`(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:|(((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?))(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`,
		"isWord", false,
	},
	"NumericLatestPublishedOrAliasQualifier": {`\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+`, "isQualifier", true},
	"TenantId":                               {`[a-zA-Z0-9\._:\/=+\-@ ]+`, "isTenantID", true},
}

// emitPattern writes the pattern of a string rule. It refuses a pattern that
// neither compiles nor has a predicate.
func emitPattern(m *api, f *file, s *shape) error {
	text := s.Pattern
	if o, ok := m.overrides.PatternText[s.name]; ok {
		text = o
	}
	p, known := predicates[s.name]
	if known && p.pattern != s.Pattern {
		return fmt.Errorf("the predicate is for pattern %s, the model has %s", p.pattern, s.Pattern)
	}
	if known && p.whole {
		f.p("pattern: &pattern{text: %s, match: %s},", quote(text), p.fn)
		return nil
	}
	expr := `\A(?:` + goPattern(s.Pattern) + `)\z`
	if _, err := regexp.Compile(expr); err != nil {
		return fmt.Errorf("no predicate, and %w", err)
	}
	first := ""
	if known {
		first = "first: " + p.fn + ", "
	}
	f.p("pattern: &pattern{text: %s, %sexpr: %s},", quote(text), first, quote(expr))
	return nil
}

// goPattern writes a Java pattern in Go's syntax where the same text means another
// thing: the dot also refuses \r, \u0085, \u2028 and \u2029, and \s also takes \v.
func goPattern(p string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\' && i+1 < len(p):
			i++
			b.WriteByte('\\')
			b.WriteByte(p[i])
			if p[i] == 's' && class {
				b.WriteString(`\v`)
			}
		case c == '[' && !class:
			class = true
			b.WriteByte(c)
		case c == ']' && class:
			class = false
			b.WriteByte(c)
		case c == '.' && !class:
			b.WriteString(`[^\n\r\x{85}\x{2028}\x{2029}]`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
