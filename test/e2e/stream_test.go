package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// streamCode is the package of testdata/stream.js.
func streamCode(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/stream.js")
	if err != nil {
		t.Fatal(err)
	}
	return zipOf(t, file{Name: "stream.js", Text: string(text)})
}

// streamed is what a caller got of a streamed answer.
type streamed struct {
	body  string
	first time.Time // when the first bytes came
	end   types.InvokeWithResponseStreamCompleteEvent
}

// stream invokes a function and reads the whole stream.
func stream(t testing.TB, c *lambda.Client, name, payload string) streamed {
	t.Helper()
	out, err := c.InvokeWithResponseStream(within(t, 2*time.Minute), &lambda.InvokeWithResponseStreamInput{FunctionName: aws.String(name), Payload: []byte(payload), LogType: types.LogTypeTail})
	if err != nil {
		t.Fatal(err)
	}
	defer out.GetStream().Close()
	var got streamed
	var body strings.Builder
	for e := range out.GetStream().Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			if body.Len() == 0 {
				got.first = time.Now()
			}
			body.Write(e.Value.Payload)
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			got.end = e.Value
		}
	}
	if err := out.GetStream().Err(); err != nil {
		t.Errorf("%s: the stream ended with %v", payload, err)
	}
	got.body = body.String()
	return got
}

func TestTheSDKsReadStreamedAnswers(t *testing.T) {
	s := start(t)
	c, node := s.client(), needNode(t)
	create(t, c, "stream", node, "stream.stream", streamCode(t))
	create(t, c, "brief", node, "stream.stream", streamCode(t), func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(1) })

	got := stream(t, c, "stream", `{}`)
	if !strings.HasPrefix(got.body, "hello ") || got.end.ErrorCode != nil {
		t.Errorf("got %q, %+v", got.body, got.end)
	}
	log, err := base64.StdEncoding.DecodeString(aws.ToString(got.end.LogResult))
	if err != nil || !strings.Contains(string(log), "REPORT RequestId: ") {
		t.Errorf("got the log %q, %v", log, err)
	}

	got = stream(t, c, "stream", `{"mode":"slow"}`)
	one, late, _ := strings.Cut(got.body, " ")
	if at, err := strconv.ParseInt(late, 10, 64); one != "one" || err != nil || got.first.UnixMilli() >= at {
		t.Errorf("the first bytes of %q came at %d", got.body, got.first.UnixMilli())
	}

	if got := stream(t, c, "stream", `{"mode":"large","bytes":7000000}`); len(got.body) != 7000000 || got.end.ErrorCode != nil {
		t.Errorf("got %d bytes, %+v", len(got.body), got.end)
	}
	for _, e := range []struct{ function, mode, body, code, details string }{
		{"stream", "fail", "part", "Unhandled", `"errorType":"RangeError"`},
		{"stream", "fail-at-once", `{"errorType":"RangeError"`, "Unhandled", `"errorType":"RangeError"`},
		{"stream", "exit", "part", "Runtime.TruncatedResponse", "exit status 3"},
		{"brief", "hang", "part", "Sandbox.Timedout", "Task timed out after 1.00 seconds"},
	} {
		got := stream(t, c, e.function, `{"mode":"`+e.mode+`"}`)
		if !strings.HasPrefix(got.body, e.body) || aws.ToString(got.end.ErrorCode) != e.code || !strings.Contains(aws.ToString(got.end.ErrorDetails), e.details) {
			t.Errorf("%s: got %q, %s %s", e.mode, got.body, aws.ToString(got.end.ErrorCode), aws.ToString(got.end.ErrorDetails))
		}
	}
	// A caller that wants the answer whole gets it whole, also of a function that streams.
	if got := answer(t, c, "stream", `{}`); !strings.HasPrefix(got, "hello ") {
		t.Errorf("got %s", got)
	}
	if kind, _ := failure(t, c, "stream", `{"mode":"large","bytes":7000000}`); kind != "Function.ResponseSizeTooLarge" {
		t.Errorf("got %s", kind)
	}
	if kind, _ := failure(t, c, "stream", `{"mode":"fail"}`); kind != "RangeError" {
		t.Errorf("got %s", kind)
	}
	client(t, s, pythonClient(t), "testdata/stream.py")
}

func TestAStreamIsAsLongAsTheServerAllows(t *testing.T) {
	s := start(t, "--stream-size", "1MB", "--stream-rate", "off")
	c := s.client()
	create(t, c, "stream", needNode(t), "stream.stream", streamCode(t))
	if got := stream(t, c, "stream", `{"mode":"large","bytes":1048576}`); len(got.body) != 1<<20 || got.end.ErrorCode != nil {
		t.Errorf("got %d bytes, %+v", len(got.body), got.end)
	}
	got := stream(t, c, "stream", `{"mode":"large","bytes":1048577}`)
	if len(got.body) > 1<<20 || aws.ToString(got.end.ErrorCode) != "Function.ResponseSizeTooLarge" {
		t.Errorf("got %d bytes, %s", len(got.body), aws.ToString(got.end.ErrorCode))
	}
	if got := stream(t, c, "stream", `{}`); !strings.HasPrefix(got.body, "hello ") { // the environment lives on
		t.Errorf("got %q", got.body)
	}
}

// page is an answer of a function URL.
type page struct {
	status int
	header http.Header
	body   string
	cut    bool
}

// visit sends a request to a function URL, by its host or, with base, by its path.
func visit(t testing.TB, s *server, address, method, path, body string, headers ...string) page {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(within(t, time.Minute), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = u.Host // no resolver has to know the name
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return page{resp.StatusCode, resp.Header, string(text), err != nil}
}

func TestFunctionURLsAnswerHTTP(t *testing.T) {
	s := start(t)
	c, node, ctx := s.client(), needNode(t), within(t, 3*time.Minute)
	create(t, c, "echo", node, "stream.echo", streamCode(t))
	create(t, c, "web", node, "stream.web", streamCode(t))

	made, err := c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{
		FunctionName: aws.String("echo"), AuthType: types.FunctionUrlAuthTypeNone, Cors: &types.Cors{AllowOrigins: []string{"https://page.example"}, AllowMethods: []string{"PUT"}, MaxAge: aws.Int32(5)},
	})
	if err != nil {
		t.Fatal(err)
	}
	address := aws.ToString(made.FunctionUrl)
	port := s.URL[strings.LastIndexByte(s.URL, ':')+1:]
	if u, err := url.Parse(address); err != nil || !strings.HasSuffix(u.Host, ".lambda-url.eu-west-1.localhost:"+port) || u.Path != "/" || made.InvokeMode != types.InvokeModeBuffered {
		t.Fatalf("got %s, %s", address, made.InvokeMode)
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(address, "http://"), ".")

	got := visit(t, s, address, "PUT", "/a/b?x=1&x=2", `{"k":1}`, "Content-Type", "application/json", "Cookie", "a=1; b=2", "X-Forwarded-For", "6.6.6.6", "Origin", "https://page.example")
	var e struct {
		RawPath, RawQueryString, Body string
		Cookies                       []string
		Headers                       map[string]string
		RequestContext                struct {
			APIID string `json:"apiId"`
			HTTP  struct{ Method, SourceIP string }
		}
	}
	if err := json.Unmarshal([]byte(got.body), &e); err != nil {
		t.Fatalf("%v in %d %s", err, got.status, got.body)
	}
	if got.status != 200 || e.RawPath != "/a/b" || e.RawQueryString != "x=1&x=2" || e.Body != `{"k":1}` || len(e.Cookies) != 2 || e.RequestContext.APIID != id ||
		e.RequestContext.HTTP.Method != "PUT" || e.RequestContext.HTTP.SourceIP != "127.0.0.1" || e.Headers["x-forwarded-for"] != "127.0.0.1" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got.header.Get("Set-Cookie") != "c=d" || got.header.Get("Access-Control-Allow-Origin") != "https://page.example" || got.header.Get("Content-Security-Policy") != "" {
		t.Errorf("got %v", got.header)
	}
	if got := visit(t, s, address, "OPTIONS", "/", "", "Origin", "https://page.example", "Access-Control-Request-Method", "PUT"); got.status != 200 || got.header.Get("Access-Control-Allow-Methods") != "PUT" {
		t.Errorf("preflight: got %d %v", got.status, got.header)
	}
	if got := visit(t, s, address, "POST", "/binary", "\x89PNG\x00\xff", "Content-Type", "image/png"); got.status != 200 || got.body != "\x89PNG\x00\xff" {
		t.Errorf("binary: got %d %q", got.status, got.body)
	}
	if got := visit(t, s, address, "GET", "/json", ""); got.status != 200 || got.body != `{"plain":true}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := visit(t, s, address, "GET", "/throw", ""); got.status != 502 || got.body != "Internal Server Error" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	// By its path, from which it is kept apart.
	if got := visit(t, s, s.URL, "GET", "/_kiln/url/"+id+"/deep", ""); got.status != 200 || !strings.Contains(got.body, `"rawPath":"/deep"`) || got.header.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("got %d %s %v", got.status, got.body, got.header)
	}

	// From inside of an environment, as from anywhere.
	if got := answer(t, c, "echo", `{"fetch":"/_kiln/url/`+id+`/json"}`); got != `{"status":200,"body":"{\"plain\":true}"}` {
		t.Errorf("from inside: got %s", got)
	}

	v, err := c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String("web")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: aws.String("web"), Name: aws.String("live"), FunctionVersion: v.Version}); err != nil {
		t.Fatal(err)
	}
	streaming, err := c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{
		FunctionName: aws.String("web"), Qualifier: aws.String("live"), AuthType: types.FunctionUrlAuthTypeNone, InvokeMode: types.InvokeModeResponseStream,
	})
	if err != nil {
		t.Fatal(err)
	}
	got = visit(t, s, aws.ToString(streaming.FunctionUrl), "GET", "/s", "")
	if got.status != 201 || got.body != "first last" || got.header.Get("X-Path") != "/s" || got.header.Get("Content-Type") != "text/event-stream" || len(got.header["Set-Cookie"]) != 2 || got.cut {
		t.Errorf("got %d %q %v", got.status, got.body, got.header)
	}
	if got := visit(t, s, aws.ToString(streaming.FunctionUrl), "GET", "/fail", ""); got.status != 200 || got.body != "part" || !got.cut {
		t.Errorf("got %d %q, cut %v", got.status, got.body, got.cut)
	}

	if _, err := c.UpdateFunctionUrlConfig(ctx, &lambda.UpdateFunctionUrlConfigInput{FunctionName: aws.String("echo"), AuthType: types.FunctionUrlAuthTypeAwsIam}); err != nil {
		t.Fatal(err)
	}
	if got := visit(t, s, address, "GET", "/", ""); got.status != 403 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	list, err := c.ListFunctionUrlConfigs(ctx, &lambda.ListFunctionUrlConfigsInput{FunctionName: aws.String("echo")})
	if err != nil || len(list.FunctionUrlConfigs) != 1 || list.FunctionUrlConfigs[0].AuthType != types.FunctionUrlAuthTypeAwsIam || aws.ToString(list.FunctionUrlConfigs[0].FunctionUrl) != address {
		t.Errorf("got %+v, %v", list, err)
	}
	if _, err := c.DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: aws.String("echo")}); err != nil {
		t.Fatal(err)
	}
	if got := visit(t, s, address, "GET", "/", ""); got.status != 404 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if _, err := c.GetFunctionUrlConfig(ctx, &lambda.GetFunctionUrlConfigInput{FunctionName: aws.String("echo")}); err == nil {
		t.Error("the configuration is still there")
	}
}
