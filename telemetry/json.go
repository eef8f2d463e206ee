package telemetry

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"

	"kiln"
)

// Schema is a version of the form that events have as JSON.
type Schema string

// The schemas of the Logs API and of the Telemetry API.
const (
	Schema2020 Schema = "2020-08-15" // Logs API
	Schema2021 Schema = "2021-03-18" // Logs API, with runtimeDone
	Schema2022 Schema = "2022-07-01" // Telemetry API
	Schema2212 Schema = "2022-12-13" // records of JSON are objects
	Schema2025 Schema = "2025-01-29"
	Newest            = Schema2025
)

// OfLogsAPI reports whether the schema is one of the older Logs API.
func (s Schema) OfLogsAPI() bool { return s == Schema2020 || s == Schema2021 }

// Shows reports whether events of a type exist in the schema.
func (s Schema) Shows(t Type) bool {
	switch t {
	case InitStart, InitRuntimeDone, InitReport, Subscription:
		return !s.OfLogsAPI()
	case End, Fault, LogsSubscribed:
		return s.OfLogsAPI()
	case RuntimeDone:
		return s != Schema2020
	}
	return true
}

// timeForm is how times are written.
const timeForm = "2006-01-02T15:04:05.000Z"

// AppendJSON adds the event as one object of a schema to dst: time, type and record.
func (e *Event) AppendJSON(dst []byte, s Schema) []byte {
	dst = append(dst, `{"time":"`...)
	dst = e.Time.UTC().AppendFormat(dst, timeForm)
	dst = append(dst, `","type":"`...)
	dst = append(dst, e.Type...)
	dst = append(dst, `","record":`...)
	dst = e.appendRecord(dst, s)
	return append(dst, '}')
}

// appendRecord adds what is told about the event.
func (e *Event) appendRecord(dst []byte, s Schema) []byte {
	r := &e.Report
	o := object{dst: dst}
	switch e.Type {
	case Line, ExtensionLine:
		if s >= Schema2212 && e.Source.Logging.JSON() && isObject(e.Line) {
			return append(dst, e.Line...)
		}
		return AppendString(dst, e.Line)
	case Fault:
		return AppendString(dst, e.Line)
	case InitStart:
		o.text("initializationType", string(e.Source.InitType))
		o.text("phase", e.Phase)
		o.text("runtimeVersion", e.Runtime)
		o.text("runtimeVersionArn", e.ARN)
		o.text("functionName", e.Source.Function.Name)
		o.text("functionVersion", e.Source.Version)
		o.text("instanceId", e.Source.Stream)
		o.number("instanceMaxMemory", int64(e.Source.MemoryMB)<<20)
	case InitRuntimeDone:
		o.text("initializationType", string(e.Source.InitType))
		o.text("phase", e.Phase)
		o.status(r)
	case InitReport:
		o.text("initializationType", string(e.Source.InitType))
		o.text("phase", e.Phase)
		o.status(r)
		o.begin("metrics")
		o.milliseconds("durationMs", r.Init)
		o.end()
	case Start:
		o.text("requestId", e.RequestID)
		if !s.OfLogsAPI() {
			o.text("functionArn", e.ARN)
		}
		o.text("version", e.Source.Version)
		if !s.OfLogsAPI() {
			o.tracing(e.Trace)
			o.text("tenantId", e.Tenant)
		}
	case End:
		o.text("requestId", e.RequestID)
	case RuntimeDone:
		e.runtimeDone(&o, s)
	case Report:
		e.metrics(&o, s)
	case Extension:
		o.text("name", e.Name)
		o.text("state", e.State)
		o.list("events", e.Names)
		o.text("errorType", r.ErrorType)
	case Subscription, LogsSubscribed:
		o.text("name", e.Name)
		o.text("state", e.State)
		o.list("types", e.Names)
	case Dropped:
		o.text("reason", e.Reason)
		o.number("droppedRecords", e.Count)
		o.number("droppedBytes", e.Bytes)
	}
	return o.close()
}

// runtimeDone writes the record of RuntimeDone; the Logs API has less of it.
func (e *Event) runtimeDone(o *object, s Schema) {
	o.text("requestId", e.RequestID)
	if s.OfLogsAPI() {
		o.text("status", string(e.Report.Status))
		return
	}
	o.status(&e.Report)
	o.spans(e.Spans)
	o.begin("metrics")
	o.milliseconds("durationMs", e.Report.Duration)
	if e.Bytes > 0 {
		o.number("producedBytes", e.Bytes)
	}
	o.end()
	o.tracing(e.Trace)
}

// metrics writes the record of Report; the Logs API has less of it.
func (e *Event) metrics(o *object, s Schema) {
	r := &e.Report
	o.text("requestId", e.RequestID)
	o.begin("metrics")
	o.milliseconds("durationMs", r.Duration)
	o.number("billedDurationMs", r.Billed.Milliseconds())
	o.number("memorySizeMB", int64(r.MemoryMB))
	o.number("maxMemoryUsedMB", int64(r.MaxMemoryMB))
	if r.Init > 0 {
		o.milliseconds("initDurationMs", r.Init)
	}
	o.end()
	if s.OfLogsAPI() {
		return
	}
	o.spans(e.Spans)
	o.status(r)
	o.tracing(e.Trace)
}

// object writes one object; its zero value with dst begins it with the first member.
type object struct {
	dst    []byte
	inside bool // there is a member already
	depth  int
}

// member writes the name of a member.
func (o *object) member(name string) {
	switch {
	case o.inside:
		o.dst = append(o.dst, ',')
	case o.depth == 0:
		o.dst, o.depth = append(o.dst, '{'), 1
	}
	o.inside = true
	o.dst = append(o.dst, '"')
	o.dst = append(o.dst, name...)
	o.dst = append(o.dst, '"', ':')
}

// text writes a text that is not empty.
func (o *object) text(name, value string) {
	if value != "" {
		o.member(name)
		o.dst = AppendString(o.dst, value)
	}
}

// number writes an integer.
func (o *object) number(name string, value int64) {
	o.member(name)
	o.dst = strconv.AppendInt(o.dst, value, 10)
}

// milliseconds writes a duration with microseconds behind the point.
func (o *object) milliseconds(name string, d time.Duration) {
	o.member(name)
	o.dst = strconv.AppendFloat(o.dst, float64(d.Round(time.Microsecond).Microseconds())/1000, 'f', -1, 64)
}

// list writes a list of texts, which may be empty.
func (o *object) list(name string, values []string) {
	o.member(name)
	o.dst = append(o.dst, '[')
	for i, v := range values {
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		o.dst = AppendString(o.dst, v)
	}
	o.dst = append(o.dst, ']')
}

// status writes how it ended. A timeout has no type of its own.
func (o *object) status(r *kiln.Report) {
	o.text("status", string(r.Status))
	if r.Status == kiln.StatusError || r.Status == kiln.StatusFailure {
		o.text("errorType", r.ErrorType)
	}
}

// tracing writes a trace, if there is one.
func (o *object) tracing(trace string) {
	if trace == "" {
		return
	}
	o.begin("tracing")
	o.text("type", "X-Amzn-Trace-Id")
	o.text("value", trace)
	o.end()
}

// spans writes the parts of a time, if there are any.
func (o *object) spans(spans []Span) {
	if len(spans) == 0 {
		return
	}
	o.member("spans")
	o.dst = append(o.dst, '[')
	for i, s := range spans {
		if i > 0 {
			o.dst = append(o.dst, ',')
		}
		o.dst = append(o.dst, '{')
		o.inside = false
		o.text("name", s.Name)
		o.text("start", s.Start.UTC().Format(timeForm))
		o.milliseconds("durationMs", s.Duration)
		o.dst = append(o.dst, '}')
	}
	o.dst = append(o.dst, ']')
	o.inside = true
}

// begin opens an object as a member.
func (o *object) begin(name string) {
	o.member(name)
	o.dst = append(o.dst, '{')
	o.inside = false
	o.depth++
}

// end closes what begin opened.
func (o *object) end() {
	o.dst = append(o.dst, '}')
	o.inside = true
	o.depth--
}

// close ends the object and gives all that was written.
func (o *object) close() []byte {
	if o.depth == 0 {
		o.dst = append(o.dst, '{')
	}
	return append(o.dst, '}')
}

// isObject reports whether a line is one object of JSON and nothing else.
func isObject(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 1 && line[0] == '{' && utf8.Valid(line) && validJSON(line)
}

const digits = "0123456789abcdef"

// AppendString adds s as a string of JSON. Control characters are escaped; what is not
// UTF-8 becomes U+FFFD.
func AppendString[T []byte | string](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[from:i]...)
				dst = append(dst, "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}
