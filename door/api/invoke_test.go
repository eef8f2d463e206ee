package api_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"kiln"
)

const invocations = "/2015-03-31/functions/f/invocations"

func TestInvokeAnswersWithExactlyTheBytesOfTheFunction(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	var seen *kiln.Invocation
	var answer kiln.Outcome
	p.invoker.run = func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		seen = inv
		out := answer
		out.Version = inv.Target.Version.Name()
		return &out, nil
	}
	client := base64.StdEncoding.EncodeToString([]byte("{\n \"client\": {}\n}"))
	for _, c := range []struct {
		name, payload string
		headers       []string
		answer        kiln.Outcome
		wantPayload   string
		want          map[string]string
	}{
		{name: "plain", payload: ` {"a" : 1, "a":2} `, answer: kiln.Outcome{Payload: []byte(" not even JSON \xff")}, wantPayload: ` {"a" : 1, "a":2} `,
			want: map[string]string{"X-Amz-Executed-Version": "$LATEST", "X-Amzn-Remapped-Content-Length": "0", "Content-Type": "application/json", "X-Amz-Function-Error": "", "X-Amz-Log-Result": ""}},
		{name: "nothing sent", answer: kiln.Outcome{Payload: []byte("null")}, wantPayload: "{}"},
		{name: "nothing answered", payload: "1", answer: kiln.Outcome{}, wantPayload: "1"},
		{name: "function error", payload: "{}", answer: kiln.Outcome{Failed: true, Payload: []byte(`{"errorType":"E"}`)}, wantPayload: "{}",
			want: map[string]string{"X-Amz-Function-Error": "Unhandled", "X-Amz-Executed-Version": "$LATEST"}},
		{name: "tail", payload: "{}", headers: []string{"X-Amz-Log-Type", "Tail"}, answer: kiln.Outcome{Payload: []byte("1"), Tail: []byte("START\nEND\n")}, wantPayload: "{}",
			want: map[string]string{"X-Amz-Log-Result": "U1RBUlQKRU5ECg=="}},
		{name: "no tail", payload: "{}", headers: []string{"X-Amz-Log-Type", "None"}, answer: kiln.Outcome{Payload: []byte("1"), Tail: []byte("x")}, wantPayload: "{}",
			want: map[string]string{"X-Amz-Log-Result": ""}},
		{name: "asked for by name", payload: "{}", headers: []string{"X-Amz-Invocation-Type", "RequestResponse", "X-Amz-Client-Context", client}, answer: kiln.Outcome{Payload: []byte("1")}, wantPayload: "{}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer = c.answer
			got := p.do("POST", invocations, c.payload, c.headers...)
			if got.status != 200 || got.body != string(c.answer.Payload) {
				t.Fatalf("got %d %q, want 200 %q", got.status, got.body, c.answer.Payload)
			}
			for name, want := range c.want {
				if v := got.header.Get(name); v != want {
					t.Errorf("%s: got %q, want %q", name, v, want)
				}
			}
			if string(seen.Payload) != c.wantPayload || seen.ID != got.header.Get("X-Amzn-RequestId") || !uuid.MatchString(seen.Attempt) || seen.Attempt == seen.ID {
				t.Errorf("the function saw %q, id %s, attempt %s", seen.Payload, seen.ID, seen.Attempt)
			}
			if seen.Function.String() != account+"/"+region+"/f" || seen.Accepted.IsZero() || seen.WantTail != (c.name == "tail") {
				t.Errorf("invocation %+v", seen)
			}
			if c.name == "asked for by name" && seen.ClientJSON != `{"client":{}}` {
				t.Errorf("client context %q", seen.ClientJSON)
			}
			if !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`).MatchString(seen.Trace) || got.header.Get("X-Amzn-Trace-Id") != seen.Trace {
				t.Errorf("trace %q, answered %q", seen.Trace, got.header.Get("X-Amzn-Trace-Id"))
			}
		})
	}
	sent := "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:1"
	if p.do("POST", invocations, "", "X-Amzn-Trace-Id", sent); seen.Trace != sent {
		t.Errorf("the caller's trace became %q", seen.Trace)
	}
	for _, bad := range []string{"none", "Root=" + strings.Repeat("x", 2000)} {
		if p.do("POST", invocations, "", "X-Amzn-Trace-Id", bad); strings.Contains(seen.Trace, "x") || !strings.HasPrefix(seen.Trace, "Root=1-") {
			t.Errorf("the trace %.20q became %.40q", bad, seen.Trace)
		}
	}
}

func TestInvokeFindsTheFunctionByEveryForm(t *testing.T) {
	p := newPort(t)
	p.create("f", map[string]any{"Publish": true})
	wants(t, "alias", p.do("POST", "/2015-03-31/functions/f/aliases", `{"Name":"live","FunctionVersion":"1"}`), 201)
	var arns []string
	p.invoker.run = func(_ context.Context, inv *kiln.Invocation) (*kiln.Outcome, error) {
		arns = append(arns, inv.InvokedARN())
		return &kiln.Outcome{Payload: []byte("1"), Version: inv.Target.Version.Name()}, nil
	}
	for form, want := range map[string][2]string{
		"f":                                      {"", "$LATEST"},
		"f:live":                                 {":live", "1"},
		"f:1":                                    {":1", "1"},
		"f:$LATEST":                              {":$LATEST", "$LATEST"},
		"f%3A%24LATEST":                          {":$LATEST", "$LATEST"},
		account + ":function:f":                  {"", "$LATEST"},
		account + ":function:f:live":             {":live", "1"},
		arn("f"):                                 {"", "$LATEST"},
		strings.ReplaceAll(arn("f"), ":", "%3A"): {"", "$LATEST"},
		arn("f") + ":1":                          {":1", "1"},
	} {
		got := p.do("POST", "/2015-03-31/functions/"+form+"/invocations", "{}")
		if got.status != 200 || got.header.Get("X-Amz-Executed-Version") != want[1] || arns[len(arns)-1] != arn("f")+want[0] {
			t.Errorf("%s: got %d %s, version %s", form, got.status, got.body, got.header.Get("X-Amz-Executed-Version"))
		}
	}
	got := p.do("POST", invocations+"?Qualifier=live", "{}")
	if got.header.Get("X-Amz-Executed-Version") != "1" || arns[len(arns)-1] != arn("f")+":live" {
		t.Errorf("by Qualifier: %d %s", got.status, got.body)
	}
	wants(t, "both the same", p.do("POST", "/2015-03-31/functions/f:live/invocations?Qualifier=live", "{}"), 200)
	refused(t, "both, different", p.do("POST", "/2015-03-31/functions/f:live/invocations?Qualifier=1", "{}"), 400, "InvalidParameterValueException",
		"The derived qualifier from the function name does not match the specified qualifier.")
}

func TestInvocationsThatCannotBeAreRefusedBeforeTheyRun(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	p.invoker.run = func(context.Context, *kiln.Invocation) (*kiln.Outcome, error) {
		t.Error("the function ran")
		return &kiln.Outcome{}, nil
	}
	context := func(s string) []string {
		return []string{"X-Amz-Client-Context", base64.StdEncoding.EncodeToString([]byte(s))}
	}
	for _, c := range []struct {
		name, target, payload string
		headers               []string
		status                int
		exception, message    string // "" is any text
	}{
		{"unknown function", "/2015-03-31/functions/absent/invocations", "{}", nil, 404, "ResourceNotFoundException", "Function not found: " + arn("absent")},
		{"unknown version", invocations + "?Qualifier=42", "{}", nil, 404, "ResourceNotFoundException", "Function not found: " + arn("f") + ":42"},
		{"unknown alias", invocations + "?Qualifier=prod", "{}", nil, 404, "ResourceNotFoundException", "Function not found: " + arn("f") + ":prod"},
		{"a qualifier that is none", invocations + "?Qualifier=a%2Fb", "{}", nil, 400, "ValidationException", ""},
		{"a name that is a path", "/2015-03-31/functions/..%2f..%2fetc/invocations", "{}", nil, 400, "ValidationException", ""},
		{"a name with a twist", "/2015-03-31/functions/%252e%252e/invocations", "{}", nil, 400, "ValidationException", ""},
		{"a long name", "/2015-03-31/functions/" + strings.Repeat("a", 10000) + "/invocations", "{}", nil, 400, "ValidationException", ""},
		{"a name in Unicode", "/2015-03-31/functions/f%C3%BC/invocations", "{}", nil, 400, "ValidationException", ""},
		{"no JSON", invocations, "{nope", nil, 400, "InvalidRequestContentException", ""},
		{"no UTF-8", invocations, "\"\xff\"", nil, 400, "InvalidRequestContentException", ""},
		{"NaN", invocations, "[NaN]", nil, 400, "InvalidRequestContentException", ""},
		{"too deep", invocations, strings.Repeat("[", 100000) + strings.Repeat("]", 100000), nil, 400, "InvalidRequestContentException", ""},
		{"a byte too long", invocations, `"` + strings.Repeat("x", 6291455) + `"`, nil, 413, "RequestEntityTooLargeException", "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"},
		{"a form with files", invocations, "{}", []string{"Content-Type", "multipart/form-data; boundary=x"}, 415, "UnsupportedMediaTypeException", "The content type of the request body is not JSON: multipart/form-data; boundary=x"},
		{"text", invocations, "{}", []string{"Content-Type", "text/plain"}, 415, "UnsupportedMediaTypeException", ""},
		{"no type at all", invocations, "{}", []string{"Content-Type", ";"}, 415, "UnsupportedMediaTypeException", ""},
		{"client context that is no base64", invocations, "{}", []string{"X-Amz-Client-Context", "{}"}, 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		{"client context that is no JSON", invocations, "{}", context("{"), 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		{"client context that is no object", invocations, "{}", context("1"), 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		{"client context too long", invocations, "{}", context(`{"a":"` + strings.Repeat("x", 2700) + `"}`), 400, "InvalidRequestContentException", "Client context must be no more than 3583 bytes when base64-encoded."},
		{"event too long", invocations, `"` + strings.Repeat("x", 1048575) + `"`, []string{"X-Amz-Invocation-Type", "Event"}, 413, "RequestEntityTooLargeException", "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"},
		{"another type", invocations, "{}", []string{"X-Amz-Invocation-Type", "event"}, 400, "ValidationException", ""},
		{"tenant", invocations, "{}", []string{"X-Amz-Tenant-Id", "blue"}, 400, "InvalidParameterValueException", "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again."},
		{"durable", invocations, "{}", []string{"X-Amz-Durable-Execution-Name", "d"}, 400, "InvalidParameterValueException", "kiln does not support durable executions (X-Amz-Durable-Execution-Name) yet."},
		{"dry run of nothing", "/2015-03-31/functions/absent/invocations", "{}", []string{"X-Amz-Invocation-Type", "DryRun"}, 404, "ResourceNotFoundException", "Function not found: " + arn("absent")},
		{"method", invocations, "", nil, 405, "UnknownOperationException", ""},
	} {
		method := "POST"
		if c.name == "method" {
			method = "GET"
		}
		got := p.do(method, c.target, c.payload, c.headers...)
		if c.message == "" && got.message() != "" {
			c.message = got.message()
		}
		refused(t, c.name, got, c.status, c.exception, c.message)
	}
	event := wants(t, "event", p.do("POST", invocations, "", "X-Amz-Invocation-Type", "Event"), 202)
	if event.body != "" || event.header.Get("X-Amz-Executed-Version") != "" {
		t.Errorf("an event answers %q %v", event.body, event.header)
	}
	got := wants(t, "dry run", p.do("POST", invocations, "", "X-Amz-Invocation-Type", "DryRun"), 204)
	if got.body != "" || got.header.Get("X-Amz-Executed-Version") != "" {
		t.Errorf("a dry run answers %q %v", got.body, got.header)
	}
}

func TestTypesThatClientsSendForJSONAreTaken(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	for _, kind := range []string{"", "application/json", "application/json; charset=utf-8", "Application/JSON", "application/octet-stream", "binary/octet-stream",
		"application/x-amz-json-1.1", "application/cloudevents+json", "application/x-www-form-urlencoded"} {
		wants(t, kind, p.do("POST", invocations, `{}`, "Content-Type", kind), 200)
	}
}

func TestWhatThePlatformCannotDoBecomesTheServicesException(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	var err error
	p.invoker.run = func(context.Context, *kiln.Invocation) (*kiln.Outcome, error) { return nil, err }
	for _, c := range []struct {
		err       error
		status    int
		exception string
		body      string
		retry     string
	}{
		{&kiln.Error{Code: kiln.Throttled, Message: "the limit is 0", Reason: kiln.ReasonReservedConcurrency}, 429, "TooManyRequestsException",
			`{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`, "1"},
		{&kiln.Error{Code: kiln.Throttled, Reason: kiln.ReasonCapacity, RetryAfter: 2500 * time.Millisecond}, 429, "TooManyRequestsException",
			`{"Reason":"CallerRateLimitExceeded","Type":"User","message":"Rate Exceeded."}`, "3"},
		{kiln.Errorf(kiln.Unavailable, "no machine is there"), 503, "ServiceUnavailableException", `{"Message":"no machine is there","Type":"Service"}`, ""},
		{kiln.Errorf(kiln.BadPackage, "broken"), 502, "InvalidZipFileException", `{"Message":"broken","Type":"Service"}`, ""},
		{kiln.Errorf(kiln.BadRuntime, "no ruby"), 502, "InvalidRuntimeException", `{"Message":"no ruby","Type":"Service"}`, ""},
		{kiln.Errorf(kiln.Conflict, "Pending"), 409, "ResourceConflictException", `{"Type":"User","message":"Pending"}`, ""},
		{&kiln.Error{Code: kiln.Unavailable, Message: "later", Err: errors.New("open /secret/path")}, 503, "ServiceUnavailableException", `{"Message":"later","Type":"Service"}`, ""},
		{kiln.Errorf(kiln.Internal, "secret"), 500, "ServiceException", `{"Message":"An error occurred and the request cannot be processed.","Type":"Service"}`, ""},
		{errors.New("open /secret/path: permission denied"), 500, "ServiceException", `{"Message":"An error occurred and the request cannot be processed.","Type":"Service"}`, ""},
	} {
		err = c.err
		got := p.do("POST", invocations, "{}")
		if got.status != c.status || got.header.Get("X-Amzn-Errortype") != c.exception || got.body != c.body || got.header.Get("Retry-After") != c.retry {
			t.Errorf("%v:\ngot  %d %s %s retry %q\nwant %d %s %s retry %q", c.err, got.status, got.header.Get("X-Amzn-Errortype"), got.body, got.header.Get("Retry-After"), c.status, c.exception, c.body, c.retry)
		}
	}
}

func TestAClientThatGoesAwayEndsTheWaiting(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	waiting, over := make(chan struct{}), make(chan error, 1)
	p.invoker.run = func(ctx context.Context, _ *kiln.Invocation) (*kiln.Outcome, error) {
		close(waiting)
		<-ctx.Done()
		over <- ctx.Err()
		return nil, ctx.Err()
	}
	srv := httptest.NewServer(p)
	defer srv.Close()
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", srv.URL+invocations, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+account+"/20260101/"+region+"/lambda/aws4_request, SignedHeaders=host, Signature=0")
	done := make(chan error, 1)
	go func() {
		_, err := srv.Client().Do(r)
		done <- err
	}()
	<-waiting
	leave()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Errorf("the waiting ended with %v", err)
	}
	if err := <-done; err == nil {
		t.Error("the client got an answer")
	}
}

func TestABodyOfUnknownLengthIsCutAtTheLimitToo(t *testing.T) {
	p := newPort(t)
	p.create("f", nil)
	srv := httptest.NewServer(p)
	defer srv.Close()
	r, err := http.NewRequest("POST", srv.URL+invocations, io.MultiReader(strings.NewReader(`"`), strings.NewReader(strings.Repeat("x", 7<<20)), strings.NewReader(`"`)))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = -1
	resp, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("chunked: %s", resp.Status)
	}
	// A length alone allocates nothing: the refusal comes before the body.
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST "+invocations+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1099511627776\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 12)
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 413" {
		t.Errorf("a terabyte: %q %v", head, err)
	}
}

func BenchmarkInvoke(b *testing.B) {
	p := newPort(b)
	p.create("f", nil)
	payload := `{"key":"value"}`
	auth := "AWS4-HMAC-SHA256 Credential=" + account + "/20260101/" + region + "/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", invocations, strings.NewReader(payload))
		r.Host = "127.0.0.1:4566"
		r.Header["Authorization"] = []string{auth}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body.String())
		}
	}
}
