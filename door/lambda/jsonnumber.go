package lambda

import (
	"math"
	"strconv"
	"time"
)

// number consumes a number by JSON's grammar and returns its text.
func (d *decoder) number() []byte {
	start := d.pos
	digits := func() bool {
		from := d.pos
		for d.pos < len(d.buf) && d.buf[d.pos] >= '0' && d.buf[d.pos] <= '9' {
			d.pos++
		}
		return d.pos > from
	}
	at := func(set string) bool {
		for i := 0; i < len(set) && d.pos < len(d.buf); i++ {
			if d.buf[d.pos] == set[i] {
				d.pos++
				return true
			}
		}
		return false
	}
	at("-")
	if !at("0") && !digits() {
		d.syntax()
		return nil
	}
	if at(".") && !digits() {
		d.syntax()
		return nil
	}
	if at("eE") {
		at("+-")
		if !digits() {
			d.syntax()
			return nil
		}
	}
	return d.buf[start:d.pos]
}

// integer reads a number without a fraction between two bounds.
func (d *decoder) integer(low, high int64, article, want string) int64 {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		d.mismatch(article, want)
		return 0
	}
	text := d.number()
	if d.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		// 1.0 and 1e3 are integers too; beyond 2^53 a float would no longer be exact.
		f, ferr := strconv.ParseFloat(string(text), 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			d.fail("NUMBER_VALUE can not be converted to %s %s", article, want)
			return 0
		}
		n = int64(f)
	}
	if n < low || n > high {
		d.fail("NUMBER_VALUE can not be converted to %s %s", article, want)
		return 0
	}
	return n
}

// int32 reads an Integer.
func (d *decoder) int32() int32 {
	return int32(d.integer(math.MinInt32, math.MaxInt32, "an", "Integer"))
}

// float64 reads a Double.
func (d *decoder) float64() float64 {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		d.mismatch("a", "Double")
		return 0
	}
	text := d.number()
	if d.err != nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		d.fail("NUMBER_VALUE can not be converted to a Double")
	}
	return f
}

// time reads seconds since 1970, to the millisecond.
func (d *decoder) time() time.Time {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		d.mismatch("a", "Date")
		return time.Time{}
	}
	f := d.float64()
	if math.Abs(f) > 1e12 {
		d.fail("NUMBER_VALUE can not be converted to a Date")
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(f * 1000))).UTC()
}
