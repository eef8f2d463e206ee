// Package query is the protocol of AWS's older services on the wire: a form with an
// Action in, XML out. Services register a function for each action. It knows no service,
// never authenticates and never decides.
package query

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"kiln/door/auth"
)

// maxForm is how long a form may be, in bytes, if the service does not say.
const maxForm = 512 << 10

// Call is one request to an action.
type Call struct {
	Form    url.Values
	Action  string
	Who     auth.Identity
	Request *http.Request
}

// Error is an answer that says no.
type Error struct {
	Status  int
	Code    string
	Message string
}

// Error gives code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Fail makes an Error that is the caller's fault.
func Fail(code, message string) error { return &Error{http.StatusBadRequest, code, message} }

// Service answers the actions of one service. It is immutable and safe for concurrent
// use.
type Service struct {
	Namespace string // of the XML
	Version   string // of the API, as requests name it
	MaxForm   int    // how long a form may be, in bytes; 0 is 512 KiB
	// Actions gives what stands in an answer's Result, nil for nothing.
	Actions map[string]func(*Call) (any, error)
	// Explain turns an error that is no *Error into one, or gives nil for a fault of the
	// server.
	Explain func(error) *Error
	Log     *slog.Logger
}

// ServeAWS answers one request, whose sender was found out before.
func (s *Service) ServeAWS(w http.ResponseWriter, r *http.Request, who auth.Identity, requestID string) {
	result, action, err := s.do(r, who)
	if err != nil {
		s.refuse(w, requestID, err)
		return
	}
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	name := xml.Name{Local: action + "Response"}
	start := xml.StartElement{Name: name, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: s.Namespace}}}
	err = e.EncodeToken(start)
	if err == nil && result != nil {
		err = e.EncodeElement(result, xml.StartElement{Name: xml.Name{Local: action + "Result"}})
	}
	meta := struct{ RequestId string }{requestID}
	err = errors.Join(err, e.EncodeElement(meta, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}}), e.EncodeToken(xml.EndElement{Name: name}), e.Close())
	if err != nil {
		s.refuse(w, requestID, err)
		return
	}
	write(w, http.StatusOK, b.Bytes())
}

// do reads a request and lets its action answer.
func (s *Service) do(r *http.Request, who auth.Identity) (result any, action string, err error) {
	form := r.URL.Query()
	if r.Method == http.MethodPost {
		most := cmp.Or(s.MaxForm, maxForm)
		body, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
		if err != nil || len(body) > most {
			return nil, "", &Error{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "The request is longer than " + strconv.Itoa(most) + " bytes, or ended early."}
		}
		sent, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, "", Fail("MalformedQueryString", "The body is not a form.")
		}
		for k, v := range sent {
			form[k] = v
		}
	}
	action = form.Get("Action")
	f := s.Actions[action]
	switch {
	case action == "":
		return nil, "", Fail("MissingAction", "The request must contain the parameter Action.")
	case form.Get("Version") != "" && form.Get("Version") != s.Version:
		return nil, "", Fail("InvalidAction", "Could not find operation "+clip(action)+" for version "+clip(form.Get("Version")))
	case f == nil:
		return nil, "", &Error{http.StatusNotImplemented, "NotImplemented", "kiln does not have the action " + clip(action) + " yet"}
	}
	result, err = f(&Call{Form: form, Action: action, Who: who, Request: r})
	return result, action, err
}

// refuse answers with an error.
func (s *Service) refuse(w http.ResponseWriter, requestID string, err error) {
	var e *Error
	if !errors.As(err, &e) {
		if e = s.Explain(err); e == nil {
			s.Log.Error("request failed", "requestId", requestID, "err", err)
			e = &Error{http.StatusInternalServerError, "ServiceFailure", "The request processing has failed because of an unknown error, exception or failure."}
		}
	}
	kind := "Sender"
	if e.Status >= 500 {
		kind = "Receiver"
	}
	type detail struct{ Type, Code, Message string }
	body, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Namespace string   `xml:"xmlns,attr"`
		Error     detail
		RequestId string
	}{Namespace: s.Namespace, Error: detail{kind, e.Code, e.Message}, RequestId: requestID})
	if err != nil {
		s.Log.Error("an error cannot be written as XML", "requestId", requestID, "err", err)
	}
	write(w, e.Status, body)
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has gone; there is nobody to tell
}

// Text gives a parameter that must be there.
func (c *Call) Text(name string) (string, error) {
	v := c.Form.Get(name)
	if v == "" {
		member := strings.ToLower(name[:1]) + name[1:]
		return "", Fail("ValidationError", "1 validation error detected: Value null at '"+member+"' failed to satisfy constraint: Member must not be null")
	}
	return v, nil
}

// Texts gives several parameters that must be there.
func (c *Call) Texts(names ...string) ([]string, error) {
	out := make([]string, len(names))
	for i, n := range names {
		var err error
		if out[i], err = c.Text(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Members gives the parameters name.member.1.suffix and so on; an empty suffix is none.
func (c *Call) Members(name, suffix string) []string {
	if suffix != "" {
		suffix = "." + suffix
	}
	var out []string
	for i := 1; i <= 1000; i++ {
		v, ok := c.Form[name+".member."+strconv.Itoa(i)+suffix]
		if !ok {
			break
		}
		out = append(out, v[0])
	}
	return out
}

func clip(s string) string {
	if len(s) > 128 {
		return s[:128] + "…"
	}
	return s
}
