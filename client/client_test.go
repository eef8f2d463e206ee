package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kiln/client"
)

// serve starts a server and a client for it.
func serve(t *testing.T, h http.HandlerFunc, opts ...client.Option) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := client.New(s.URL, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestInvokeReturnsEverythingTheAnswerHas(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"a":1}` || r.URL.RequestURI() != "/2015-03-31/functions/arn%3Aaws%3Alambda%3A%3Af/invocations?Qualifier=a%20b" {
			t.Errorf("got %s %q %v", r.URL.RequestURI(), body, err)
		}
		for name, v := range map[string]string{"X-Amz-Function-Error": "Unhandled", "X-Amz-Log-Result": "bG9n",
			"X-Amz-Executed-Version": "3", "x-amzn-RequestId": "id"} {
			w.Header().Set(name, v)
		}
		_, _ = io.WriteString(w, `{"errorMessage":"x"}`)
	})
	got, err := c.Invoke(t.Context(), &client.InvocationRequest{FunctionName: "arn:aws:lambda::f", Qualifier: new("a b"), Payload: []byte(`{"a":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != 200 || string(got.Payload) != `{"errorMessage":"x"}` || got.FunctionError != "Unhandled" ||
		string(got.LogTail) != "log" || got.ExecutedVersion != "3" || got.RequestID != "id" {
		t.Errorf("got %+v", got)
	}
}

func TestAnAnswerThatSaysNoIsAnError(t *testing.T) {
	for _, c := range []struct {
		name, header, body string
		want               client.Error
	}{
		{"of the API", "ResourceNotFoundException", `{"Message":"m","Type":"User"}`, client.Error{Code: "ResourceNotFoundException", Message: "m"}},
		{"with a name space", "TooManyRequestsException:http://x/", `{"Reason":"r","message":"m"}`, client.Error{Code: "TooManyRequestsException", Message: "m", Reason: "r"}},
		{"in the body only", "", `{"__type":"com.amazonaws#ServiceException","Message":"m"}`, client.Error{Code: "ServiceException", Message: "m"}},
		{"of something in between", "", "<html>bad gateway\n", client.Error{Code: "HTTP503", Message: "<html>bad gateway"}},
		{"without a word", "", "", client.Error{Code: "HTTP503"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls atomic.Int32
			cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				if c.header != "" {
					w.Header().Set("x-amzn-ErrorType", c.header)
				}
				w.Header().Set("x-amzn-RequestId", "id")
				w.WriteHeader(503)
				_, _ = io.WriteString(w, c.body)
			})
			_, err := cl.GetFunction(t.Context(), &client.GetFunctionRequest{FunctionName: "f"})
			var got *client.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			want := c.want
			want.Status, want.RequestID = 503, "id"
			if *got != want {
				t.Errorf("got  %#v\nwant %#v", *got, want)
			}
			if calls.Load() != 1 {
				t.Errorf("sent %d times", calls.Load())
			}
		})
	}
}

func TestARefusedConnectionIsNotTriedAgain(t *testing.T) {
	dials := 0
	h := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		dials++
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}}}
	c, err := client.New("http://127.0.0.1:1", client.WithHTTPClient(h))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Invoke(t.Context(), &client.InvocationRequest{FunctionName: "f"})
	var op *net.OpError
	if !errors.As(err, &op) || dials != 1 || !strings.HasPrefix(err.Error(), "Invoke: ") {
		t.Errorf("%d dials, %v", dials, err)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	c := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.GetAccountSettings(ctx, &client.GetAccountSettingsRequest{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotBeSentIsRefusedBefore(t *testing.T) {
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent %s %s", r.Method, r.URL) })
	if err := c.DeleteAlias(t.Context(), &client.DeleteAliasRequest{FunctionName: "f"}); err == nil || !strings.Contains(err.Error(), "Name is required") {
		t.Errorf("an empty label: %v", err)
	}
	for _, endpoint := range []string{"", "127.0.0.1:4566", "ftp://x", "http://", "http://a b"} {
		if _, err := client.New(endpoint); err == nil {
			t.Errorf("endpoint %q was taken", endpoint)
		}
	}
	if _, err := client.New("http://x", client.WithCredentials(client.Credentials{AccessKeyID: "a"})); err == nil {
		t.Error("half credentials were taken")
	}
}

func TestAnEndpointMayHaveAPath(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r.URL.RequestURI() }))
	defer s.Close()
	c, err := client.New(s.URL+"/under/", client.WithUserAgent("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListFunctions(t.Context(), &client.ListFunctionsRequest{MaxItems: new(int32(3))}); err != nil {
		t.Fatal(err)
	}
	if want := "/under/2015-03-31/functions?MaxItems=3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAbsentAndEmptyMembersAreSentApart(t *testing.T) {
	var body string
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
	})
	in := &client.UpdateFunctionConfigurationRequest{FunctionName: "f", Layers: []string{}, Environment: &client.Environment{}, Description: new("<&>")}
	if _, err := c.UpdateFunctionConfiguration(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if want := `{"Description":"<&>","Environment":{},"Layers":[]}`; body != want {
		t.Errorf("got %s, want %s", body, want)
	}
}

func TestAnAnswerThatIsNoJSONIsAnError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	if _, err := c.GetAccountSettings(t.Context(), &client.GetAccountSettingsRequest{}); err == nil {
		t.Error("no error")
	}
}

func TestTimesTravelAsSeconds(t *testing.T) {
	for text, want := range map[string]string{"946684800": "2000-01-01T00:00:00Z", "946684800.5": "2000-01-01T00:00:00.5Z", "9.466848E8": "2000-01-01T00:00:00Z"} {
		var got client.Time
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: got %s (%v), want %s", text, got.Format(time.RFC3339Nano), err, want)
		}
		back, err := json.Marshal(got)
		if err != nil || text[1] != '.' && string(back) != text {
			t.Errorf("%s came back as %s (%v)", text, back, err)
		}
	}
	var got client.Time
	for _, bad := range []string{`"2000-01-01"`, `1e300`, `{}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was taken as a time", bad)
		}
	}
}
