// Package tap is the Telemetry API's and the Logs API's side that sends: what an
// extension may subscribe to, how its events are collected into batches, and how the
// batches reach it. A subscriber never makes whoever offers it an event wait, and
// holds a bounded number of bytes however slow its receiver is: what does not fit is
// counted and told. It knows no environment, no process and no network: it sends
// through a dial function that it is given.
package tap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"kiln/telemetry"
)

// API is one of the two interfaces by which an extension subscribes.
type API string

// The interfaces, by the words that begin their error types.
const (
	Telemetry API = "Telemetry" // 2022-07-01
	Logs      API = "Logs"      // 2020-08-15
)

// Bounds of buffering, as AWS documents them.
const (
	minItems, maxItems, defaultItems       = 1000, 10000, 10000
	minBytes, maxBytes, defaultBytes       = 262144, 1048576, 262144
	minTimeout, maxTimeout, defaultTimeout = 25, 30000, 1000 // ms
)

// Hosts that stand for the environment itself; the second one is what AWS's own
// emulator also takes.
const (
	host      = "sandbox.localdomain"
	shortHost = "sandbox"
)

// reservedPort is that of the Runtime API.
const reservedPort = 9001

// Subscription is a request that was found good.
type Subscription struct {
	API    API
	Schema telemetry.Schema
	Types  string // "platform function": in the order of the streams below
	// A batch is sent when it has so many events or bytes, or when its first event has
	// waited so long.
	MaxItems int
	MaxBytes int
	Timeout  time.Duration
	// Destination is where it goes: to Path by Method with HTTP, to the port alone with
	// TCP.
	TCP    bool
	Port   int
	Path   string
	Method string
	Host   string // as the request wrote it, for the Host header
}

// streams are the types of events that can be subscribed to.
var streams = []string{"platform", "function", "extension"}

// List gives the subscribed streams.
func (s *Subscription) List() []string { return strings.Fields(s.Types) }

// Wants reports whether the subscription is to events of a type.
func (s *Subscription) Wants(t telemetry.Type) bool {
	stream := "platform"
	switch t {
	case telemetry.Line:
		stream = "function"
	case telemetry.ExtensionLine:
		stream = "extension"
	}
	return slices.Contains(strings.Fields(s.Types), stream) && s.Schema.Shows(t)
}

// Error is a request that was refused: the status, and the members of AWS's error.
type Error struct {
	Status  int
	Type    string
	Message string
}

// Error gives type and message.
func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Closed is the refusal of a subscription after the init phase.
func Closed(a API) *Error {
	return &Error{403, string(a) + ".SubscriptionClosed", string(a) + " API subscription is closed already"}
}

// Mixed is the refusal of a subscription by one API of an extension that has
// subscribed by the other.
func Mixed(a API, extension string, other API) *Error {
	return &Error{400, string(a) + ".AccessDenied", fmt.Sprintf("The extension %s is already subscribed to the %sAPI. You must either subscribe to the LogsAPI or the TelemetryAPI", extension, other)}
}

// TooMany is the refusal of one more subscription than an extension may have.
func TooMany(a API) *Error {
	return &Error{400, string(a) + ".ValidationError", "An extension can have at most " + strconv.Itoa(MostOfOne) + " subscriptions"}
}

// MostOfOne is how many different subscriptions one extension may have.
const MostOfOne = 4

// request is the body of a subscription.
type request struct {
	SchemaVersion string   `json:"schemaVersion"`
	Types         []string `json:"types"`
	Buffering     *struct {
		MaxItems  *int64 `json:"maxItems"`
		MaxBytes  *int64 `json:"maxBytes"`
		TimeoutMs *int64 `json:"timeoutMs"`
	} `json:"buffering"`
	Destination *struct {
		Protocol string `json:"protocol"`
		URI      string `json:"URI"`
		Port     *int64 `json:"port"`
		Method   string `json:"method"`
		Encoding string `json:"encoding"`
	} `json:"destination"`
}

// Parse reads and judges the body of a subscription. Everything that is wrong with it is
// in one message, as AWS says it.
func Parse(a API, body []byte) (*Subscription, *Error) {
	var in request
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&in); err != nil {
		return nil, &Error{400, string(a) + ".ValidationError", "invalid request: " + err.Error()}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{400, string(a) + ".ValidationError", "invalid request: there is more than one object"}
	}
	s := &Subscription{API: a, MaxItems: defaultItems, MaxBytes: defaultBytes, Timeout: defaultTimeout * time.Millisecond}
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	s.schema(in.SchemaVersion, say)
	s.streams(in.Types, say)
	if b := in.Buffering; b != nil {
		s.MaxItems = bounded("maxItems", b.MaxItems, minItems, maxItems, defaultItems, say)
		s.MaxBytes = bounded("maxBytes", b.MaxBytes, minBytes, maxBytes, defaultBytes, say)
		s.Timeout = time.Duration(bounded("timeoutMs", b.TimeoutMs, minTimeout, maxTimeout, defaultTimeout, say)) * time.Millisecond
	}
	switch to := in.Destination; {
	case to == nil:
		say("destination is not provided")
	case to.Encoding != "" && to.Encoding != "JSON":
		say("encoding should be JSON")
	case to.Protocol == "HTTP":
		if denied := s.uri(to.URI, to.Method, say); denied != nil {
			return nil, denied
		}
	case to.Protocol == "TCP":
		s.TCP = true
		if denied := s.port(to.URI, to.Port, say); denied != nil {
			return nil, denied
		}
	default:
		say("protocol should be HTTP or TCP")
	}
	if s.Port == reservedPort {
		say("port %d is reserved", reservedPort)
	}
	if len(wrong) > 0 {
		return nil, &Error{400, string(a) + ".ValidationError", strings.Join(wrong, "; ")}
	}
	return s, nil
}

// schema takes the version of the form of events; each API has its own, and the first
// one where the request names none.
func (s *Subscription) schema(version string, say func(string, ...any)) {
	s.Schema = telemetry.Schema(version)
	switch s.Schema {
	case telemetry.Schema2020, telemetry.Schema2021, telemetry.Schema2022, telemetry.Schema2212, telemetry.Schema2025:
		if s.Schema.OfLogsAPI() == (s.API == Logs) {
			return
		}
	case "":
		s.Schema = telemetry.Schema2022
		if s.API == Logs {
			s.Schema = telemetry.Schema2020
		}
		return
	}
	if s.API == Logs {
		say("LogsAPI only supports the following SchemaVersion: 2020-08-15, 2021-03-18")
	} else {
		say("TelemetryAPI only supports the following SchemaVersion: 2022-07-01, 2022-12-13, 2025-01-29")
	}
}

// streams takes the types that are subscribed to.
func (s *Subscription) streams(types []string, say func(string, ...any)) {
	if len(types) == 0 {
		say("types should not be empty")
	}
	for i, t := range types {
		if !slices.Contains(streams, t) {
			say("types should be platform, function or extension, not %q", t)
		} else if slices.Contains(types[:i], t) {
			say("types should be unique")
		}
	}
	var wanted []string
	for _, t := range streams {
		if slices.Contains(types, t) {
			wanted = append(wanted, t)
		}
	}
	s.Types = strings.Join(wanted, " ")
}

// bounded takes a number of buffering.
func bounded(name string, value *int64, least, most, otherwise int64, say func(string, ...any)) int {
	switch {
	case value == nil:
		return int(otherwise)
	case *value < least || *value > most:
		say("%s should be between %d and %d", name, least, most)
	}
	return int(min(max(*value, least), most))
}

// uri takes the address of an HTTP receiver. One outside the environment is denied.
func (s *Subscription) uri(text, method string, say func(string, ...any)) *Error {
	u, denied := s.inside(text, "http", say)
	if u == nil {
		return denied
	}
	s.Path, s.Host = u.RequestURI(), u.Host
	s.Method = method
	switch method {
	case "":
		s.Method = "POST"
	case "POST", "PUT":
	default:
		say("method should be POST or PUT")
	}
	return nil
}

// port takes the port of a TCP receiver, which may also be said as an address.
func (s *Subscription) port(text string, number *int64, say func(string, ...any)) *Error {
	if number == nil && text != "" {
		_, denied := s.inside(text, "tcp", say)
		return denied
	}
	switch {
	case number == nil:
		say("port is not provided")
	case *number < 1 || *number > 65535:
		say("port should be between 1 and 65535")
	default:
		s.Port = int(*number)
	}
	return nil
}

// inside reads an address, which must be one of the environment itself.
func (s *Subscription) inside(text, scheme string, say func(string, ...any)) (*url.URL, *Error) {
	if text == "" {
		say("URI is not provided")
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		say("URI is invalid")
		return nil, nil
	}
	if u.Scheme != scheme {
		return nil, &Error{403, string(s.API) + ".AccessDenied", "Only '" + scheme + "' scheme is supported."}
	}
	if name := u.Hostname(); name != host && name != shortHost {
		return nil, &Error{403, string(s.API) + ".AccessDenied", "Only '" + host + "' hostname is supported."}
	}
	if u.User != nil || u.Fragment != "" {
		say("URI is invalid")
		return nil, nil
	}
	if u.Port() == "" {
		say("URI port is not provided")
		return nil, nil
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || n == 0 {
		say("URI port is invalid")
		return nil, nil
	}
	s.Port = int(n)
	return u, nil
}
