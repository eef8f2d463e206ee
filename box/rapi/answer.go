package rapi

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// accepted answers 202, or what the guest refused.
func (c *conn) accepted(r *request, refusal *Refusal) bool {
	if refusal != nil {
		c.out = appendRefusal(c.out, refusal, !r.close)
		return true
	}
	c.out = appendAnswer(c.out, 202, jsonType, `{"status":"OK"}`, false, !r.close)
	return true
}

// answer refuses a request whose body, if any, is of no interest.
func (c *conn) answer(r *request, headers string, refusal *Refusal) bool {
	head := string(r.method) == "HEAD"
	if r.expect || !c.noBody(r) {
		r.close = true
	}
	c.out = appendAnswer(c.out, refusal.Status, jsonType+headers, errorBody(refusal), head, !r.close)
	return c.flush()
}

// notFound answers a path that leads nowhere.
func (c *conn) notFound(r *request) bool {
	return c.answer(r, "", &Refusal{404, "NotFound", "There is no " + string(r.path) + " here."})
}

// notAllowed answers a method that the path does not take.
func (c *conn) notAllowed(r *request, methods string) bool {
	return c.answer(r, "Allow: "+methods+"\r\n", &Refusal{405, "MethodNotAllowed", string(r.path) + " takes " + methods + "."})
}

// refuseMalformed answers what could not be parsed; the connection does not go on.
func (c *conn) refuseMalformed(m *malformed) bool {
	if c.waiting && !c.wait() {
		return false
	}
	c.out = appendRefusal(c.out, &Refusal{m.status, "InvalidRequest", m.reason}, false)
	if c.flush() {
		c.linger()
	}
	return false
}

// tooLarge is AWS's answer to an answer above the limit.
func tooLarge(limit int64) *Refusal {
	return &Refusal{413, "RequestEntityTooLarge", fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", limit)}
}

// appendRefusal appends a refusal with its body.
func appendRefusal(b []byte, r *Refusal, keepAlive bool) []byte {
	return appendAnswer(b, r.Status, jsonType, errorBody(r), false, keepAlive)
}

// errorBody is AWS's error body, members in AWS's order.
func errorBody(r *Refusal) string {
	text, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{r.Message, r.Type})
	if err != nil {
		panic(err) // two strings can always be marshalled
	}
	return string(text)
}

const jsonType = "Content-Type: application/json\r\n"

// appendAnswer appends a whole answer; headers are whole lines. To a HEAD request it
// has no body.
func appendAnswer(b []byte, status int, headers, body string, head, keepAlive bool) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, reasons[status]...)
	b = append(b, "\r\n"...)
	b = append(b, headers...)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	if !keepAlive {
		b = append(b, "\r\nConnection: close"...)
	}
	b = append(b, "\r\n\r\n"...)
	if head {
		return b
	}
	return append(b, body...)
}

// reasons are the phrases of the statuses that are sent.
var reasons = map[int]string{
	200: "OK",
	202: "Accepted",
	400: "Bad Request",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	413: "Request Entity Too Large",
	417: "Expectation Failed",
	500: "Internal Server Error",
	501: "Not Implemented",
	505: "HTTP Version Not Supported",
}

// appendEvent appends the head of an event, its empty line included.
func appendEvent(b []byte, e *Event, keepAlive bool) []byte {
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"...)
	b = appendHeader(b, "Lambda-Runtime-Aws-Request-Id: ", e.RequestID)
	b = append(b, "Lambda-Runtime-Deadline-Ms: "...)
	b = strconv.AppendInt(b, e.DeadlineMS, 10)
	b = append(b, "\r\n"...)
	b = appendHeader(b, "Lambda-Runtime-Invoked-Function-Arn: ", e.ARN)
	b = appendHeader(b, "Lambda-Runtime-Trace-Id: ", e.Trace)
	b = appendHeader(b, "Lambda-Runtime-Client-Context: ", e.ClientContext)
	b = appendHeader(b, "Lambda-Runtime-Aws-Tenant-Id: ", e.TenantID)
	b = appendHeader(b, "Lambda-Runtime-Invocation-Id: ", e.InvocationID)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(e.Payload)), 10)
	if !keepAlive {
		b = append(b, "\r\nConnection: close"...)
	}
	return append(b, "\r\n\r\n"...)
}

// appendHeader appends a header unless its value is empty. Values come from
// callers: a control character in one becomes a space, which changes no JSON and
// cannot begin another header.
func appendHeader(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	from := len(b)
	b = append(b, value...)
	for i := from; i < len(b); i++ {
		if b[i] < ' ' || b[i] == 0x7f {
			b[i] = ' '
		}
	}
	return append(b, "\r\n"...)
}
