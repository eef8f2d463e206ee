package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// modelShape is a shape of the service's model, as far as constraints go.
type modelShape struct {
	Type     string
	Required []string
	Members  map[string]modelMember
	Member   modelMember
	Key      modelMember
	Value    modelMember
	Min, Max *json.Number
	Pattern  string
	Enum     []string
}

// modelMember is a member of a structure, or what a list or map is made of.
type modelMember struct{ Shape, Location, LocationName string }

// serviceModel is the service's model.
type serviceModel struct {
	Operations map[string]struct {
		HTTP  struct{ Method, RequestURI string }
		Input modelMember
	}
	Shapes map[string]*modelShape
}

func readModel(t *testing.T) *serviceModel {
	t.Helper()
	b, err := os.ReadFile("../../model/lambda-2015-03-31.json")
	if err != nil {
		t.Fatal(err)
	}
	var m serviceModel
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return &m
}

// bound is one end of a constraint: a value that just keeps it, one that just breaks it,
// and what the service says then.
type bound struct {
	at           string // the member in the service's spelling
	keeps, broke any
	says         string
}

// bounds gives the ends of the constraints of a shape, which is at that place.
func (m *serviceModel) bounds(shape, at string) (out []bound) {
	s := m.Shapes[shape]
	end := func(n *json.Number, step int64, words string, value func(int64) any) {
		if n == nil || n.String() == "" {
			return
		}
		f, err := n.Float64()
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<20 || f+float64(step) < 0 && s.Type != "integer" && s.Type != "long" {
			return
		}
		out = append(out, bound{at, value(int64(f)), value(int64(f) + step), "at '" + at + "' failed to satisfy constraint: Member must have " + words + " than or equal to " + n.String()})
	}
	both := func(kind string, value func(int64) any) {
		end(s.Max, 1, kind+" less", value)
		end(s.Min, -1, kind+" greater", value)
	}
	switch s.Type {
	case "string":
		if len(s.Enum) > 0 {
			out = append(out, bound{at, s.Enum[0], s.Enum[0] + "?", "at '" + at + "' failed to satisfy constraint: Member must satisfy enum value set: ["})
			break
		}
		both("length", func(n int64) any { return strings.Repeat("a", int(n)) })
	case "blob":
		both("length", func(n int64) any { return base64.StdEncoding.EncodeToString(make([]byte, n)) })
	case "integer", "long":
		both("value", func(n int64) any { return n })
	case "list":
		if element := m.Shapes[s.Member.Shape]; element.Type == "string" {
			both("length", func(n int64) any { return slices.Repeat([]string{"a"}, int(n)) })
		}
	case "structure":
		for name, member := range s.Members {
			inner := m.bounds(member.Shape, at+"."+strings.ToLower(name[:1])+name[1:])
			for _, b := range inner {
				out = append(out, bound{b.at, map[string]any{name: b.keeps}, map[string]any{name: b.broke}, b.says})
			}
		}
	}
	return out
}

// send makes the request of an operation with one member of its input set.
func (m *serviceModel) send(p *port, operation, name string, value any) reply {
	op := m.Operations[operation]
	in := m.Shapes[op.Input.Shape]
	target, query, headers, body := op.HTTP.RequestURI, url.Values{}, []string{}, map[string]any{}
	for member, d := range in.Members {
		text, set := fmt.Sprint(value), member == name
		switch d.Location {
		case "uri":
			if !set || text == "" {
				text = map[bool]string{true: "1", false: "a"}[strings.HasSuffix(member, "VersionNumber")]
			}
			target = strings.Replace(target, "{"+d.LocationName+"}", url.PathEscape(text), 1)
		case "querystring":
			if set {
				query.Set(d.LocationName, text)
			}
		case "header":
			if set {
				headers = append(headers, d.LocationName, text)
			}
		default:
			if set {
				body[member] = value
			}
		}
	}
	if len(query) > 0 {
		target += map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")] + query.Encode()
	}
	sent := ""
	if op.HTTP.Method != "GET" && op.HTTP.Method != "DELETE" && operation != "Invoke" && operation != "InvokeWithResponseStream" {
		sent = text(p.t, body)
	}
	return p.do(op.HTTP.Method, target, sent, headers...)
}

// notAsked are members whose constraints are asked nowhere or otherwise, with the reason.
var notAsked = map[string]string{
	"CreateFunction.runtime":              "the service has its own text for it: TestEveryRecordedRefusalIsGivenOrListed has it",
	"UpdateFunctionConfiguration.runtime": "the same",
}

// TestEveryConstraintOfTheModelIsAskedAtItsBounds sends, for every operation that is
// served and every constraint of its input, a value that just keeps it and one that just
// does not, and wants the service's text for the one and not for the other.
func TestEveryConstraintOfTheModelIsAskedAtItsBounds(t *testing.T) {
	m, p := readModel(t), newPort(t)
	asked := 0
	for _, operation := range slices.Sorted(maps.Keys(m.Operations)) {
		op := m.Operations[operation]
		if op.Input.Shape == "" || m.send(p, operation, "", nil).status == 501 {
			continue
		}
		for name, member := range m.Shapes[op.Input.Shape].Members {
			if member.Location == "uri" && member.LocationName != "FunctionName" {
				continue // tried by name in door/lambda
			}
			for _, b := range m.bounds(member.Shape, strings.ToLower(name[:1])+name[1:]) {
				if notAsked[operation+"."+b.at] != "" || (member.Location == "uri" || member.Location == "header") && b.broke == "" {
					continue
				}
				asked++
				if got := m.send(p, operation, name, b.broke); got.status != 400 || got.header.Get("X-Amzn-Errortype") != "ValidationException" || !strings.Contains(got.message(), b.says) {
					t.Errorf("%s with %.60v:\ngot  %d %s %.400s\nwant %s", operation, b.broke, got.status, got.header.Get("X-Amzn-Errortype"), got.message(), b.says)
				}
				if got := m.send(p, operation, name, b.keeps); got.status >= 500 && got.status != 501 || strings.Contains(got.message(), b.says) {
					t.Errorf("%s with %.60v, which is allowed: got %d %s", operation, b.keeps, got.status, got.message())
				}
			}
		}
	}
	if asked < 400 {
		t.Errorf("only %d bounds were asked", asked)
	}
}

// TestNoValueOfAWrongKindIsEverAFaultOfTheService puts values of every kind into every
// member of every body, and bodies of every kind into every operation.
func TestNoValueOfAWrongKindIsEverAFaultOfTheService(t *testing.T) {
	m, p := readModel(t), newPort(t)
	p.create("a", map[string]any{"Publish": true})
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	values := []string{`null`, `true`, `-1`, `0`, `1.5`, `1e400`, `99999999999999999999`, `""`, `"\u0000"`, `"\ud800"`, "\"\xff\"", `[]`, `[null]`, `[[]]`, `{}`, `{"":null}`, `{"a":{"a":{}}}`, deep}
	bodies := []string{"", " ", "null", "[]", "0", `"x"`, "{", "{}{}", "\xef\xbb\xbf{}", "\x00", "{\"a\":1,\"a\":2}", `{"__proto__":{}}`, strings.Repeat(`{"a":`, 100_000)}
	for _, operation := range slices.Sorted(maps.Keys(m.Operations)) {
		op := m.Operations[operation]
		if op.Input.Shape == "" || op.HTTP.Method == "GET" || op.HTTP.Method == "DELETE" || strings.HasPrefix(operation, "Invoke") {
			continue
		}
		target := op.HTTP.RequestURI
		for member, d := range m.Shapes[op.Input.Shape].Members {
			if d.Location == "uri" {
				target = strings.Replace(target, "{"+d.LocationName+"}", map[bool]string{true: "1", false: "a"}[strings.HasSuffix(member, "VersionNumber")], 1)
			}
		}
		try := func(body string) {
			got := p.do(op.HTTP.Method, target, body)
			if got.status >= 500 && got.status != 501 || got.body != "" && !json.Valid([]byte(got.body)) {
				t.Errorf("%s %.80q: got %d %s", operation, body, got.status, got.body)
			}
		}
		for _, b := range bodies {
			try(b)
		}
		for name, d := range m.Shapes[op.Input.Shape].Members {
			if d.Location != "" {
				continue
			}
			for _, v := range values {
				try(`{` + strconv.Quote(name) + `:` + v + `}`)
				if inner := m.Shapes[d.Shape]; inner.Type == "structure" {
					for member := range inner.Members {
						try(`{` + strconv.Quote(name) + `:{` + strconv.Quote(member) + `:` + v + `}}`)
					}
				}
			}
		}
		p.settle()
	}
}
