package pattern_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"kiln/internal/pattern"
)

// oracle matches slowly, on decoded values, what has no $or and no dots in names.
func oracle(p map[string]any, document any) bool {
	return inside(p, document)
}

// inside reports whether a value has the members that are asked for.
func inside(p map[string]any, v any) bool {
	if list, ok := v.([]any); ok {
		if len(list) == 0 {
			return inside(p, nil)
		}
		some, all := false, true
		for _, e := range list {
			ok := inside(p, e)
			some, all = some || ok, all && ok
		}
		if onlyMissing(p) {
			return all
		}
		return some
	}
	o, _ := v.(map[string]any)
	for name, want := range p {
		value, there := o[name]
		switch want := want.(type) {
		case map[string]any:
			if !there {
				value = nil
			}
			if !inside(want, value) {
				return false
			}
		case []any:
			var found []any
			if there {
				found = scalars(value)
			}
			if !anyHolds(want, found, value) {
				return false
			}
		}
	}
	return true
}

func onlyMissing(p map[string]any) bool {
	for _, want := range p {
		switch want := want.(type) {
		case map[string]any:
			if !onlyMissing(want) {
				return false
			}
		case []any:
			for _, w := range want {
				if !reflect.DeepEqual(w, map[string]any{"exists": false}) {
					return false
				}
			}
		}
	}
	return true
}

// scalars gives the values that a member has: those of a list, at any depth.
func scalars(v any) []any {
	switch v := v.(type) {
	case map[string]any:
		return nil
	case []any:
		var out []any
		for _, e := range v {
			out = append(out, scalars(e)...)
		}
		return out
	}
	return []any{v}
}

func anyHolds(want, found []any, whole any) bool {
	for _, w := range want {
		op, isOp := w.(map[string]any)
		if isOp && op["exists"] == false {
			if len(found) == 0 || hasObject(whole) && !onlyMissingList(want) {
				return true
			}
			continue
		}
		for _, f := range found {
			if holds(w, op, f) {
				return true
			}
		}
	}
	return false
}

// hasObject reports whether a list has an element without a value: there the member is
// missing.
func hasObject(v any) bool {
	list, ok := v.([]any)
	if !ok {
		_, object := v.(map[string]any)
		return object
	}
	for _, e := range list {
		if hasObject(e) {
			return true
		}
		if l, ok := e.([]any); ok && len(scalars(l)) == 0 {
			return true
		}
	}
	return false
}

func onlyMissingList(want []any) bool { return onlyMissing(map[string]any{"": want}) }

func holds(w any, op map[string]any, f any) bool {
	for name, arg := range op {
		s, isText := f.(string)
		n, isNumber := f.(float64)
		switch name {
		case "exists":
			return true
		case "prefix":
			return isText && strings.HasPrefix(s, arg.(string))
		case "suffix":
			return isText && strings.HasSuffix(s, arg.(string))
		case "numeric":
			return isNumber && n < arg.([]any)[1].(float64)
		case "anything-but":
			return !reflect.DeepEqual(f, arg)
		}
	}
	return op == nil && reflect.DeepEqual(w, f)
}

// grow makes a value of what a fuzzer chose: short names and few values, so that
// patterns and documents have something to do with each other.
type grow struct{ bytes []byte }

func (g *grow) next(n int) int {
	if len(g.bytes) == 0 {
		return 0
	}
	b := g.bytes[0]
	g.bytes = g.bytes[1:]
	return int(b) % n
}

var leafs = []any{"a", "ab", "b", 1.0, 2.0, true, nil, ""}

func (g *grow) document(depth int) any {
	kind := g.next(6)
	switch {
	case depth > 3 || kind < 2:
		return leafs[g.next(len(leafs))]
	case kind == 2:
		list := []any{}
		for range g.next(4) {
			list = append(list, g.document(depth+1))
		}
		return list
	}
	return g.members(depth)
}

func (g *grow) members(depth int) map[string]any {
	o := map[string]any{}
	for range g.next(4) {
		o[string(rune('x'+g.next(3)))] = g.document(depth + 1)
	}
	return o
}

func (g *grow) pattern(depth int) map[string]any {
	o := map[string]any{}
	for range 1 + g.next(2) {
		name := string(rune('x' + g.next(3)))
		if depth < 3 && g.next(2) == 1 {
			o[name] = g.pattern(depth + 1)
			continue
		}
		var list []any
		for range 1 + g.next(2) {
			switch g.next(7) {
			case 0:
				list = append(list, map[string]any{"exists": true})
			case 1:
				list = append(list, map[string]any{"exists": false})
			case 2:
				list = append(list, map[string]any{"prefix": "a"})
			case 3:
				list = append(list, map[string]any{"suffix": "b"})
			case 4:
				list = append(list, map[string]any{"numeric": []any{"<", 2.0}})
			case 5:
				list = append(list, map[string]any{"anything-but": "a"})
			default:
				list = append(list, leafs[g.next(len(leafs))])
			}
		}
		o[name] = list
	}
	return o
}

func FuzzMatchAgreesWithTheOracle(f *testing.F) {
	f.Add([]byte{0}, []byte{0})
	f.Add([]byte{1, 0, 1, 0, 1, 0, 1}, []byte{3, 0, 2, 2, 3, 1, 0, 0, 0})
	f.Add([]byte{0, 1, 1, 0, 0, 1, 1}, []byte{2, 0, 2, 3, 3, 1, 1, 0, 3})
	seed := uint32(1)
	for range 300 { // so that a run without fuzzing tries something, too
		var p, d []byte
		for range 40 {
			seed = seed*1664525 + 1013904223
			p, d = append(p, byte(seed>>24)), append(d, byte(seed>>16))
		}
		f.Add(p, d)
	}
	f.Fuzz(func(t *testing.T, forPattern, forDocument []byte) {
		want := (&grow{forPattern}).pattern(0)
		document := (&grow{forDocument}).members(0)
		patternText, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		p, err := pattern.Compile(patternText)
		if err != nil {
			t.Fatalf("%s: %v", patternText, err)
		}
		if got, want := p.Match(text), oracle(want, document); got != want {
			t.Errorf("%s of %s: %v, the oracle says %v", patternText, text, got, want)
		}
	})
}

func FuzzMatchTakesEveryText(f *testing.F) {
	f.Add(`{"a":["x"]}`, `{"a":"x"}`)
	f.Add(`{"a":{"b":[{"wildcard":"*x*"}]}}`, `{"a.b":"x"`)
	f.Fuzz(func(_ *testing.T, patternText, text string) {
		if p, err := pattern.Compile([]byte(patternText)); err == nil {
			p.Match([]byte(text))
		}
	})
}
