package logs

import (
	"encoding/json"
	"strconv"
	"time"

	"kiln"
	"kiln/telemetry"
)

// Record is one line of a log as it is read back.
type Record struct {
	Time      time.Time
	Type      telemetry.Type
	Function  kiln.FunctionID
	Version   string
	Group     string
	Stream    string
	RequestID string
	Text      string
	// Ingested is when a client put the record here; zero for what functions and the
	// platform write, which is here as soon as it is said.
	Ingested time.Time
	// Missed is set in a record that only a follower gets: it was too slow for so
	// many records, which are in the file all the same.
	Missed int64
}

// A log file is a sequence of lines, each one JSON object that starts with its
// kind. Whatever a function writes is inside a JSON string, so that no text can end
// a record or begin one; a line that is torn by a crash does not parse, and the
// next one does.
//
//	{"head":1,"account":…,"region":…,"group":…,"n":1001,"at":…}   first in each file
//	{"src":3,"fn":…,"ver":…,"stream":…}              before the first record of a source
//	{"t":1732450000123456,"s":3,"k":"function","r":"<request id>","x":"text"}
//
// A source keeps its number within one file, until the number is given again. The
// files of a group are numbered in the order in which they were begun; those of
// programs that did not number them come before base.
const (
	format = 1
	base   = 1000
)

// head is the first line of a file: what the file is of.
type head struct {
	Head    int    `json:"head"`
	Account string `json:"account"`
	Region  string `json:"region"`
	Group   string `json:"group"`
	Number  int64  `json:"n,omitempty"`
	At      int64  `json:"at,omitempty"` // when it was begun, milliseconds since 1970
}

// source is the line that gives a number to a source.
type source struct {
	Number   int    `json:"src"`
	Function string `json:"fn"`
	Version  string `json:"ver"`
	Stream   string `json:"stream"`
}

// line is one record.
type line struct {
	Time      int64  `json:"t"` // microseconds since 1970
	Source    int    `json:"s"`
	Kind      string `json:"k"`
	RequestID string `json:"r"`
	Ingested  int64  `json:"i"` // microseconds since 1970
	Text      string `json:"x"`
}

// appendLine adds the line of a record to dst. It is written by hand, because it
// runs once for each line that a function prints.
func appendLine(dst []byte, number int, r *Record) []byte {
	dst = append(dst, `{"t":`...)
	dst = strconv.AppendInt(dst, r.Time.UnixMicro(), 10)
	dst = append(dst, `,"s":`...)
	dst = strconv.AppendInt(dst, int64(number), 10)
	dst = append(dst, `,"k":`...)
	dst = telemetry.AppendString(dst, string(r.Type))
	if r.RequestID != "" {
		dst = append(dst, `,"r":`...)
		dst = telemetry.AppendString(dst, r.RequestID)
	}
	if !r.Ingested.IsZero() {
		dst = append(dst, `,"i":`...)
		dst = strconv.AppendInt(dst, r.Ingested.UnixMicro(), 10)
	}
	dst = append(dst, `,"x":`...)
	dst = telemetry.AppendString(dst, r.Text)
	return append(dst, '}', '\n')
}

// appendJSON adds a head or a source.
func appendJSON(dst []byte, v any) []byte {
	text, _ := json.Marshal(v) // strings and numbers always can be written
	return append(append(dst, text...), '\n')
}

// record decodes the line of a record; ok is false for one that is torn.
func (s *source) record(key groupKey, raw []byte) (r Record, ok bool) {
	var l line
	if json.Unmarshal(raw, &l) != nil {
		return r, false
	}
	r = Record{
		Time: time.UnixMicro(l.Time), Type: telemetry.Type(l.Kind), Function: kiln.FunctionID{Scope: key.Scope, Name: s.Function}, Version: s.Version,
		Group: key.group, Stream: s.Stream, RequestID: l.RequestID, Text: l.Text,
	}
	if l.Ingested != 0 {
		r.Ingested = time.UnixMicro(l.Ingested)
	}
	return r, true
}
