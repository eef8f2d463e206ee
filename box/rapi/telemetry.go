package rapi

// TelemetryAPI is one of the two interfaces by which an extension subscribes to
// telemetry.
type TelemetryAPI string

// The interfaces, by the words that AWS begins their error types with.
const (
	Telemetry TelemetryAPI = "Telemetry" // PUT /2022-07-01/telemetry
	Logs      TelemetryAPI = "Logs"      // PUT /2020-08-15/logs
)

// TelemetryGuest is the environment as it gives telemetry.
type TelemetryGuest interface {
	// Subscribe asks for telemetry for an extension, by the identifier that it got when
	// it registered; body is the request as it was sent, which the guest keeps.
	Subscribe(api TelemetryAPI, extensionID string, body []byte) *Refusal
}

// maxSubscription is more than a subscription needs.
const maxSubscription = 64 << 10

// telemetryAPIs are the paths of the interfaces; a slash at the end is the same.
var telemetryAPIs = []struct {
	path string
	api  TelemetryAPI
}{
	{"/2022-07-01/telemetry", Telemetry},
	{"/2020-08-15/logs", Logs},
}

// telemetryAPI says whether a path is one of telemetry, and of which interface.
func telemetryAPI(path []byte) (TelemetryAPI, bool) {
	if n := len(path); n > 1 && path[n-1] == '/' {
		path = path[:n-1]
	}
	for _, t := range telemetryAPIs {
		if string(path) == t.path {
			return t.api, true
		}
	}
	return "", false
}

// subscribe takes PUT telemetry.
func (c *conn) subscribe(r *request, api TelemetryAPI) bool {
	if string(r.method) != "PUT" {
		return c.notAllowed(r, "PUT")
	}
	id := string(r.extensionID)
	body, state, m := c.body(r, maxSubscription)
	c.release()
	switch {
	case m != nil:
		return c.refuseMalformed(m)
	case state == bodyTooLarge:
		r.close = true
		c.out = appendRefusal(c.out, &Refusal{413, string(api) + ".ValidationError", "The request is too large."}, false)
		return c.flush() && c.skip(r)
	case state != bodyRead:
		return false
	}
	if refusal := c.server.guest.Subscribe(api, id, body); refusal != nil {
		c.out = appendRefusal(c.out, refusal, !r.close)
		return true
	}
	c.server.attribute(c, id)
	c.out = appendAnswer(c.out, 200, jsonType, `"OK"`, false, !r.close)
	return true
}
