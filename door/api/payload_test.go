package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"kiln/door/lambda"
)

const before, behind = "Could not parse request body into json: Could not parse payload into json: ", "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]"

func TestAnEventThatIsNoJSONIsRefusedInTheServicesWords(t *testing.T) {
	for _, c := range []struct {
		payload, want string
		line, column  int
	}{
		// As recorded:
		{"\x99", "Unexpected character ((CTRL-CHAR, code 153)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", 1, 1},
		{"\"\x87\"", "Invalid UTF-8 start byte 0x87", 1, 3},
		// In the words of the same parser:
		{"hello", "Unrecognized token 'hello': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", 1, 6},
		{"hello world", "Unrecognized token 'hello': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", 1, 7},
		{"NaN", "Non-standard token 'NaN': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow", 1, 4},
		{"[Infinity]", "Non-standard token 'Infinity': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow", 1, 10},
		{"{nope", "Unexpected character ('n' (code 110)): was expecting double-quote to start field name", 1, 2},
		{"{\n \"a\" 1}", "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value", 2, 6},
		{"[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", 1, 4},
		{`{"a":1]`, "Unexpected character (']' (code 93)): was expecting comma to separate Object entries", 1, 7},
		{"[1,]", "Unexpected character (']' (code 93)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", 1, 4},
		{"01", "Invalid numeric value: Leading zeroes not allowed", 1, 2},
		{"-", "Unexpected end-of-input: no JSON value", 1, 2},
		{"-x", "Unexpected character ('x' (code 120)) in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value", 1, 2},
		{"1.", "Unexpected end-of-input: no JSON value", 1, 3},
		{"[1.x]", "Unexpected character ('x' (code 120)) in numeric value: Decimal point not followed by a digit", 1, 4},
		{"1e+,", "Unexpected character (',' (code 44)) in numeric value: Exponent indicator not followed by a digit", 1, 4},
		{"  ", "Unexpected end-of-input: no JSON value", 1, 3},
		{"{", "Unexpected end-of-input: expected close marker for Object (start marker at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 1])", 1, 2},
		{"[\r\n[", "Unexpected end-of-input: expected close marker for Array (start marker at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 2, column: 1])", 2, 2},
		{`{"a\"}":[{},"]"`, "Unexpected end-of-input: expected close marker for Array (start marker at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 9])", 1, 16},
		{"{\"a\":\n  {\"b\"", "Unexpected end-of-input: expected close marker for Object (start marker at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 2, column: 3])", 2, 7},
		{`"a`, "Unexpected end-of-input: was expecting closing quote for a string value", 1, 3},
		{"\"a\nb\"", "Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using backslash to be included in string value", 2, 1},
		{`"\q"`, "Unrecognized character escape 'q' (code 113)", 1, 3},
		{`"\u12g4"`, "Unrecognized character escape 'u' (code 117)", 1, 3},
		{`"\`, "Unexpected end-of-input in character escape sequence", 1, 3},
		{"\"\xe2\x28\xa1\"", "Invalid UTF-8 middle byte 0x28", 1, 4},
		{"\"\xed\xa0\x80\"", "Invalid UTF-8 start byte 0xed", 1, 3}, // a surrogate
		{"\"\xf5\"", "Invalid UTF-8 start byte 0xf5", 1, 3},
		{"\"\xe2\x82", "Unexpected end-of-input in a UTF-8 character", 1, 4},
		{"\xef\xbb\xbf{}", "Unexpected character ('\ufeff' (code 65279 / 0xfeff)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", 1, 1},
		{"{} {}", "Unexpected character ('{' (code 123)): expected the end of the payload: only one JSON value is allowed", 1, 4},
		{strings.Repeat("[", 1001), "Document nesting depth (1001) exceeds the maximum allowed (1000)", 1, 1002},
		{strings.Repeat(`{"a":`, 100000), "Document nesting depth (1001) exceeds the maximum allowed (1000)", 1, 5002},
	} {
		err := checkPayload([]byte(c.payload))
		var e *lambda.Error
		if !errors.As(err, &e) || e.Code != lambda.InvalidRequestContentException {
			t.Errorf("%.40q: got %v", c.payload, err)
			continue
		}
		if want := before + c.want + fmt.Sprintf(behind, c.line, c.column); e.Message != want {
			t.Errorf("%.40q:\ngot  %q\nwant %q", c.payload, e.Message, want)
		}
	}
}

func TestEveryJSONValueIsAnEvent(t *testing.T) {
	for _, p := range []string{
		"{}", "[]", "null", "true", "false", "0", "-0", "12.5e-3", "1E400", `""`, ` {"a" : [ 1 , {} , [ ] ] } `, "\t\r\n1\n",
		`{"a":1,"a":2}`, // twice the same name
		`"\ud800"`,      // half a surrogate, escaped
		`"\u0000\\\"\/\b\f\n\r\t"`,
		"\"ü€😀\"",
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		strings.Repeat(`{"a":[`, 500) + strings.Repeat("]}", 500),
		"[" + strings.Repeat("1,", 1000000) + "1]",
	} {
		if err := checkPayload([]byte(p)); err != nil {
			t.Errorf("%.40q: %v", p, err)
		}
	}
}

func FuzzAnEventPassesExactlyWhenItIsJSONInUTF8(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x\u00e9\n"],"b":{}}`, "\"\x87\"", "[[[", "nul", "-1.0", `{"a":1,}`, "\"\xed\xa0\x80\"", "1 1", "\x00", `"\ud800"`, "[NaN]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		want := json.Valid(p) && utf8.Valid(p)
		err := checkPayload(p)
		if want && err != nil && strings.Count(string(p), "[")+strings.Count(string(p), "{") <= maxDepth {
			t.Errorf("%q: %v", p, err)
		}
		if !want && err == nil {
			t.Errorf("%q passed", p)
		}
		if err != nil && !utf8.ValidString(err.Error()) {
			t.Errorf("%q: the message is not UTF-8: %q", p, err.Error())
		}
	})
}

func TestAValidEventCostsNoMemory(t *testing.T) {
	p := []byte(`{"key":"value","list":[1,2,3,{"a":"` + strings.Repeat("ü", 1000) + `"}]}`)
	if n := testing.AllocsPerRun(100, func() {
		if checkPayload(p) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheckPayload(b *testing.B) {
	p := []byte(`{"records":[` + strings.Repeat(`{"id":12345,"name":"somebody with a name","ok":true,"list":[1,2,3]},`, 10000) + `{}]}`)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if err := checkPayload(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONValid(b *testing.B) {
	p := []byte(`{"records":[` + strings.Repeat(`{"id":12345,"name":"somebody with a name","ok":true,"list":[1,2,3]},`, 10000) + `{}]}`)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if !json.Valid(p) {
			b.Fatal("invalid")
		}
	}
}
