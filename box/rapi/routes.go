package rapi

import "bytes"

// route finds out what a request asks for and serves it; it reports whether the
// connection can go on. One comparison a segment, because there are few routes and
// next and response come with every invocation.
func (c *conn) route(r *request) bool {
	path, ok := bytes.CutPrefix(r.path, []byte("/2018-06-01/runtime/"))
	if !ok {
		return c.elsewhere(r)
	}
	if !c.runtime {
		c.runtime = true
		c.server.attribute(c, runtimeOwner)
	}
	if rest, ok := bytes.CutPrefix(path, []byte("invocation/")); ok {
		if string(rest) == "next" {
			if string(r.method) != "GET" {
				return c.notAllowed(r, "GET")
			}
			return c.noBody(r) && c.next(r)
		}
		id, verb, _ := bytes.Cut(rest, []byte("/"))
		switch string(verb) {
		case "response", "error":
			if string(r.method) != "POST" {
				return c.notAllowed(r, "POST")
			}
			if string(verb) == "error" {
				return c.fail(r, c.requestID(id))
			}
			return c.respond(r, c.requestID(id))
		}
		return c.notFound(r)
	}
	if string(path) == "init/error" {
		if string(r.method) != "POST" {
			return c.notAllowed(r, "POST")
		}
		return c.failInit(r)
	}
	return c.notFound(r) // restore/next and restore/error among them: nothing was restored
}

// elsewhere answers paths outside the Runtime API.
func (c *conn) elsewhere(r *request) bool {
	if string(r.path) == "/ping" {
		head := string(r.method) == "HEAD"
		if string(r.method) != "GET" && !head {
			return c.notAllowed(r, "GET, HEAD")
		}
		if !c.noBody(r) {
			return false
		}
		c.out = appendAnswer(c.out, 200, "Content-Type: text/plain; charset=utf-8\r\n", "pong", head, !r.close)
		return true
	}
	if bytes.HasPrefix(r.path, []byte(extensionPrefix)) {
		return c.extension(r)
	}
	if api, ok := telemetryAPI(r.path); ok {
		return c.subscribe(r, api)
	}
	return c.notFound(r)
}

// requestID makes a string of the id in a path, without a copy when it is that of
// the event this connection got last.
func (c *conn) requestID(id []byte) string {
	if string(id) == c.served.request {
		return c.served.request
	}
	return string(id)
}

// invocationID does the same for an echoed invocation id.
func (c *conn) invocationID(r *request) string {
	if string(r.invocationID) == c.served.invocation {
		return c.served.invocation
	}
	return string(r.invocationID)
}

// respond takes POST …/response.
func (c *conn) respond(r *request, id string) bool {
	invocationID := c.invocationID(r)
	if mode := r.mode; len(mode) > 0 && !equalFold(mode, "streaming") {
		refusal := c.server.guest.Fail(id, invocationID, "Runtime.InvalidResponseModeHeader", nil)
		if refusal == nil {
			refusal = &Refusal{400, "InvalidFunctionResponseMode", "Invalid function response mode"}
		}
		return c.answer(r, "", refusal)
	}
	if len(r.mode) > 0 {
		sink, refusal := c.server.guest.Stream(id, invocationID, string(r.contentType))
		switch {
		case refusal != nil:
			return c.answer(r, "", refusal)
		case sink != nil:
			return c.stream(r, sink)
		}
	}
	payload, ok := c.take(r, func() *Refusal { return c.server.guest.Oversize(id, invocationID) })
	if !ok {
		return false
	}
	if payload == nil {
		return true
	}
	if r.trailerError != "" {
		// A streamed answer that failed in the middle; it was not delivered yet.
		if text := r.trailerPayload(); text != nil {
			payload = text
		}
		return c.accepted(r, c.server.guest.Fail(id, invocationID, normalise(r.trailerError), payload))
	}
	return c.accepted(r, c.server.guest.Respond(id, invocationID, payload))
}

// fail takes POST …/error.
func (c *conn) fail(r *request, id string) bool {
	invocationID, errorType := c.invocationID(r), normalise(string(r.errorType))
	payload, ok := c.take(r, func() *Refusal { return c.server.guest.Oversize(id, invocationID) })
	if !ok || payload == nil {
		return ok
	}
	return c.accepted(r, c.server.guest.Fail(id, invocationID, errorType, payload))
}

// failInit takes POST init/error.
func (c *conn) failInit(r *request) bool {
	errorType := normalise(string(r.errorType))
	payload, ok := c.take(r, func() *Refusal { return c.server.guest.FailInit(errorType, nil) })
	if !ok || payload == nil {
		return ok
	}
	return c.accepted(r, c.server.guest.FailInit(errorType, payload))
}

// take reads the body of r. It answers a request whose body cannot be had: then
// payload is nil, and ok says whether the connection can go on. oversize tells the
// guest of a body above the limit.
func (c *conn) take(r *request, oversize func() *Refusal) (payload []byte, ok bool) {
	payload, state, m := c.body(r, c.server.options.MaxBody)
	c.release()
	switch state {
	case bodyBroken:
		if m != nil {
			return nil, c.refuseMalformed(m)
		}
		return nil, false
	case bodyTooLarge:
		refusal := oversize()
		if refusal == nil {
			refusal = tooLarge(c.server.options.MaxBody)
		}
		r.close = r.close || r.expect
		c.out = appendRefusal(c.out, refusal, !r.close)
		return nil, c.flush() && c.skip(r)
	}
	if payload == nil {
		payload = []byte{}
	}
	return payload, true
}

// noBody throws away the body of a request that needs none.
func (c *conn) noBody(r *request) bool {
	if r.length == 0 && !r.chunked {
		return true
	}
	_, state, m := c.body(r, smallSize)
	c.release()
	switch {
	case m != nil:
		return c.refuseMalformed(m)
	case state == bodyTooLarge:
		return c.skip(r)
	}
	return state == bodyRead
}

// normalise gives the error type as it is reported: anything but Runtime.Xxx and
// Function.Xxx becomes Unknown. The type inside the error's body is not touched.
func normalise(errorType string) string {
	origin, name := "Runtime", ""
	switch {
	case len(errorType) > 8 && errorType[:8] == "Runtime.":
		name = errorType[8:]
	case len(errorType) >= 9 && errorType[:9] == "Function.":
		origin, name = "Function", errorType[9:]
	}
	if len(name) > 1 && name[0] >= 'A' && name[0] <= 'Z' {
		letters := true
		for _, c := range []byte(name) {
			letters = letters && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
		}
		if letters {
			return errorType
		}
	}
	return origin + ".Unknown"
}
