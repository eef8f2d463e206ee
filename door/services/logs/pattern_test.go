package logs_test

import (
	"strings"
	"testing"

	"kiln/door/services/logs"
)

func TestAPatternMatchesAsDocumented(t *testing.T) {
	const event = `{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","arrayKey":["value","another value"],` +
		`"objectList":[{"name":"a","id":1},{"name":"b","id":2}],"SomeObject":null,"ThisFlag":true,"latency":50.5,"a.b":"dotted","user":{"id":1,"email":"John.Stiles@example.com"}}`
	for _, c := range []struct {
		pattern, message string
		want             bool
	}{
		{"", "anything", true},
		{"  ", "anything", true},
		{"ERROR", "[ERROR 400] BAD REQUEST", true},
		{"ERROR", "[error 400] BAD REQUEST", false},
		{"ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", true},
		{"ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", false},
		{"?ERROR ?ARGUMENTS", "[INFO] ARGUMENTS", true},
		{"?ERROR ?ARGUMENTS", "[INFO] nothing", false},
		{"ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", true},
		{"ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", false},
		{"?ERROR INFO", "[INFO] x", true}, // beside others an optional term says nothing
		{`"INTERNAL SERVER ERROR"`, "[ERROR 500] INTERNAL SERVER ERROR", true},
		{`"INTERNAL SERVER ERROR"`, "[ERROR 500] SERVER INTERNAL ERROR", false},
		{`"say \"hi\""`, `they say "hi" twice`, true},
		{`-"[INFO]" "x y"`, "[WARN] x y", true},
		{"%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", true},
		{`%[0-9]{3}\] B%`, "[ERROR 400] BAD", true},
		{`%[0-9]{4}\] B%`, "[ERROR 400] BAD", false},

		{`{ $.eventType = "UpdateTrail" }`, event, true},
		{`{$.eventType="UpdateTrail"}`, event, true},
		{`{ $.eventType = "Update*" }`, event, true},
		{`{ $.eventType = Update* }`, event, true},
		{`{ $.eventType = "Delete*" }`, event, false},
		{`{ $.sourceIPAddress != 123.123.* }`, event, true},
		{`{ $.sourceIPAddress = 111.111.* }`, event, true},
		{`{ $.missing != "x" }`, event, false},
		{`{ $.arrayKey[0] = "value" }`, event, true},
		{`{ $.arrayKey[1] = "value" }`, event, false},
		{`{ $.arrayKey[*] = "another value" }`, event, true},
		{`{ $.objectList[*].id = 2 }`, event, true},
		{`{ $.objectList[0].id = 2 }`, event, false},
		{`{ $.SomeObject IS NULL }`, event, true},
		{`{ $.ThisFlag IS NULL }`, event, false},
		{`{ $.SomeOtherObject NOT EXISTS }`, event, true},
		{`{ $.ThisFlag NOT EXISTS }`, event, false},
		{`{ $.ThisFlag IS TRUE }`, event, true},
		{`{ $.ThisFlag IS FALSE }`, event, false},
		{`{ $.latency > 50 }`, event, true},
		{`{ $.latency >= 50.5 && $.latency <= 50.5 }`, event, true},
		{`{ $.latency < 5e1 }`, event, false},
		{`{ $.eventType > 5 }`, event, false},
		{`{ $.['a.b'] = "dotted" }`, event, true},
		{`{ ($.user.id = 1) && ($.user.email = "John.*") }`, event, true},
		{`{ $.user.id = 2 || $.user.id = 3 && $.ThisFlag IS TRUE }`, event, false},
		{`{ ($.user.id = 2 || $.user.id = 1) && $.ThisFlag IS TRUE }`, event, true},
		{`{ $.user.email = %John\.S% }`, event, true},
		{`{ $.user.email = %^Stiles% }`, event, false},
		{`{ $.user = "x" }`, event, false},
		{`{ $.eventType = "UpdateTrail" }`, "not JSON UpdateTrail", false},
		{`{ $.eventType = "UpdateTrail" }`, event + "\n", true},
	} {
		match, err := logs.Pattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := match == nil || match(c.message); got != c.want {
			t.Errorf("%s on %s: got %v", c.pattern, c.message, got)
		}
	}
}

func TestAPatternThatCannotBeReadIsRefused(t *testing.T) {
	for _, p := range []string{
		`"open`, `-`, `?`, `%open`, `%%`, `%(a)%`, `%[%`, `a:b`, `{`, `{}`, `{ $ = 1 }`, `{ $.a }`, `{ $.a = }`, `{ $.a > b }`, `{ $.a = 1`, `{ $.a = 1 } x`, `{ a = 1 }`, `{ $.a IS 1 }`,
		`{ ($.a = 1 }`, `{ $.a[x] = 1 }`, `{ $.a[ = 1 }`, `{ $.a = 1 && }`, `{ $.a NOT NULL }`, `[a, b]`, strings.Repeat("x", 1025), "{" + strings.Repeat("(", 500) + "$.a = 1" + strings.Repeat(")", 500) + "}",
	} {
		if _, err := logs.Pattern(p); err == nil || !strings.HasPrefix(err.Error(), "InvalidParameterException: ") {
			t.Errorf("%.40s: %v", p, err)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, p := range []string{"ERROR -x ?y", `"a b" %c+%`, `{ ($.a[*].b = "x*") && $.c IS NULL || $.['d'] >= 1.5 }`} {
		f.Add(p, `{"a":[{"b":"xy"}],"c":null}`)
	}
	f.Fuzz(func(t *testing.T, pattern, message string) {
		if match, err := logs.Pattern(pattern); err == nil && match != nil {
			match(message)
		}
	})
}
