package lambda

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// elementRule is what holds for each element of a list or map.
type elementRule[V any] interface {
	fits(V) bool
	texts() []string
}

// anything is the rule of elements without constraints.
type anything[V any] struct{}

// fits is always true.
func (anything[V]) fits(V) bool { return true }

// texts is empty: there is no constraint to print.
func (anything[V]) texts() []string { return nil }

// listRule limits a list of plain values.
type listRule[V any] struct {
	lengthRule
	element elementRule[V]
	notNull bool // messages add that an element must not be null
}

// fits says whether a list and all its elements keep every limit.
func (r *listRule[V]) fits(list []V) bool {
	return len(r.lengthRule.broken(len(list))) == 0 && r.elementsFit(list)
}

// elementsFit says whether all elements keep every limit.
func (r *listRule[V]) elementsFit(list []V) bool {
	for i := range list {
		if !r.element.fits(list[i]) {
			return false
		}
	}
	return true
}

// texts returns the texts of all limits, those of the elements in brackets.
func (r *listRule[V]) texts() []string {
	return append(r.lengthRule.texts(), r.elementText())
}

// elementText is the text of the limits of the elements.
func (r *listRule[V]) elementText() string {
	texts := r.element.texts()
	if r.notNull {
		texts = append(texts, "Member must not be null")
	}
	return "Member must satisfy constraint: [" + strings.Join(texts, ", ") + "]"
}

// checkList checks an optional list of plain values. All bad elements together are one
// problem that shows the whole list.
func checkList[V any](c *checker, at *place, name string, list []V, r *listRule[V]) {
	if list == nil {
		return
	}
	for _, text := range r.lengthRule.broken(len(list)) {
		c.add(at, name, shown(list, false), text)
	}
	if !r.elementsFit(list) {
		c.add(at, name, shown(list, false), r.elementText())
	}
}

// checkLength checks the length of an optional list of structures.
func checkLength[V any](c *checker, at *place, name string, list []V, r *lengthRule) {
	if list == nil {
		return
	}
	for _, text := range r.broken(len(list)) {
		c.add(at, name, shown(list, false), text)
	}
}

// mapRule limits the size of a map.
type mapRule struct {
	lengthRule
	secret     bool
	keyNotNull bool // messages add that a key must not be null
}

// checkMap checks an optional map: its size, its keys, its values.
func checkMap[V any](c *checker, at *place, name string, m map[string]V, r *mapRule, key elementRule[string], value elementRule[V]) {
	if m == nil {
		return
	}
	for _, text := range r.lengthRule.broken(len(m)) {
		c.add(at, name, shown(m, r.secret), text)
	}
	keys, values := true, true
	for k, v := range m {
		keys = keys && key.fits(k)
		values = values && value.fits(v)
	}
	if !keys {
		texts := key.texts()
		if r.keyNotNull {
			texts = append(texts, "Member must not be null")
		}
		c.add(at, name, shown(m, r.secret), "Map keys must satisfy constraint: ["+strings.Join(texts, ", ")+"]")
	}
	if !values {
		c.add(at, name, shown(m, r.secret), "Map value must satisfy constraint: ["+strings.Join(value.texts(), ", ")+"]")
	}
}

// plain prints a value as the service does: [a, b] for a list, {k=v} for a map,
// OnSuccess(destination=x) for a structure, null for what is absent.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b strings.Builder
	printPlain(&b, reflect.ValueOf(v))
	return b.String()
}

// printPlain prints one value; only values that broke a constraint come here.
func printPlain(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			b.WriteString("null")
			return
		}
		printPlain(b, v.Elem())
	case reflect.Slice:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			printPlain(b, v.Index(i))
		}
		b.WriteByte(']')
	case reflect.Map:
		b.WriteByte('{')
		names := make(map[string]struct{}, v.Len())
		for _, k := range v.MapKeys() {
			names[k.String()] = struct{}{}
		}
		for i, k := range sortedKeys(names) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(k + "=")
			printPlain(b, v.MapIndex(reflect.ValueOf(k)))
		}
		b.WriteByte('}')
	case reflect.Struct:
		b.WriteString(v.Type().Name() + "(")
		for i := range v.NumField() {
			if i > 0 {
				b.WriteString(", ")
			}
			name := v.Type().Field(i).Name
			b.WriteString(strings.ToLower(name[:1]) + name[1:] + "=")
			printPlain(b, v.Field(i))
		}
		b.WriteByte(')')
	case reflect.Float64:
		text := strconv.FormatFloat(v.Float(), 'f', -1, 64)
		if b.WriteString(text); !strings.Contains(text, ".") {
			b.WriteString(".0")
		}
	default:
		fmt.Fprint(b, v.Interface())
	}
}
