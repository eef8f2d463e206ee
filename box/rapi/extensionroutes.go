package rapi

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// extensionPrefix is where the Extensions API lies.
const extensionPrefix = "/2020-01-01/extension/"

// extension serves the Extensions API; it reports whether the connection can go on. It
// calls its parts by their names: a request that is handed to a function value would be
// allocated, and so would be that of every invocation.
func (c *conn) extension(r *request) bool {
	path, method := string(r.path[len(extensionPrefix):]), "POST"
	switch path {
	case "event/next":
		method = "GET"
	case "register", "init/error", "exit/error":
	default:
		return c.notFound(r)
	}
	if string(r.method) != method {
		return c.notAllowed(r, method)
	}
	switch path {
	case "register":
		return c.register(r)
	case "event/next":
		return c.nextEvent(r)
	}
	return c.extensionError(r, path == "init/error")
}

// register takes POST register.
func (c *conn) register(r *request) bool {
	name := string(r.extensionName)
	wantsAccount := hasToken(r.acceptFeature, "accountid")
	body, refusal, ok := c.small(r)
	if !ok {
		return false
	}
	if refusal != nil {
		return c.refuse(r, refusal)
	}
	registration, refusal := parseRegistration(name, body)
	if refusal != nil {
		return c.refuse(r, refusal)
	}
	registered, refusal := c.server.guest.Register(registration)
	if refusal != nil {
		return c.refuse(r, refusal)
	}
	c.server.attribute(c, registered.Identifier)
	c.out = appendRegistered(c.out, registered, wantsAccount, !r.close)
	return true
}

// nextEvent takes GET event/next.
func (c *conn) nextEvent(r *request) bool {
	id, refusal := identifier(r)
	if !c.noBody(r) {
		return false
	}
	if refusal != nil {
		return c.refuse(r, refusal)
	}
	c.server.attribute(c, id)
	return c.await(r, id)
}

// extensionError takes POST init/error and exit/error. The body is for the extension's
// own logs; AWS does not look at it either.
func (c *conn) extensionError(r *request, init bool) bool {
	id, refusal := identifier(r)
	errorType := string(r.extensionErrorType[:min(len(r.extensionErrorType), maxErrorType)])
	if errorType == "" && refusal == nil {
		refusal = &Refusal{403, typeHeader, "Lambda-Extension-Function-Error-Type not found"}
	}
	if !c.noBody(r) {
		return false
	}
	if refusal != nil {
		return c.refuse(r, refusal)
	}
	c.server.attribute(c, id)
	if init {
		return c.accepted(r, c.server.guest.ExtensionInitError(id, errorType))
	}
	return c.accepted(r, c.server.guest.ExtensionExitError(id, errorType))
}

// small reads a body of at most smallSize. refusal is set when it is larger.
func (c *conn) small(r *request) (body []byte, refusal *Refusal, ok bool) {
	body, state, m := c.body(r, smallSize)
	c.release()
	switch {
	case m != nil:
		return nil, nil, c.refuseMalformed(m)
	case state == bodyTooLarge:
		if !c.skip(r) {
			r.close = true
		}
		return nil, tooLarge(smallSize), true
	}
	return body, nil, state == bodyRead
}

// refuse answers a request whose body was read.
func (c *conn) refuse(r *request, refusal *Refusal) bool {
	c.out = appendRefusal(c.out, refusal, !r.close)
	return c.flush()
}

// parseRegistration reads what an extension wants.
func parseRegistration(name string, body []byte) (Registration, *Refusal) {
	reg := Registration{Name: name}
	switch {
	case name == "":
		return reg, &Refusal{403, typeName, "Empty extension name"}
	case len(name) > maxName || bytes.IndexByte([]byte(name), '\t') >= 0:
		return reg, &Refusal{403, typeName, "An extension's name is one line of at most " + strconv.Itoa(maxName) + " bytes"}
	}
	var wanted struct {
		Events            []string `json:"events"`
		ConfigurationKeys []string `json:"configurationKeys"`
	}
	if err := json.Unmarshal(body, &wanted); err != nil {
		return reg, &Refusal{403, typeFormat, err.Error()}
	}
	if len(wanted.ConfigurationKeys) > 0 {
		return reg, &Refusal{403, typeFormat, "configurationKeys are deprecated; use environment variables instead"}
	}
	for _, event := range wanted.Events {
		switch event {
		case "INVOKE":
			reg.Invoke = true
		case "SHUTDOWN":
			reg.Shutdown = true
		default:
			return reg, &Refusal{403, typeEvent, clip(event) + ": there is no such event"}
		}
	}
	return reg, nil
}

// clip keeps an answer from repeating all that was sent.
func clip(s string) string { return s[:min(len(s), 64)] }

// identifier gives the identifier that an extension sent, when it can be one.
func identifier(r *request) (string, *Refusal) {
	id := r.extensionID
	if len(id) == 0 {
		return "", &Refusal{403, typeMissingIdentifier, "Missing Lambda-Extension-Identifier header"}
	}
	valid := len(id) == 36
	for i, b := range id {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			valid = valid && b == '-'
		default:
			valid = valid && (isDigit(b) || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F')
		}
	}
	if !valid {
		return "", &Refusal{403, typeInvalidIdentifier, "Invalid Lambda-Extension-Identifier"}
	}
	return string(bytes.ToLower(id)), nil
}

// appendRegistered appends the answer to a registration.
func appendRegistered(b []byte, r *Registered, account, keepAlive bool) []byte {
	body := struct {
		Function string `json:"functionName"`
		Version  string `json:"functionVersion"`
		Handler  string `json:"handler"`
		Account  string `json:"accountId,omitempty"`
	}{r.Function, r.Version, r.Handler, ""}
	if account {
		body.Account = r.Account
	}
	headers := appendHeader([]byte(jsonType), "Lambda-Extension-Identifier: ", r.Identifier)
	return appendAnswer(b, 200, string(headers), jsonText(body), false, keepAlive)
}

// appendExtensionEvent appends an event with its body.
func appendExtensionEvent(b []byte, e *ExtensionEvent, keepAlive bool) []byte {
	headers := string(appendHeader([]byte(jsonType), "Lambda-Extension-Event-Identifier: ", e.Identifier))
	if e.Reason != "" {
		body := struct {
			Type     string `json:"eventType"`
			Deadline int64  `json:"deadlineMs"`
			Reason   string `json:"shutdownReason"`
		}{"SHUTDOWN", e.DeadlineMS, e.Reason}
		return appendAnswer(b, 200, headers, jsonText(body), false, keepAlive)
	}
	type tracing struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	body := struct {
		Type      string  `json:"eventType"`
		Deadline  int64   `json:"deadlineMs"`
		RequestID string  `json:"requestId"`
		ARN       string  `json:"invokedFunctionArn"`
		Tracing   tracing `json:"tracing"`
	}{"INVOKE", e.DeadlineMS, e.RequestID, e.ARN, tracing{"X-Amzn-Trace-Id", e.Trace}}
	return appendAnswer(b, 200, headers, jsonText(body), false, keepAlive)
}

// jsonText gives a value of strings and numbers as JSON.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // such a value can always be marshalled
	}
	return string(text)
}
