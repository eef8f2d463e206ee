package policy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// condition is one key of an element Condition with its operator.
type condition struct {
	op      *operator
	set     quantifier
	exists  bool // …IfExists: a key that is not there is no hindrance
	key     string
	values  []string
	absence bool // the operator Null
}

// quantifier says how many of the values of a key must pass.
type quantifier uint8

const (
	one quantifier = iota
	forAll
	forAny
)

// operator compares a value of a request with one of a policy. A negated one passes
// when no value of the policy compares, and when the key is not there.
type operator struct {
	negated bool
	pattern bool                         // wildcards in the policy's value mean something
	valid   func(want string) bool       // nil takes all
	compare func(want, have string) bool // want was made ready
}

// operators is the table of all operators but Null.
var operators = func() map[string]*operator {
	equal := func(want, have string) bool { return want == have }
	table := map[string]*operator{
		"StringEquals":           {compare: equal},
		"StringEqualsIgnoreCase": {compare: strings.EqualFold},
		"StringLike":             {pattern: true, compare: like},
		"Bool":                   {valid: isBool, compare: strings.EqualFold},
		"BinaryEquals":           {compare: equal},
		"ArnEquals":              {pattern: true, compare: likeARN},
		"ArnLike":                {pattern: true, compare: likeARN},
		"IpAddress":              {valid: isNetwork, compare: within},
	}
	for name, test := range map[string]func(int) bool{
		"Equals": func(c int) bool { return c == 0 }, "LessThan": func(c int) bool { return c < 0 }, "LessThanEquals": func(c int) bool { return c <= 0 },
		"GreaterThan": func(c int) bool { return c > 0 }, "GreaterThanEquals": func(c int) bool { return c >= 0 },
	} {
		table["Numeric"+name] = &operator{valid: isNumber, compare: func(want, have string) bool {
			w, err1 := strconv.ParseFloat(want, 64)
			h, err2 := strconv.ParseFloat(have, 64)
			return err1 == nil && err2 == nil && w == w && h == h && test(order(h, w))
		}}
		table["Date"+name] = &operator{valid: isDate, compare: func(want, have string) bool {
			w, ok1 := date(want)
			h, ok2 := date(have)
			return ok1 && ok2 && test(h.Compare(w))
		}}
	}
	for name, of := range map[string]string{
		"StringNotEquals": "StringEquals", "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase", "StringNotLike": "StringLike", "NumericNotEquals": "NumericEquals",
		"DateNotEquals": "DateEquals", "ArnNotEquals": "ArnEquals", "ArnNotLike": "ArnLike", "NotIpAddress": "IpAddress",
	} {
		opposite := *table[of]
		opposite.negated = true
		table[name] = &opposite
	}
	return table
}()

// readConditions reads {operator: {key: values}}.
func readConditions(v any) ([]condition, error) {
	ops, ok := v.(members)
	if !ok {
		return nil, malformed("Syntax errors in policy: Condition is not an object.")
	}
	var out []condition
	for _, o := range ops {
		var c condition
		name := o.name
		if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
			name, c.set = rest, forAll
		} else if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
			name, c.set = rest, forAny
		}
		if rest, ok := strings.CutSuffix(name, "IfExists"); ok {
			name, c.exists = rest, true
		}
		c.absence = name == "Null" && !c.exists
		if c.op = operators[name]; c.op == nil && !c.absence {
			return nil, malformed("Invalid Condition type : %s", clip(o.name))
		}
		keys, ok := o.value.(members)
		if !ok || len(keys) == 0 {
			return nil, malformed("Syntax errors in policy: the operator %s has no keys.", clip(o.name))
		}
		for _, k := range keys {
			c.key = strings.ToLower(k.name)
			var err error
			if c.values, err = values(k.value); err != nil {
				return nil, err
			}
			for _, want := range c.values {
				if c.absence && !isBool(want) || c.op != nil && c.op.valid != nil && !c.op.valid(want) {
					return nil, malformed("Syntax errors in policy: %q is no value for the operator %s.", clip(want), clip(o.name))
				}
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// values reads what a condition compares with: strings, numbers or truth values.
func values(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, len(list))
	for i, v := range list {
		switch v := v.(type) {
		case string:
			out[i] = v
		case bool:
			out[i] = strconv.FormatBool(v)
		case json.Number:
			out[i] = v.String()
		default:
			return nil, malformed("Syntax errors in policy: a condition compares with something that is no text, number or truth value.")
		}
		if strings.ContainsAny(out[i], "\x01\x02") {
			return nil, malformed("Syntax errors in policy: a condition has control characters.")
		}
	}
	return out, nil
}

// holds reports whether a condition is met.
func (c *condition) holds(variables bool, keys Context) bool {
	have := keys[c.key]
	if c.absence {
		return slices.ContainsFunc(c.values, func(want string) bool { return strings.EqualFold(want, "true") == (len(have) == 0) })
	}
	if len(have) == 0 {
		return c.exists || c.set == forAll || c.set == one && c.op.negated
	}
	passes := func(have string) bool {
		return c.op.negated != slices.ContainsFunc(c.values, func(want string) bool { return c.op.matches(want, have, variables, keys) })
	}
	fails := func(have string) bool { return !passes(have) }
	if c.set == forAll || c.set == one && c.op.negated {
		return !slices.ContainsFunc(have, fails)
	}
	return slices.ContainsFunc(have, passes)
}

// matches compares one value of the request with one of the policy.
func (o *operator) matches(want, have string, variables bool, keys Context) bool {
	if o.pattern || variables && strings.Contains(want, "${") {
		var ok bool
		if want, ok = ready(want, variables, o.pattern, keys); !ok {
			return false
		}
	}
	return o.compare(want, have)
}

// order compares numbers that are none of them NaN.
func order(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// date reads a time in ISO 8601, a day, or seconds since 1970.
func date(s string) (time.Time, bool) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02", "20060102T150405Z"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), true
	}
	return time.Time{}, false
}

// network reads an address or a range of them.
func network(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// within reports whether an address is in a range.
func within(want, have string) bool {
	p, ok := network(want)
	a, err := netip.ParseAddr(have)
	return ok && err == nil && p.Contains(a.Unmap().WithZone(""))
}

func isBool(s string) bool {
	return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") || strings.Contains(s, "${")
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil || strings.Contains(s, "${")
}

func isDate(s string) bool {
	_, ok := date(s)
	return ok || strings.Contains(s, "${")
}

func isNetwork(s string) bool {
	_, ok := network(s)
	return ok || strings.Contains(s, "${")
}
