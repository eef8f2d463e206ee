package main

import (
	"fmt"
	"slices"
	"strings"
)

// emitValidation writes the checks of every input, in the model's order of
// members, which is the order of the problems in a message.
func emitValidation(m *api, f *file) error {
	isInput := map[string]bool{}
	for _, name := range m.inputs() {
		isInput[name] = true
	}
	for _, s := range structures(m.reachable(m.inputs()...)) {
		if isInput[s.name] {
			f.p("// Validate returns every broken constraint as one error, or nil.")
			f.p("func (v *%s) Validate() error {", s.name)
			f.p("\tvar c checker\n\tv.check(&c, nil)")
			if slices.Contains(m.overrides.Special, s.name) {
				f.p("\tif err := c.err(); err != nil {\n\t\treturn err\n\t}")
				f.p("\treturn v.special()\n}\n")
			} else {
				f.p("\treturn c.err()\n}\n")
			}
		}
		if !m.constrained(s) && !isInput[s.name] {
			continue
		}
		f.p("// check gathers the broken constraints below a place.")
		if !m.constrained(s) {
			f.p("func (v *%s) check(*checker, *place) {}\n", s.name)
			continue
		}
		f.p("func (v *%s) check(c *checker, at *place) {", s.name)
		for _, mem := range s.Members {
			if err := emitCheck(m, f, s, mem); err != nil {
				return fmt.Errorf("%s.%s: %w", s.name, mem.Name, err)
			}
		}
		f.p("}\n")
	}
	return nil
}

// constrained says whether a structure or anything below it can be invalid.
func (m *api) constrained(s *shape) bool {
	for _, mem := range s.Members {
		if s.required(mem.Name) && mem.Location != "uri" || m.ruled(mem.Shape) {
			return true
		}
	}
	return false
}

// ruled says whether a shape, its elements or its members have constraints.
func (m *api) ruled(name string) bool {
	s := m.shape(name)
	if s.Min != nil || s.Max != nil || s.Pattern != "" || len(s.Enum) > 0 {
		return true
	}
	switch s.Type {
	case "structure":
		return !s.EventStream && m.constrained(s)
	case "list":
		return m.ruled(s.Member.Shape)
	case "map":
		return m.ruled(s.Key.Shape) || m.ruled(s.Value.Shape)
	}
	return false
}

// emitCheck writes the checks of one member.
func emitCheck(m *api, f *file, s *shape, mem member) error {
	t := m.shape(mem.Shape)
	field, name := "v."+exported(mem.Name), lowerFirst(mem.Name)
	if s.required(mem.Name) && mem.Location != "uri" {
		f.p("\tif %s == nil {\n\t\tc.missing(at, %q)\n\t}", field, name)
	}
	if !m.ruled(mem.Shape) {
		return nil
	}
	pointer := field
	if mem.Location == "uri" {
		pointer = "&" + field
	}
	switch t.Type {
	case "string":
		rule := ruleName(mem.Shape)
		if slices.Contains(m.overrides.UncheckedEnums, s.name+"."+mem.Name) {
			if t.Min != nil || t.Max != nil || t.Pattern != "" {
				return fmt.Errorf("an unchecked enumeration has other constraints too")
			}
			return nil
		}
		f.p("\tc.string(at, %q, %s, &%s)", name, pointer, rule)
	case "integer", "long", "double":
		f.p("\tcheckNumber(c, at, %q, %s, &%s)", name, pointer, ruleName(mem.Shape))
	case "blob":
		f.p("\tc.blob(at, %q, %s, &%s)", name, field, ruleName(mem.Shape))
	case "structure":
		f.p("\tif %s != nil {\n\t\t%s.check(c, &place{at, %q, 0})\n\t}", field, field, name)
	case "list":
		return emitListCheck(m, f, t, field, name)
	case "map":
		if t.Min != nil || t.Max != nil || m.ruled(t.Key.Shape) {
			key := m.elementRule(t.Key.Shape)
			f.p("\tcheckMap(c, at, %q, %s, &%s, %s, %s)", name, field, ruleName(mem.Shape), key, m.elementRule(t.Value.Shape))
		}
	default:
		return fmt.Errorf("constraints on type %s", t.Type)
	}
	return nil
}

// emitListCheck writes the checks of a list: its length, then its elements, those
// that are structures each at its own place.
func emitListCheck(m *api, f *file, t *shape, field, name string) error {
	elem := m.shape(t.Member.Shape)
	if elem.Type == "structure" {
		if t.Min != nil || t.Max != nil {
			f.p("\tcheckLength(c, at, %q, %s, &%s)", name, field, ruleName(t.name))
		}
		if m.constrained(elem) {
			f.p("\tfor i := range %s {\n\t\t%s[i].check(c, &place{at, %q, i + 1})\n\t}", field, field, name)
		}
		return nil
	}
	f.p("\tcheckList(c, at, %q, %s, &%s)", name, field, ruleName(t.name))
	return nil
}

// elementRule is the rule of the elements of a map as an expression.
func (m *api) elementRule(name string) string {
	if !m.ruled(name) {
		return "anything[" + m.goType(name, "time.Time") + "]{}"
	}
	return "&" + ruleName(name)
}

// ruleName is the name of the variable that holds the constraints of a shape.
func ruleName(name string) string { return "rule" + exported(name) }

// emitRules writes the constraints of every shape that an input can hold.
func emitRules(m *api, f *file) error {
	for _, s := range m.reachable(m.inputs()...) {
		if s.Type == "structure" || !m.ruled(s.name) {
			continue
		}
		f.p("// %s holds the constraints of %s.", ruleName(s.name), s.name)
		switch s.Type {
		case "string":
			if err := emitStringRule(m, f, s); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		case "integer", "long", "double":
			f.p("var %s = numberRule{%s}\n", ruleName(s.name), bounds(s, true))
		case "blob":
			f.p("var %s = lengthRule{%s}\n", ruleName(s.name), bounds(s, false))
		case "list":
			elem := m.shape(s.Member.Shape)
			if elem.Type == "structure" {
				f.p("var %s = lengthRule{%s}\n", ruleName(s.name), bounds(s, false))
				continue
			}
			notNull := !slices.Contains(m.overrides.ElementsWithoutNotNull, elem.name)
			f.p("var %s = listRule[%s]{lengthRule: lengthRule{%s}, element: %s, notNull: %v}\n", ruleName(s.name),
				m.goType(elem.name, "time.Time"), bounds(s, false), m.elementRule(elem.name), notNull)
		case "map":
			notNull := slices.Contains(m.overrides.KeysWithNotNull, s.Key.Shape)
			f.p("var %s = mapRule{lengthRule: lengthRule{%s}, secret: %v, keyNotNull: %v}\n", ruleName(s.name), bounds(s, false), s.Sensitive, notNull)
		}
	}
	return nil
}

// bounds prints minimum and maximum with the text that messages have of them: of a
// number with a fraction always with one.
func bounds(s *shape, number bool) string {
	var out []string
	add := func(name, value string) {
		if number {
			text := value
			if s.Type == "double" && !strings.Contains(value, ".") {
				text += ".0"
			}
			out = append(out, fmt.Sprintf("%s: bound{%s, true, %q}", name, value, text))
		} else {
			out = append(out, fmt.Sprintf("%s: bound{%s, true, %q}", name, value, value))
		}
	}
	if s.Min != nil {
		add("min", s.Min.String())
	}
	if s.Max != nil {
		add("max", s.Max.String())
	}
	return strings.Join(out, ", ")
}

// emitStringRule writes the constraints of a string.
func emitStringRule(m *api, f *file, s *shape) error {
	f.p("var %s = stringRule{", ruleName(s.name))
	if b := bounds(s, false); b != "" {
		f.p("lengthRule: lengthRule{%s},", b)
	}
	if s.Pattern != "" {
		if err := emitPattern(m, f, s); err != nil {
			return err
		}
	}
	if len(s.Enum) > 0 {
		f.p("enum: []string{")
		for _, v := range s.Enum {
			f.p("%q,", v)
		}
		f.p("},")
		text := s.Enum
		if o, ok := m.overrides.EnumText[s.name]; ok {
			text = o
		}
		f.p("enumText: %q,", "["+strings.Join(text, ", ")+"]")
	}
	if s.Sensitive {
		f.p("secret: true,")
	}
	f.p("}\n")
	return nil
}
