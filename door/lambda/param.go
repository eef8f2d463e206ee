package lambda

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// fail keeps the first thing that could not be decoded.
func (c *call) fail(format string, args ...any) {
	if c.err == nil {
		c.err = serialization(format, args...)
	}
}

// label returns one label of the path, unescaped once.
func (c *call) label(i int) string {
	raw := c.labels[i]
	if strings.IndexByte(raw, '%') < 0 {
		return raw
	}
	v, err := url.PathUnescape(raw)
	if err != nil {
		c.fail("path has an invalid escape")
	}
	return v
}

// labelInt64 returns one label of the path as a number.
func (c *call) labelInt64(i int) int64 {
	v, err := strconv.ParseInt(c.label(i), 10, 64)
	if err != nil {
		c.fail("STRING_VALUE can not be converted to a Long")
	}
	return v
}

// header returns a header's first value, nil without the header. The name must be in
// canonical form.
func (c *call) header(name string) *string {
	if v := c.req.Header[name]; len(v) > 0 {
		return &v[0]
	}
	return nil
}

// queryNext cuts the first pair off a raw query.
func queryNext(raw string) (key, value, rest string) {
	pair, rest, _ := strings.Cut(raw, "&")
	key, value, _ = strings.Cut(pair, "=")
	return key, value, rest
}

// queryHas says whether a raw query has a pair, both parts free of escapes.
func queryHas(raw, key, value string) bool {
	for raw != "" {
		var k, v string
		if k, v, raw = queryNext(raw); k == key && v == value {
			return true
		}
	}
	return false
}

// queryRaw finds the first value of a key, escapes still in it.
func (c *call) queryRaw(key string) (string, bool) {
	for raw := c.req.URL.RawQuery; raw != ""; {
		var k, v string
		k, v, raw = queryNext(raw)
		if k == key || strings.ContainsAny(k, "%+") && c.unescape(k) == key {
			return v, true
		}
	}
	return "", false
}

// unescape undoes the escapes of one part of a query.
func (c *call) unescape(raw string) string {
	if !strings.ContainsAny(raw, "%+") {
		return raw
	}
	v, err := url.QueryUnescape(raw)
	if err != nil {
		c.fail("query has an invalid escape")
	}
	return v
}

// queryString returns the first value of a key, nil without the key.
func (c *call) queryString(key string) *string {
	raw, ok := c.queryRaw(key)
	if !ok {
		return nil
	}
	v := c.unescape(raw)
	return &v
}

// queryList returns all values of a key, nil without the key.
func (c *call) queryList(key string) (list []string) {
	for raw := c.req.URL.RawQuery; raw != ""; {
		var k, v string
		if k, v, raw = queryNext(raw); c.unescape(k) == key {
			list = append(list, c.unescape(v))
		}
	}
	return list
}

// queryInt32 returns the first value of a key as a number, nil without the key.
func (c *call) queryInt32(key string) *int32 {
	s := c.queryString(key)
	if s == nil {
		return nil
	}
	n, err := strconv.ParseInt(*s, 10, 32)
	if err != nil {
		c.fail("STRING_VALUE can not be converted to an Integer")
	}
	v := int32(n)
	return &v
}

// queryBool returns the first value of a key as a truth value, nil without the key.
func (c *call) queryBool(key string) *bool {
	s := c.queryString(key)
	if s == nil {
		return nil
	}
	v := strings.EqualFold(*s, "true")
	if !v && !strings.EqualFold(*s, "false") {
		c.fail("STRING_VALUE can not be converted to a Boolean")
	}
	return &v
}

// queryTime returns the first value of a key as a time in ISO 8601, nil without the key.
func (c *call) queryTime(key string) *time.Time {
	s := c.queryString(key)
	if s == nil {
		return nil
	}
	v, err := time.Parse(time.RFC3339Nano, *s)
	if err != nil {
		c.fail("STRING_VALUE can not be converted to a Date")
	}
	v = v.UTC()
	return &v
}
