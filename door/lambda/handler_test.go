package lambda_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kiln/door/lambda"
)

// fake answers the operations that a test sets.
type fake struct {
	lambda.Unimplemented
	invoke func(*lambda.InvocationRequest) (*lambda.InvocationResponse, error)
	create func(*lambda.CreateFunctionRequest) (*lambda.FunctionConfiguration, error)
	update func(*lambda.UpdateFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error)
	delete func(*lambda.DeleteAliasRequest) error
	stream func(*lambda.Stream) error
	policy func(*lambda.GetResourcePolicyRequest) (*lambda.GetResourcePolicyResponse, error)
}

func (f fake) Invoke(_ context.Context, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
	return f.invoke(in)
}

func (f fake) CreateFunction(_ context.Context, in *lambda.CreateFunctionRequest) (*lambda.FunctionConfiguration, error) {
	return f.create(in)
}

func (f fake) UpdateFunctionConfiguration(_ context.Context, in *lambda.UpdateFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error) {
	return f.update(in)
}

func (f fake) DeleteAlias(_ context.Context, in *lambda.DeleteAliasRequest) error {
	return f.delete(in)
}

func (f fake) GetResourcePolicy(_ context.Context, in *lambda.GetResourcePolicyRequest) (*lambda.GetResourcePolicyResponse, error) {
	return f.policy(in)
}

func (f fake) InvokeWithResponseStream(_ context.Context, _ *lambda.InvokeWithResponseStreamRequest, out *lambda.Stream) error {
	return f.stream(out)
}

// serve answers one request.
func serve(svc lambda.Service, opts lambda.Options, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	lambda.NewHandler(svc, opts).ServeHTTP(w, r)
	return w
}

// check compares status, exception and body.
func check(t *testing.T, w *httptest.ResponseRecorder, status int, code, body string) {
	t.Helper()
	if w.Code != status || w.Header().Get("x-amzn-ErrorType") != code || w.Body.String() != body {
		t.Errorf("got  %d %s %s\nwant %d %s %s", w.Code, w.Header().Get("x-amzn-ErrorType"), w.Body, status, code, body)
	}
}

const (
	invokePath = "/2015-03-31/functions/f/invocations"
	configPath = "/2015-03-31/functions/f/configuration"
)

func TestAnInvocationGoesThroughWhole(t *testing.T) {
	svc := fake{invoke: func(in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
		got := fmt.Sprintf("%s %s %s %s %s", in.FunctionName, *in.Qualifier, *in.InvocationType, *in.ClientContext, in.Payload)
		if want := `arn:aws:lambda:us-east-1:000000000000:function:f prod RequestResponse e30= {"a":1}`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if cap(in.Payload) != len(in.Payload) {
			t.Errorf("payload of %d bytes has a buffer of %d", len(in.Payload), cap(in.Payload))
		}
		return &lambda.InvocationResponse{StatusCode: new(int32(200)), Payload: []byte(`{"errorMessage":"x"}`),
			FunctionError: new("Unhandled"), ExecutedVersion: new("3"), LogResult: new("bG9n")}, nil
	}}
	r := httptest.NewRequest("POST", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations?Qualifier=prod", strings.NewReader(`{"a":1}`))
	r.Header.Set("X-Amz-Invocation-Type", "RequestResponse")
	r.Header.Set("X-Amz-Client-Context", "e30=")
	w := serve(svc, lambda.Options{}, r)
	check(t, w, 200, "", `{"errorMessage":"x"}`)
	for name, want := range map[string]string{"X-Amz-Function-Error": "Unhandled", "X-Amz-Executed-Version": "3",
		"X-Amz-Log-Result": "bG9n", "Content-Type": "application/json", "Content-Length": "20"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestStatusOfAnAnswerComesFromTheServiceOrTheModel(t *testing.T) {
	for _, status := range []int32{202, 204} {
		svc := fake{invoke: func(*lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
			return &lambda.InvocationResponse{StatusCode: &status, Payload: []byte("not for 204")}, nil
		}}
		if w := serve(svc, lambda.Options{}, httptest.NewRequest("POST", invokePath, nil)); w.Code != int(status) || status == 204 && w.Body.Len() > 0 {
			t.Errorf("got %d %q, want %d", w.Code, w.Body, status)
		}
	}
	svc := fake{delete: func(*lambda.DeleteAliasRequest) error { return nil }}
	check(t, serve(svc, lambda.Options{}, httptest.NewRequest("DELETE", "/2015-03-31/functions/f/aliases/a", nil)), 204, "", "")
}

func TestAbsentEmptyAndNullMembersAreTold(t *testing.T) {
	for body, want := range map[string]string{
		``:                               "environment false, layers false 0",
		`{}`:                             "environment false, layers false 0",
		`null`:                           "environment false, layers false 0",
		`{"Environment":null}`:           "environment false, layers false 0",
		`{"Environment":{},"Layers":[]}`: "environment true, layers true 0",
		`{"Layers":["arn:aws:lambda:us-east-1:000000000000:layer:l:1"],"Unknown":{"a":[1,"\u00e4",null,{}]}}`: "environment false, layers true 1",
		`{"environment":{},"layers":[1]}`:                "environment false, layers false 0", // members are told by case
		`{"Environment":{"Variables":{}},"Layers":null}`: "environment true, layers false 0",
		`{"Layers":null,"Layers":[]}`:                    "environment false, layers true 0", // the last one counts
	} {
		svc := fake{update: func(in *lambda.UpdateFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error) {
			if got := fmt.Sprintf("environment %v, layers %v %d", in.Environment != nil, in.Layers != nil, len(in.Layers)); got != want {
				t.Errorf("%s: got %s, want %s", body, got, want)
			}
			return &lambda.FunctionConfiguration{Environment: &lambda.EnvironmentResponse{Variables: map[string]string{}}, Layers: []lambda.Layer{}}, nil
		}}
		w := serve(svc, lambda.Options{}, httptest.NewRequest("PUT", configPath, strings.NewReader(body)))
		check(t, w, 200, "", `{"Environment":{"Variables":{}},"Layers":[]}`)
	}
}

func TestWhatIsNoInputIsASerializationException(t *testing.T) {
	for body, want := range map[string]string{
		`{"Timeout":"3"}`:                           "STRING_VALUE can not be converted to an Integer",
		`{"Timeout":true}`:                          "TRUE_VALUE can not be converted to an Integer",
		`{"Timeout":1.5}`:                           "NUMBER_VALUE can not be converted to an Integer",
		`{"Timeout":2147483648}`:                    "NUMBER_VALUE can not be converted to an Integer",
		`{"Timeout":1e999}`:                         "NUMBER_VALUE can not be converted to an Integer",
		`{"Timeout":[3]}`:                           "Start of list found where not expected",
		`{"Timeout":{}}`:                            "Start of structure or map found where not expected.",
		`{"Role":5}`:                                "NUMBER_VALUE can not be converted to a String",
		`{"Role":false}`:                            "FALSE_VALUE can not be converted to a String",
		`{"Environment":"x"}`:                       "Unexpected field type",
		`{"Environment":[]}`:                        "Start of list found where not expected",
		`{"Environment":{"Variables":["a"]}}`:       "Start of list found where not expected",
		`{"Layers":{}}`:                             "Start of structure or map found where not expected.",
		`{"Layers":[null]}`:                         "NULL_VALUE found in a list",
		`{"Environment":{"Variables":{"AB":null}}}`: "NULL_VALUE found in a map",
		`[]`:                           "Start of list found where not expected",
		`"x"`:                          "Unexpected field type",
		`{"Timeout":3`:                 "request body is not JSON: it ends too early",
		`{"Timeout":3}}`:               "request body goes on after its JSON value, at byte 13",
		`null null`:                    "request body goes on after its JSON value, at byte 5",
		`{"Timeout":03}`:               "request body is not JSON: unexpected byte at 12",
		`{"Timeout":3,}`:               "request body is not JSON: unexpected byte at 13",
		`{Timeout:3}`:                  "request body is not JSON: unexpected byte at 1",
		`{'Timeout':3}`:                "request body is not JSON: unexpected byte at 1",
		`{"Timeout" 3}`:                "request body is not JSON: unexpected byte at 11",
		`{"Timeout":nul}`:              "request body is not JSON: unexpected byte at 11",
		`{"Timeout":+3}`:               "request body is not JSON: unexpected byte at 11",
		`{"Timeout":-}`:                "request body is not JSON: unexpected byte at 12",
		`{"Timeout":1.}`:               "request body is not JSON: unexpected byte at 13",
		`{"x":1e}`:                     "request body is not JSON: unexpected byte at 7",
		`{"Role":"\x"}`:                "request body is not JSON: unexpected byte at 9",
		`{"Role":"\u12g4"}`:            "request body is not JSON: unexpected byte at 9",
		"{\"Role\":\"a\nb\"}":          "request body is not JSON: unexpected byte at 10",
		"{\"Role\":\"\xff\"}":          "request body is not UTF-8",
		"{\"Role\":\"\\n\xff\"}":       "request body is not UTF-8",
		"{\"Ro\xffle\":\"a\"}":         "request body is not UTF-8",
		"{\"Timeout\":3}\x00":          "request body is not JSON: NUL at byte 13",
		"\xef\xbb\xbf{}":               "request body is not JSON: unexpected byte at 0",
		`{"x":[[[[[[[[[[`:              "request body is not JSON: it ends too early",
		`{"x":` + nested("[", "]"):     "request body nests deeper than 100 levels",
		`{"x":` + nested(`{"a":`, "}"): "request body nests deeper than 100 levels",
		`{"VpcConfig":{"Ipv6AllowedForDualStack":"true"}}`: "STRING_VALUE can not be converted to a Boolean",
	} {
		w := serve(fake{}, lambda.Options{}, httptest.NewRequest("PUT", configPath, strings.NewReader(body)))
		check(t, w, 400, lambda.SerializationException, fmt.Sprintf(`{"Message":%q}`, want))
	}
}

// nested is a value 10,000 levels deep.
func nested(open, end string) string {
	return strings.Repeat(open, 10000) + "1" + strings.Repeat(end, 10000)
}

func TestNumbersAndStringsInOtherSpellingsAreTheSame(t *testing.T) {
	for body, want := range map[string]string{
		`{"Timeout":3.0}`:                  "3 ",
		`{"Timeout":30e-1}`:                "3 ",
		` { "Timeout" : 3 , "Role":null} `: "3 ",
		`{"Timeout":3,"Description":"\u00fc\ud83d\ude00\/\"\\\b\f\n\r\t"}`: "3 ü😀/\"\\\b\f\n\r\t",
		`{"Timeout":3,"Description":"\ud83d \udc00"}`:                      "3 \ufffd \ufffd",
		`{"\u0054imeout":3}`: "3 ",
	} {
		svc := fake{update: func(in *lambda.UpdateFunctionConfigurationRequest) (*lambda.FunctionConfiguration, error) {
			got := fmt.Sprint(*in.Timeout, " ")
			if in.Description != nil {
				got += *in.Description
			}
			if got != want {
				t.Errorf("%s: got %q, want %q", body, got, want)
			}
			return &lambda.FunctionConfiguration{Description: in.Description}, nil
		}}
		if w := serve(svc, lambda.Options{}, httptest.NewRequest("PUT", configPath, strings.NewReader(body))); w.Code != 200 {
			t.Errorf("%s: %s", body, w.Body)
		}
	}
}

func TestCodeIsReadFromBase64(t *testing.T) {
	svc := fake{create: func(in *lambda.CreateFunctionRequest) (*lambda.FunctionConfiguration, error) {
		if got, want := string(in.Code.ZipFile), "PK\xff\xfe"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		return &lambda.FunctionConfiguration{}, nil
	}}
	body := `{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"ZipFile":"%s"}}`
	for zip, want := range map[string]int{`UEv//g==`: 201, `UEv\/\/g==`: 201, `UEv//g`: 400, `U!`: 400} {
		w := serve(svc, lambda.Options{}, httptest.NewRequest("POST", "/2015-03-31/functions", strings.NewReader(fmt.Sprintf(body, zip))))
		if w.Code != want {
			t.Errorf("%s: status %d %s, want %d", zip, w.Code, w.Body, want)
		}
	}
}

func TestErrorsOfTheServiceAreSentAndOthersKept(t *testing.T) {
	var log bytes.Buffer
	opts := lambda.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
	answer := func(out *lambda.InvocationResponse, err error) *httptest.ResponseRecorder {
		log.Reset()
		return serve(fake{invoke: func(*lambda.InvocationRequest) (*lambda.InvocationResponse, error) { return out, err }}, opts,
			httptest.NewRequest("POST", invokePath, nil))
	}
	w := answer(nil, fmt.Errorf("wrapped: %w", &lambda.Error{Code: lambda.TooManyRequestsException, Message: "Rate Exceeded.",
		Reason: lambda.ThrottleReasonConcurrentInvocationLimitExceeded, RetryAfter: "1"}))
	check(t, w, 429, "TooManyRequestsException", `{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`)
	if w.Header().Get("Retry-After") != "1" || log.Len() > 0 {
		t.Errorf("Retry-After %q, log %s", w.Header().Get("Retry-After"), &log)
	}
	const hidden = `{"Message":"An error occurred and the request cannot be processed.","Type":"Service"}`
	check(t, answer(nil, errors.New("disk /secret is full")), 500, "ServiceException", hidden)
	if !strings.Contains(log.String(), "disk /secret is full") || !strings.Contains(log.String(), "operation=Invoke") {
		t.Errorf("log: %s", &log)
	}
	check(t, answer(nil, nil), 500, "ServiceException", hidden)
	check(t, answer(&lambda.InvocationResponse{StatusCode: new(int32(7))}, nil), 500, "ServiceException", hidden)
	check(t, answer(nil, &lambda.Error{Code: lambda.AccessDeniedException}), 403, "AccessDeniedException", `{"Message":null}`)
	check(t, answer(nil, &lambda.Error{Code: lambda.ResourceConflictException, Message: "m", Untyped: true}), 409, "ResourceConflictException", `{"message":"m"}`)
	check(t, answer(nil, &lambda.Error{Code: "Homemade", Message: "m\x00\xff"}), 500, "Homemade", `{"Message":"m\u0000`+"\ufffd"+`","Type":"Service"}`)
}

func TestAStreamedAnswerLeavesAtOnceAndOnlyOnce(t *testing.T) {
	const path = "/2021-11-15/functions/f/response-streaming-invocations"
	post := func(f func(*lambda.Stream) error) *httptest.ResponseRecorder {
		return serve(fake{stream: f}, lambda.Options{}, httptest.NewRequest("POST", path, nil))
	}
	w := post(func(s *lambda.Stream) error {
		if _, err := s.Write([]byte("x")); err == nil {
			t.Error("wrote before the head")
		}
		if err := s.Start(&lambda.InvokeWithResponseStreamResponse{ExecutedVersion: new("$LATEST")}); err != nil {
			t.Error(err)
		}
		if err := s.Start(&lambda.InvokeWithResponseStreamResponse{}); err == nil {
			t.Error("started twice")
		}
		_, err := s.Write([]byte("frames"))
		return err
	})
	check(t, w, 200, "", "frames")
	if !w.Flushed || w.Header().Get("Content-Type") != "application/vnd.amazon.eventstream" || w.Header().Get("X-Amz-Executed-Version") != "$LATEST" {
		t.Errorf("flushed %v, header %v", w.Flushed, w.Header())
	}
	check(t, post(func(s *lambda.Stream) error {
		if err := s.Start(&lambda.InvokeWithResponseStreamResponse{}); err != nil {
			t.Error(err)
		}
		return &lambda.Error{Code: lambda.ServiceException, Message: "too late"}
	}), 200, "", "")
	check(t, post(func(*lambda.Stream) error { return &lambda.Error{Code: lambda.ResourceNotFoundException, Message: "m"} }),
		404, "ResourceNotFoundException", `{"Message":"m","Type":"User"}`)
	if w := post(func(*lambda.Stream) error { return nil }); w.Code != 500 {
		t.Errorf("status %d for a stream that never began", w.Code)
	}
}

// BenchmarkInvoke is what this package adds to every invocation.
func BenchmarkInvoke(b *testing.B) {
	out := &lambda.InvocationResponse{StatusCode: new(int32(200)), Payload: []byte(`{"ok":true}`), ExecutedVersion: new("$LATEST")}
	h := lambda.NewHandler(fake{invoke: func(*lambda.InvocationRequest) (*lambda.InvocationResponse, error) { return out, nil }}, lambda.Options{})
	payload := []byte(`{"key":"value"}`)
	r := httptest.NewRequest("POST", invokePath, nil)
	r.ContentLength = int64(len(payload))
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(payload))
		w.Body.Reset()
		h.ServeHTTP(w, r)
	}
}
