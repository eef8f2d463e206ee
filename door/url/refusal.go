package url

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"kiln"
)

// refusal is an answer that no function gave.
type refusal struct {
	status    int
	exception string // X-Amzn-ErrorType; "" is none
	body      string
	retry     time.Duration
}

// The refusals whose text never changes.
var (
	noSuchURL  = &refusal{status: http.StatusNotFound, exception: "ResourceNotFoundException", body: message("There is no function URL at this address.")}
	forbidden  = &refusal{status: http.StatusForbidden, exception: "AccessDeniedException", body: message("Forbidden")}
	noUpgrade  = &refusal{status: http.StatusBadRequest, exception: "BadRequestException", body: message("Function URLs speak HTTP only: WebSocket and other upgrades are not supported.")}
	badBody    = &refusal{status: http.StatusBadRequest, exception: "BadRequestException", body: message("The request body could not be read.")}
	tooLarge   = &refusal{status: http.StatusRequestEntityTooLarge, exception: "RequestEntityTooLargeException", body: message(fmt.Sprintf("The request is too large: as an event for the function it has more than %d bytes.", kiln.MaxSyncPayload))}
	badGateway = &refusal{status: http.StatusBadGateway, body: "Internal Server Error"}
	timedOut   = &refusal{status: http.StatusGatewayTimeout, body: message("The function timed out.")}
)

// message gives the body of a refusal in the form of AWS.
func message(text string) string {
	body, err := json.Marshal(struct{ Message string }{text})
	if err != nil {
		panic(err) // a string can always be marshalled
	}
	return string(body)
}

// failure is the answer for a function that failed. What went wrong is in its log and
// not for everybody who can reach the URL.
func failure(o *kiln.Outcome) *refusal {
	if o.Report.Status == kiln.StatusTimeout {
		return timedOut
	}
	return badGateway
}

// problem is the answer for a function that was not run.
func (v *visit) problem(err error) *refusal {
	var e *kiln.Error
	if !errors.As(err, &e) || e.Code == kiln.Internal {
		v.door.o.Logger.Error("a function URL could not be served", "function", v.url.ARN(), "requestId", v.to.RequestID, "error", err)
		return &refusal{status: http.StatusInternalServerError, body: "Internal Server Error"}
	}
	switch e.Code {
	case kiln.Throttled:
		return &refusal{http.StatusTooManyRequests, "TooManyRequestsException", message("Rate Exceeded."), max(e.RetryAfter, time.Second)}
	case kiln.TooLarge:
		return tooLarge
	case kiln.NotFound:
		return noSuchURL
	case kiln.Unavailable, kiln.Conflict:
		return &refusal{http.StatusServiceUnavailable, "ServiceUnavailableException", message(e.Message), e.RetryAfter}
	}
	return badGateway
}

// forbid is the answer to whom the gate does not let in. Why is for the log.
func (v *visit) forbid(why error) *refusal {
	v.door.o.Logger.Debug("a call of a function URL was refused", "function", v.url.ARN(), "requestId", v.to.RequestID, "reason", why)
	return forbidden
}

// refuse sends a refusal.
func (v *visit) refuse(no *refusal) {
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	if no.exception != "" {
		h.Set("X-Amzn-Errortype", no.exception)
	}
	if no.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((no.retry+time.Second-1)/time.Second)))
	}
	if no == tooLarge || no == badBody {
		h.Set("Connection", "close") // what is left of the body is not read
	}
	h.Set("X-Content-Type-Options", "nosniff")
	v.seal()
	v.w.WriteHeader(no.status)
	_, _ = v.w.Write([]byte(no.body)) // the caller has gone; there is nobody to tell
}

// byAuthType is the gate of a server that knows no policies: NONE lets everybody in, and
// nobody can prove who he is.
type byAuthType struct{}

// Admit is Gate.
func (byAuthType) Admit(_ *http.Request, u *kiln.FunctionURL) (*Caller, error) {
	if u.Auth == kiln.URLAuthNone {
		return nil, nil
	}
	return nil, errors.New("signatures of requests to function URLs are not verified here, so that none is trusted")
}
