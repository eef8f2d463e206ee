package api_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// onTheWire is a guarded port behind a server that really listens, with a function f.
func onTheWire(t *testing.T, secure bool) (*guarded, signer, *httptest.Server) {
	t.Helper()
	g := newGuarded(t)
	root := g.user(account, "root")
	g.role("any")
	wants(t, "create", root.do("POST", "/2015-03-31/functions", request(t, "f", nil)), 201)
	g.settle()
	srv := httptest.NewUnstartedServer(g)
	if srv.EnableHTTP2 = secure; secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return g, root, srv
}

// signature signs a request for a server.
func (s signer) signature(t *testing.T, method, target, body string) http.Header {
	t.Helper()
	r, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: s.c.AccessKeyID, SecretAccessKey: s.c.SecretAccessKey}, r, hex.EncodeToString(sum[:]), "lambda", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	return r.Header
}

func TestSignaturesAreRightInBothVersionsOfHTTP(t *testing.T) {
	for _, secure := range []bool{false, true} {
		_, root, srv := onTheWire(t, secure)
		for _, body := range []string{`{"a":1}`, `"` + strings.Repeat("x", 1<<20) + `"`} {
			target := srv.URL + "/2015-03-31/functions/" + url.PathEscape(arn("f")) + "/invocations?Qualifier=%24LATEST"
			r, err := http.NewRequest("POST", target, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = root.signature(t, "POST", target, body)
			resp, err := srv.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close() // it was read to its end
			if err != nil || resp.StatusCode != 200 || string(got) != body || (resp.ProtoMajor == 2) != secure {
				t.Errorf("%s: %d %.200s, %v", resp.Proto, resp.StatusCode, got, err)
			}
		}
	}
}

func TestNothingIsSmuggledPastASignature(t *testing.T) {
	_, root, srv := onTheWire(t, false)
	host := strings.TrimPrefix(srv.URL, "http://")
	const path = "/2015-03-31/functions/f/invocations"
	headers := root.signature(t, "POST", srv.URL+path, "{}")
	head := fmt.Sprintf("Host: %s\r\nAuthorization: %s\r\nX-Amz-Date: %s\r\n", host, headers.Get("Authorization"), headers.Get("X-Amz-Date"))
	for _, c := range []struct {
		name, request string
		status        string // any of these
	}{
		{"as it was signed", "POST " + path + " HTTP/1.1\r\n" + head + "Content-Length: 2\r\n\r\n{}", "200"},
		{"through a proxy", "POST http://" + host + path + " HTTP/1.1\r\n" + head + "Content-Length: 2\r\n\r\n{}", "200"},
		{"in chunks, where the length was signed", "POST " + path + " HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "403"},
		{"two lengths", "POST " + path + " HTTP/1.1\r\n" + head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", "400"},
		{"two signatures", "POST " + path + " HTTP/1.1\r\nAuthorization: x\r\n" + head + "Content-Length: 2\r\n\r\n{}", "400"},
		{"two dates", "POST " + path + " HTTP/1.1\r\nX-Amz-Date: 20200101T000000Z\r\n" + head + "Content-Length: 2\r\n\r\n{}", "403"},
		{"the date once more", "POST " + path + " HTTP/1.1\r\n" + head + "X-Amz-Date: 20200101T000000Z\r\nContent-Length: 2\r\n\r\n{}", "403"},
		{"a header that changes what is done", "POST " + path + " HTTP/1.1\r\n" + head + "X-Amz-Invocation-Type: DryRun\r\nContent-Length: 2\r\n\r\n{}", "403"},
		{"a longer path", "POST " + path + "/ HTTP/1.1\r\n" + head + "Content-Length: 2\r\n\r\n{}", "403"},
		{"dots in the path", "POST /2015-03-31/functions/g/../f/invocations HTTP/1.1\r\n" + head + "Content-Length: 2\r\n\r\n{}", "404"},
		{"another escape", "POST /2015-03-31/functions/%66/invocations HTTP/1.1\r\n" + head + "Content-Length: 2\r\n\r\n{}", "403"},
		{"a query", "POST " + path + "?Qualifier=1 HTTP/1.1\r\n" + head + "Content-Length: 2\r\n\r\n{}", "403"},
		{"a body of the same length", "POST " + path + " HTTP/1.1\r\n" + head + "Content-Length: 2\r\n\r\n[]", "403"},
		{"a body that is cut off", "POST " + path + " HTTP/1.1\r\n" + head + "Content-Length: 2\r\n\r\n{", "400 403"},
		{"a folded header", "POST " + path + " HTTP/1.1\r\n" + strings.Replace(head, "X-Amz-Date: ", "X-Amz-Date:\r\n ", 1) + "Content-Length: 2\r\n\r\n{}", "200 400 403"},
	} {
		nc, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(nc, c.request); err != nil {
			t.Fatal(err)
		}
		_ = nc.(*net.TCPConn).CloseWrite() // the server may have closed already
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		body, _ := io.ReadAll(resp.Body) // what came of it
		if got := fmt.Sprint(resp.StatusCode); !strings.Contains(c.status, got) {
			t.Errorf("%s: %s %s, want %s", c.name, got, body, c.status)
		}
		_ = nc.Close() // nothing was left to send
	}
}
