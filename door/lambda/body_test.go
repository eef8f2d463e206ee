package lambda_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kiln/door/lambda"
)

func TestBodiesOverTheLimitAreRefused(t *testing.T) {
	svc := fake{invoke: func(in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
		return &lambda.InvocationResponse{Payload: []byte(fmt.Sprint(len(in.Payload)))}, nil
	}}
	function := `{"Message":"Request must be smaller than %d bytes for the %s operation"}`
	for _, c := range []struct {
		name, method, path, kind string
		size                     int
		opts                     lambda.Options
		status                   int
		body                     string
	}{
		{"code", "POST", "/2015-03-31/functions", "", lambda.DefaultMaxCode + 1, lambda.Options{}, 413, fmt.Sprintf(function, 70167211, "CreateFunction")},
		{"new code", "PUT", "/2015-03-31/functions/f/code", "", 11, lambda.Options{MaxCode: 10}, 413, fmt.Sprintf(function, 10, "UpdateFunctionCode")},
		{"a layer", "POST", "/2018-10-31/layers/l/versions", "", 11, lambda.Options{MaxCode: 10}, 413, fmt.Sprintf(function, 10, "PublishLayerVersion")},
		{"anything else", "PUT", configPath, "", 11, lambda.Options{MaxOther: 10}, 413, fmt.Sprintf(function, 10, "UpdateFunctionConfiguration")},
		{"a payload", "POST", invokePath, "", 6294149, lambda.Options{}, 413, `{"Message":"6294149 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"}`},
		{"an event", "POST", invokePath, "Event", 1525970, lambda.Options{}, 413, `{"Message":"1525970 byte payload is too large for the Event invocation type (limit 1048576 bytes)"}`},
		{"the largest event", "POST", invokePath, "Event", 1048576, lambda.Options{}, 200, "1048576"},
		{"the largest payload", "POST", invokePath, "RequestResponse", 6291456, lambda.Options{}, 200, "6291456"},
		{"a payload over one step", "POST", invokePath, "", 20 << 20, lambda.Options{MaxInvoke: 20 << 20}, 200, "20971520"},
	} {
		for _, announced := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, length announced: %v", c.name, announced), func(t *testing.T) {
				r := httptest.NewRequest(c.method, c.path, bytes.NewReader(make([]byte, c.size)))
				want := c.body
				if !announced {
					r.ContentLength = -1
					// Only what was read is known: one byte more than the limit.
					want = strings.NewReplacer("6294149", "6291457", "1525970", "1048577").Replace(want)
				}
				if c.kind != "" {
					r.Header.Set("X-Amz-Invocation-Type", c.kind)
				}
				code := ""
				if c.status == 413 {
					code = lambda.RequestEntityTooLargeException
				}
				check(t, serve(svc, c.opts, r), c.status, code, want)
			})
		}
	}
}

// never fails the test when it is called.
func never(t *testing.T) fake {
	return fake{invoke: func(*lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
		t.Error("the operation was called")
		return &lambda.InvocationResponse{}, nil
	}}
}

func TestAnUploadCutHalfWayNeverReachesTheOperation(t *testing.T) {
	server := httptest.NewServer(lambda.NewHandler(never(t), lambda.Options{}))
	defer server.Close()
	for name, body := range map[string]string{
		"announced": "Content-Length: 100\r\n\r\nhalf",
		"chunked":   "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf",
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\n%s", invokePath, body)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 400 || !strings.Contains(string(text), "request body ended early, after 4 bytes") {
			t.Errorf("%s: got %d %s", name, resp.StatusCode, text)
		}
	}
}

func TestAClientThatSendsTooMuchCanReadTheRefusal(t *testing.T) {
	server := httptest.NewServer(lambda.NewHandler(never(t), lambda.Options{}))
	defer server.Close()
	for range 20 {
		resp, err := http.Post(server.URL+invokePath, "application/json", bytes.NewReader(make([]byte, 12<<20)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 413 {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
}
