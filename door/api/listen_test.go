package api_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/door/api"
)

// listen serves a handler until the end of the test, or until its Shutdown.
func listen(t *testing.T, h http.Handler, c *tls.Config) (address string, srv *http.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv = api.HTTPServer(h, c, nil)
	done := make(chan error, 1)
	go func() {
		if c != nil {
			done <- srv.ServeTLS(l, "", "")
		} else {
			done <- srv.Serve(l)
		}
	}()
	t.Cleanup(func() {
		_ = srv.Close() // it may be closed already
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String(), srv
}

func TestShutdownLetsInvocationsEndAndStreamsGo(t *testing.T) {
	d := diaryOf("f:one")
	p := newPort(t, func(o *api.Options) { o.Logs = d })
	p.create("f", nil)
	running, finish := make(chan struct{}), make(chan struct{})
	p.invoker.run = func(context.Context, *kiln.Invocation) (*kiln.Outcome, error) {
		close(running)
		<-finish
		return &kiln.Outcome{Payload: []byte(`"done"`), Version: "$LATEST"}, nil
	}
	address, srv := listen(t, p, nil)
	follow, err := http.Get("http://" + address + "/_kiln/v1/logs?follow=1")
	if err != nil {
		t.Fatal(err)
	}
	defer follow.Body.Close()
	answer := make(chan string, 1)
	go func() {
		r, _ := http.NewRequest("POST", "http://"+address+invocations, strings.NewReader("{}"))
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+account+"/20260101/"+region+"/lambda/aws4_request, SignedHeaders=host, Signature=0")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-running
	ended := make(chan error, 1)
	go func() { ended <- srv.Shutdown(t.Context()) }()
	if b, err := io.ReadAll(follow.Body); err != nil || strings.Count(string(b), "\n") != 1 {
		t.Errorf("the followed log: %q %v", b, err)
	}
	close(finish)
	if got := <-answer; got != `"done"` {
		t.Errorf("the invocation: %s", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if _, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		t.Error("somebody still listens")
	}
}

func TestTLSServesHTTP2AndPlainRequestsGetNoAnswerOfTheAPI(t *testing.T) {
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS() // for its certificate
	defer pair.Close()
	p := newPort(t)
	address, _ := listen(t, p, &tls.Config{Certificates: pair.TLS.Certificates})
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: pair.Client().Transport.(*http.Transport).TLSClientConfig}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Errorf("got %s by %s", resp.Status, resp.Proto)
	}
	plain, err := http.Get("http://" + address + "/readyz")
	if err == nil {
		defer plain.Body.Close()
		if plain.StatusCode == 200 {
			t.Error("a plain request was answered")
		}
	}
	p.create("f", nil)
	r := httptest.NewRequest("GET", "https://localhost:4566/2015-03-31/functions/f", nil)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+account+"/20260101/"+region+"/lambda/aws4_request, SignedHeaders=host, Signature=0")
	code := p.send(r).members(t)["Code"].(map[string]any)
	if url := code["Location"].(string); !strings.HasPrefix(url, "https://localhost:4566/_kiln/v1/packages/") {
		t.Errorf("over TLS the download URL is %s", url)
	}
}

func TestAHeadOfMoreThanAMegabyteIsRefused(t *testing.T) {
	p := newPort(t)
	address, _ := listen(t, p, nil)
	r, err := http.NewRequest("GET", "http://"+address+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Large", strings.Repeat("x", 1100000))
	resp, err := http.DefaultClient.Do(r)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != 431 {
			t.Errorf("got %s", resp.Status)
		}
	}
}
