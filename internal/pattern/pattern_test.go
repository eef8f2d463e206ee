package pattern_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kiln/internal/pattern"
)

// plain makes JSON of JSON5, as far as the recordings use that: comments on lines of
// their own and commas before an end.
func plain(text []byte) []byte {
	text = regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAll(text, nil)
	return regexp.MustCompile(`,(\s*[}\]])`).ReplaceAll(text, []byte("$1"))
}

func TestRecordedPatternsHaveTheirVerdict(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json5")
	if err != nil || len(files) < 70 {
		t.Fatalf("%d recordings: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c struct{ Event, EventPattern json.RawMessage }
		if err := json.Unmarshal(plain(text), &c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json5")
		p, err := pattern.Compile(c.EventPattern)
		if refused := strings.HasSuffix(name, "_EXC"); refused || err != nil {
			if !refused || !errors.Is(err, pattern.ErrPattern) {
				t.Errorf("%s: Compile gives %v", name, err)
			}
			continue
		}
		if got, want := p.Match(c.Event), !strings.HasSuffix(name, "_NEG"); got != want {
			t.Errorf("%s: matches is %v, want %v", name, got, want)
		}
	}
}

// unmatched are the cases of event-ruler that do not match; all others do.
var unmatched = map[string]bool{
	"flat: 2-field exists, one missing": true, "flat: exact mismatch": true, "objarray: split": true, "objarray: 3-field, split 3 ways": true,
	"objarray: exact split": true, "objarray: prefix split": true, "primarray: no match": true, "nested: inner split": true, "nested: outer split": true,
	"nested2: split leaf": true, "mixed: array+scalar fail": true, "exists-false: present": true, "empty object": true, "empty array": true,
	"primarray: large + scalar, no match": true, "primarray: empty prim array": true, "mixed: obj-array split + prim-array": true, "suffix match split": true,
}

func TestElementsOfListsHoldTogether(t *testing.T) {
	text, err := os.ReadFile("testdata/correctness-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name        string
		Rule, Event json.RawMessage
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) < 50 {
		t.Fatal(len(cases), err)
	}
	seen := map[string]bool{}
	for _, c := range cases {
		p, err := pattern.Compile(c.Rule)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		seen[c.Name] = true
		if got, want := p.Match(c.Event), !unmatched[c.Name]; got != want {
			t.Errorf("%s: matches is %v, want %v", c.Name, got, want)
		}
	}
	for name := range unmatched {
		if !seen[name] {
			t.Errorf("there is no case %q", name)
		}
	}
}

func TestPatternsOfMappings(t *testing.T) {
	for _, c := range []struct {
		pattern, document string
		want              bool
	}{
		{`{"$or":[{"a":[1]},{"b":[2]}]}`, `{"b":2}`, true},
		{`{"$or":[{"a":[1]},{"b":[2]}]}`, `{"a":2,"b":1}`, false},
		{`{"c":[3],"$or":[{"a":[1]},{"b":[2]}]}`, `{"a":1}`, false},
		{`{"d":{"c":[3]},"$or":[{"d":{"a":[1]}},{"d":{"b":[2]}}]}`, `{"d":[{"c":3,"b":2}]}`, true},
		{`{"d":{"c":[3]},"$or":[{"d":{"a":[1]}},{"d":{"b":[2]}}]}`, `{"d":[{"c":3},{"b":2}]}`, false},
		{`{"$or":["x"]}`, `{"$or":"x"}`, true},
		{`{"a.b":[1]}`, `{"a.b":1}`, true},
		{`{"a":{"b":[1],"c":[2]}}`, `{"a.b":1,"a.c":2}`, true},
		{`{"a":{"b":[1],"c":[2]}}`, `{"a.b":1}`, false},
		{`{"a":[{"exists":false}]}`, `{"a":{"b":1}}`, true},
		{`{"a":[{"exists":true}]}`, `{"a":{"b":1}}`, false},
		{`{"a":{"b":[{"exists":false}]}}`, `{}`, true},
		{`{"a":{"b":[{"exists":false}]}}`, `{"a":[{"c":1},{"b":1}]}`, false},
		{`{"a":{"b":[{"exists":false}]}}`, `{"a":1}`, true},
		{`{"a":["é\n"]}`, `{"a":"\u00e9\n"}`, true},
		{`{"\"a":["x"]}`, `{"\u0022a":"x"}`, true},
		{`{"a":[300]}`, `{"a":3.0e2}`, true},
		{`{"a":["300"]}`, `{"a":300}`, false},
		{`{"a":[true]}`, `{"a":"true"}`, false},
		{`{"a":[null]}`, `{"a":null}`, true},
		{`{"a":[{"wildcard":"*a*b*"}]}`, `{"a":"xaybz"}`, true},
		{`{"a":[{"wildcard":"ab*ba"}]}`, `{"a":"aba"}`, false},
		{`{"a":[{"wildcard":"a\\*b"}]}`, `{"a":"a*b"}`, true},
		{`{"a":[{"wildcard":"a\\*b"}]}`, `{"a":"axb"}`, false},
		{`{"a":[{"prefix":{"equals-ignore-case":"AB"}}]}`, `{"a":"abc"}`, true},
		{`{"a":[{"anything-but":[1,2]}]}`, `{"a":3}`, true},
		{`{"a":[1]}`, `{"x":[[{"a":1}],"}"],"a":[[2,[1]]]}`, true},
		{`{"a":[1]}`, `{"a":2,"a":1}`, true},
	} {
		p, err := pattern.Compile([]byte(c.pattern))
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		} else if got := p.Match([]byte(c.document)); got != c.want {
			t.Errorf("%s of %s: %v, want %v", c.pattern, c.document, got, c.want)
		}
	}
	for _, text := range []string{``, `null`, `"x"`, `[]`, `{}`, `{"a":{}}`, `{"a":"x"}`, `{"a":[]}`, `{"a":[[1]]}`, `{"a":[1]} x`, `{"a":[1],"a":[2]}`,
		`{"a":[{"exists":"true"}]}`, `{"a":[{"in":[1]}]}`, `{"a":[{"exists":true,"prefix":"x"}]}`, `{"a":[{"numeric":["<",1,">",0]}]}`, `{"a":[{"numeric":[">",2,"<",1]}]}`,
		`{"a":[{"anything-but":[]}]}`, `{"a":[{"anything-but":[1,"x"]}]}`, `{"a":[{"anything-but":true}]}`, `{"a":[{"wildcard":"\\x"}]}`, `{"a":[1e999]}`,
		strings.Repeat(`{"a":`, 1000) + `[1]` + strings.Repeat(`}`, 1000), `{` + strings.Repeat(`"$or":[{"a":[1]},{"b":[1]}],`, 1) + `"c":` + ors(9) + `}`,
	} {
		if _, err := pattern.Compile([]byte(text)); !errors.Is(err, pattern.ErrPattern) {
			t.Errorf("%s is accepted: %v", text, err)
		}
	}
}

// ors gives n alternatives within each other's company: 2 to the power of n rules.
func ors(n int) string {
	if n == 0 {
		return `[1]`
	}
	return `{"$or":[{"a":[1]},{"b":[1]}],"x":` + ors(n-1) + `}`
}

func TestDocumentsThatAreNotJSONEnd(t *testing.T) {
	p, err := pattern.Compile([]byte(`{"a":{"b":[1]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{``, `{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":{`, `{"a":{"b"`, `{"a":{"b":]`, `{a:1}`, `[`, `{"a":[}`, `}`, `{"x":}`, `{"x":,,}`, `{"x" "y"}`,
		strings.Repeat(`{"a":`, 1<<16), strings.Repeat(`[`, 1<<16), `{"x":` + strings.Repeat(`[`, 1<<16)} {
		if p.Match([]byte(text)) {
			t.Errorf("%.20q matches", text)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	p, err := pattern.Compile([]byte(`{"body":{"detail":{"state":["running",{"prefix":"stop"}],"count":[{"numeric":[">",0,"<=",5]}]}}}`))
	if err != nil {
		b.Fatal(err)
	}
	document := []byte(`{"messageId":"059f36b4-87a3-44ab-83d2-661975830a7d","attributes":{"SentTimestamp":"1545082649183"},"body":{"version":"0","id":"3e3c153a","resources":["arn:aws:ec2:us-east-1:123456789012:instance/i-b188560f","` +
		strings.Repeat("x", 700) + `"],"detail":{"instance-id":"i-abcd","state":"stopped","count":3}},"eventSource":"aws:sqs"}`)
	b.SetBytes(int64(len(document)))
	for b.Loop() {
		if !p.Match(document) {
			b.Fatal("it does not match")
		}
	}
}
