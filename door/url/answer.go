package url

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// head is status, headers and cookies of an answer, as a function returns them and as
// the prelude of a streamed answer has them.
type head struct {
	StatusCode json.RawMessage            `json:"statusCode"`
	Headers    map[string]json.RawMessage `json:"headers"`
	Cookies    []string                   `json:"cookies"`
}

// result is what a function returns that answers in the form of AWS.
type result struct {
	head
	Body            json.RawMessage `json:"body"`
	IsBase64Encoded bool            `json:"isBase64Encoded"`
}

// answer sends what a function returned: an object with a statusCode says how; any other
// JSON is itself the body.
func (v *visit) answer(payload []byte) {
	if h, body, ok := cutPrelude(payload); ok {
		v.send(h, "application/octet-stream", body) // it streams, and the URL does not
		return
	}
	if len(payload) > 0 && !json.Valid(payload) {
		v.refuse(badGateway)
		return
	}
	var r result
	if bytes.HasPrefix(bytes.TrimLeft(payload, " \t\r\n"), []byte("{")) {
		if err := json.Unmarshal(payload, &r); err != nil {
			v.refuse(badGateway)
			return
		}
	}
	if r.StatusCode == nil {
		v.send(&head{}, "application/json", payload)
		return
	}
	body, ok := r.body()
	if !ok {
		v.refuse(badGateway)
		return
	}
	v.send(&r.head, "application/json", body)
}

// body gives the bytes of the body. What is no string is sent as the JSON that it is.
func (r *result) body() ([]byte, bool) {
	if len(r.Body) == 0 || string(r.Body) == "null" {
		return nil, true
	}
	if r.Body[0] != '"' {
		return r.Body, !r.IsBase64Encoded
	}
	var text string
	if err := json.Unmarshal(r.Body, &text); err != nil {
		return nil, false
	}
	if !r.IsBase64Encoded {
		return []byte(text), true
	}
	body, err := base64.StdEncoding.DecodeString(text)
	return body, err == nil
}

// send sends a whole answer, or says that the function's head makes none.
func (v *visit) send(h *head, contentType string, body []byte) {
	status, ok := v.head(h, contentType)
	if !ok {
		v.refuse(badGateway)
		return
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		v.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	v.w.WriteHeader(status)
	_, _ = v.w.Write(body) // the caller has gone, or wanted the head only
}

// head sets the headers of an answer and gives its status. What the function says is
// judged before anything of it is set.
func (v *visit) head(in *head, contentType string) (status int, ok bool) {
	status = http.StatusOK
	if in.StatusCode != nil {
		n, err := strconv.Atoi(strings.Trim(string(in.StatusCode), `"`))
		if err != nil || n < 200 || n > 599 { // an answer of 1xx would not be the last
			return 0, false
		}
		status = n
	}
	texts := make(map[string]string, len(in.Headers))
	for name, raw := range in.Headers {
		text, ok := plain(raw)
		if !ok {
			return 0, false
		}
		texts[http.CanonicalHeaderKey(name)] = text
	}
	h := v.w.Header()
	if _, given := texts["Content-Type"]; !given {
		h.Set("Content-Type", contentType)
	}
	for name, text := range texts {
		if v.mayAnswer(name) {
			h.Set(name, text)
		}
	}
	for _, c := range in.Cookies {
		if c, ok := v.cookie(c); ok {
			h.Add("Set-Cookie", c)
		}
	}
	v.seal()
	return status, true
}

// plain gives a header's value as text: a string, a number or a truth value.
func plain(raw json.RawMessage) (string, bool) {
	switch {
	case len(raw) == 0 || raw[0] == '{' || raw[0] == '[':
		return "", false
	case raw[0] == '"':
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err == nil
	case string(raw) == "null":
		return "", true
	}
	return string(raw), true
}

// notTheFunctions are headers that belong to the connection or to this server.
var notTheFunctions = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Content-Length": true, "X-Amzn-Requestid": true, "X-Amzn-Trace-Id": true,
}

// notByPath are headers that speak for a whole origin, which a URL under a path shares.
var notByPath = map[string]bool{"Clear-Site-Data": true, "Service-Worker-Allowed": true, "Strict-Transport-Security": true, "Alt-Svc": true}

// mayAnswer reports whether a header of the function's is passed on.
func (v *visit) mayAnswer(name string) bool {
	switch {
	case notTheFunctions[name], v.to.Prefix != "" && notByPath[name]:
		return false
	case v.url.CORS != nil && strings.HasPrefix(name, "Access-Control-"):
		return false // the URL speaks for itself
	case name == "Set-Cookie":
		return v.to.Prefix == ""
	}
	return true
}

// cookie gives a Set-Cookie as it is sent. Under a path it is kept there, so that it
// never reaches others at the same address.
func (v *visit) cookie(line string) (string, bool) {
	if v.to.Prefix == "" {
		return line, true
	}
	c, err := http.ParseSetCookie(line)
	if err != nil {
		return "", false
	}
	c.Domain = ""
	if !strings.HasPrefix(c.Path, "/") {
		c.Path = "/"
	}
	c.Path = v.to.Prefix + c.Path
	return c.String(), true
}

// seal keeps what a browser makes of an answer apart from the origin that the URL shares
// with the API when it is under a path.
func (v *visit) seal() {
	if v.to.Prefix != "" {
		v.w.Header().Add("Content-Security-Policy", "sandbox")
	}
}
