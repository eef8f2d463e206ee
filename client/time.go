package client

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Time is a time that travels as seconds since 1970, to the millisecond.
type Time struct{ time.Time }

// MarshalJSON prints seconds, with a fraction where there is one.
func (t Time) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t.UnixMilli())/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads seconds.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	s, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.Abs(s) > 1e12 {
		return fmt.Errorf("%.32q is not a time in seconds", b)
	}
	t.Time = time.UnixMilli(int64(math.Round(s * 1000))).UTC()
	return nil
}
