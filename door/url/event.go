package url

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"kiln"
)

// event is a request as a function sees it: payload format 2.0, members in AWS's order.
type event struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext  requestContext    `json:"requestContext"`
	Body            *string           `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	Authorizer   *authorizer `json:"authorizer,omitempty"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         httpContext `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"`
}

// authorizer is who signed the request.
type authorizer struct {
	IAM iam `json:"iam"`
}

type iam struct {
	AccessKey       string  `json:"accessKey"`
	AccountID       string  `json:"accountId"`
	CallerID        string  `json:"callerId"`
	CognitoIdentity *string `json:"cognitoIdentity"` // always null, as is the next one: there are no such things here
	PrincipalOrgID  *string `json:"principalOrgId"`
	UserARN         string  `json:"userArn"`
	UserID          string  `json:"userId"`
}

type httpContext struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// event gives the payload of the invocation, or why there is none.
func (v *visit) event() ([]byte, *refusal) {
	body, no := readBody(v.r)
	if no != nil {
		return nil, no
	}
	if v.caller != nil && v.caller.Check != nil {
		if err := v.caller.Check(body); err != nil {
			return nil, v.forbid(err)
		}
	}
	now := v.door.o.Now().UTC()
	host := hostOnly(v.r.Host)
	source := sourceIP(v.r)
	e := event{
		Version: "2.0", RouteKey: "$default", RawPath: v.to.Path, RawQueryString: v.r.URL.RawQuery,
		Cookies: cookiesOf(v.r), Headers: v.headers(source), Query: queryOf(v.r.URL.RawQuery),
		RequestContext: requestContext{
			AccountID: "anonymous", APIID: v.url.ID, DomainName: host, DomainPrefix: v.url.ID,
			HTTP:      httpContext{v.r.Method, v.to.Path, v.r.Proto, source, v.r.UserAgent()},
			RequestID: v.to.RequestID, RouteKey: "$default", Stage: "$default",
			Time: now.Format("02/Jan/2006:15:04:05 +0000"), TimeEpoch: now.UnixMilli(),
		},
	}
	if c := v.caller; c != nil {
		e.RequestContext.AccountID = c.Account
		e.RequestContext.Authorizer = &authorizer{iam{AccessKey: c.AccessKey, AccountID: c.Account, CallerID: c.UserID, UserARN: c.ARN, UserID: c.UserID}}
	}
	if len(body) > 0 {
		text := string(body)
		if e.IsBase64Encoded = !isText(v.r.Header) || !utf8.Valid(body); e.IsBase64Encoded {
			text = base64.StdEncoding.EncodeToString(body)
		}
		e.Body = &text
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		panic(err) // strings, numbers and maps of strings can always be encoded
	}
	payload := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if len(payload) > kiln.MaxSyncPayload {
		return nil, tooLarge
	}
	return payload, nil
}

// readBody reads the body, unless it is longer than any event may be.
func readBody(r *http.Request) ([]byte, *refusal) {
	if r.ContentLength > kiln.MaxSyncPayload {
		return nil, tooLarge
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, kiln.MaxSyncPayload+1))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, badBody
	case len(body) > kiln.MaxSyncPayload:
		return nil, tooLarge
	}
	return body, nil
}

// isText reports whether a body goes into the event as it is.
func isText(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || h.Get("Content-Encoding") != "" && !strings.EqualFold(h.Get("Content-Encoding"), "identity") {
		return false
	}
	if strings.HasPrefix(kind, "text/") {
		return true
	}
	name, ok := strings.CutPrefix(kind, "application/")
	switch name {
	case "json", "xml", "javascript", "x-www-form-urlencoded":
		return ok
	}
	return ok && (strings.HasSuffix(name, "+json") || strings.HasSuffix(name, "+xml"))
}

// ownHeaders are those that this door alone says, and those that end with it: what a
// client sends under their names is not passed on. Names in lower case; prefixes end
// with a hyphen.
var ownHeaders = []string{
	"x-forwarded-", "x-amzn-", "x-amz-client-context", "x-amz-invocation-type", "x-amz-log-type", "x-amz-tenant-id",
	"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect", "cookie",
}

// headers gives the headers of the event.
func (v *visit) headers(source string) map[string]string {
	r := v.r
	out := make(map[string]string, len(r.Header)+6)
	for name, values := range r.Header {
		if name = strings.ToLower(name); !isOwn(name) {
			out[name] = strings.Join(values, ",")
		}
	}
	proto, port := "http", "80"
	if r.TLS != nil {
		proto, port = "https", "443"
		out["x-amzn-tls-version"] = strings.ReplaceAll(tls.VersionName(r.TLS.Version), "TLS ", "TLSv")
		out["x-amzn-tls-cipher-suite"] = tls.CipherSuiteName(r.TLS.CipherSuite)
	}
	if _, p, err := net.SplitHostPort(r.Host); err == nil {
		port = p
	}
	out["host"] = r.Host
	out["x-forwarded-for"], out["x-forwarded-port"], out["x-forwarded-proto"] = source, port, proto
	out["x-amzn-trace-id"] = v.to.Trace
	return out
}

// isOwn reports whether a header, in lower case, is one of ownHeaders.
func isOwn(name string) bool {
	for _, own := range ownHeaders {
		if name == own || strings.HasSuffix(own, "-") && strings.HasPrefix(name, own) {
			return true
		}
	}
	return false
}

// cookiesOf gives each cookie as name=value.
func cookiesOf(r *http.Request) []string {
	var out []string
	for _, line := range r.Header["Cookie"] {
		for c := range strings.SplitSeq(line, ";") {
			if c = strings.TrimSpace(c); c != "" {
				out = append(out, c)
			}
		}
	}
	return out
}

// queryOf gives the parameters of a query, those of one name with commas between them.
func queryOf(raw string) map[string]string {
	if raw == "" {
		return nil
	}
	values, _ := url.ParseQuery(raw) // what is malformed is left out; it is in the raw query
	out := make(map[string]string, len(values))
	for name, list := range values {
		out[name] = strings.Join(list, ",")
	}
	return out
}

// sourceIP gives the address that the request came from; a peer without one is this
// machine.
func sourceIP(r *http.Request) string {
	host := hostOnly(r.RemoteAddr)
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "127.0.0.1"
	}
	return ip.Unmap().WithZone("").String()
}

// hostOnly cuts the port and the brackets of an IPv6 address off.
func hostOnly(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return cmp.Or(strings.Trim(host, "[]"), hostport)
}
