package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// current is the request that this runtime serves.
var current atomic.Pointer[string]

// dial connects to addresses over TCP, all at once, says of each whether somebody took
// the connection, and sends Text there. Reads Dial, Text, Millis (how long to wait).
func dial(e *event, r *report) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, address := range e.Dial {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := net.DialTimeout("tcp", address, time.Duration(e.Millis)*time.Millisecond)
			if err == nil {
				_, _ = c.Write([]byte(e.Text)) // that it was taken is what counts
				_ = c.Close()
			}
			if t, ok := err.(net.Error); ok && t.Timeout() {
				err = fmt.Errorf("timeout")
			}
			mu.Lock()
			defer mu.Unlock()
			r.tried(address, err)
		}()
	}
	wg.Wait()
	gateways(r)
}

// gateways notes the routers that this network knows of.
func gateways(r *report) {
	table, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return // without the table there is no way to ask
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		var b [4]byte
		if len(f) < 3 || f[1] != "00000000" {
			continue
		}
		if n, _ := fmt.Sscanf(f[2], "%02X%02X%02X%02X", &b[3], &b[2], &b[1], &b[0]); n == 4 {
			r.Texts["gateway "+f[0]] = net.IP(b[:]).String()
		}
	}
}

// lookup asks for names: the usual resolver, and servers of its own choice. Reads
// Paths (names), Dial (servers), Millis.
func lookup(e *event, r *report) {
	wait := time.Duration(e.Millis) * time.Millisecond
	for _, name := range e.Paths {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		_, err := net.DefaultResolver.LookupHost(ctx, name)
		cancel()
		r.tried("resolve "+name, err)
		for _, server := range e.Dial {
			own := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "udp", server)
			}}
			ctx, cancel := context.WithTimeout(context.Background(), wait)
			_, err := own.LookupHost(ctx, name)
			cancel()
			r.tried("resolve "+name+" at "+server, err)
		}
	}
}

// send sends datagrams with Text to addresses. Reads Dial, Text.
func send(e *event, r *report) {
	for _, address := range e.Dial {
		c, err := net.Dial("udp", address)
		if err == nil {
			_, err = c.Write([]byte(e.Text))
			_ = c.Close() // the write counts
		}
		r.tried(address, err)
	}
}

// impersonate answers for somebody else's request at the Runtime API. Reads Paths
// (request ids).
func impersonate(e *event, r *report) {
	for _, id := range e.Paths {
		for _, verb := range []string{"response", "error"} {
			r.Numbers[verb+" "+id] = int64(post("invocation/"+id+"/"+verb, []byte(`"forged"`)))
		}
	}
	r.Texts["own"] = *current.Load()
}

// identity tells apart whose secrets this environment has, without giving them away.
func identity(_ *event, r *report) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		sum := sha256.Sum256([]byte(os.Getenv(name)))
		r.Texts[name] = hex.EncodeToString(sum[:8])
		r.Numbers[name] = int64(len(os.Getenv(name)))
	}
	r.Numbers["uid"] = int64(os.Getuid())
}

// callAPI sends GET requests and reports the status of each, or the error. Reads
// Paths (URLs), Millis.
func callAPI(e *event, r *report) {
	patient := &http.Client{Timeout: time.Duration(e.Millis) * time.Millisecond}
	for _, url := range e.Paths {
		a, err := patient.Get(url)
		if err != nil {
			if strings.Contains(err.Error(), "Timeout") || strings.Contains(err.Error(), "deadline") {
				err = fmt.Errorf("timeout")
			}
			r.Results[url] = word(err)
			continue
		}
		body, _ := io.ReadAll(io.LimitReader(a.Body, 4096)) // as much as came
		_ = a.Body.Close()
		r.Results[url] = fmt.Sprint(a.StatusCode)
		r.Texts[url] = string(body)
	}
}

// https fetches a URL over TLS, trusting the authority in Text alone. Reads Paths
// (one URL), Text (PEM), Millis.
func https(e *event, r *report) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(e.Text)) {
		r.Results["authority"] = "no certificate"
		return
	}
	trusting := &http.Client{Timeout: time.Duration(e.Millis) * time.Millisecond, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	a, err := trusting.Get(e.Paths[0])
	r.tried("get", err)
	if err != nil {
		return
	}
	defer a.Body.Close()
	body, err := io.ReadAll(io.LimitReader(a.Body, 4096))
	r.tried("read", err)
	r.Texts["body"] = string(body)
	r.Texts["protocol"] = tls.VersionName(a.TLS.Version)
}

// signed sends GET requests to kiln's API, signed with a key that is not its own as
// far as a signature can be made without its secret. Reads Paths, Text (the key, ""
// for none), Token (a session token, "own" for the environment's), Dir (the region),
// Marker (the API, "" for that of the environment).
func signed(e *event, r *report) {
	endpoint := e.Marker
	if endpoint == "" {
		endpoint = os.Getenv("AWS_ENDPOINT_URL")
	}
	r.Texts["endpoint"] = endpoint
	patient := &http.Client{Timeout: 5 * time.Second}
	for _, p := range e.Paths {
		q, err := http.NewRequest(http.MethodGet, endpoint+p, nil)
		if err != nil {
			r.Results[p] = err.Error()
			continue
		}
		if e.Text != "" {
			now := time.Now().UTC()
			q.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
			q.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s/%s/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=%064d",
				e.Text, now.Format("20060102"), e.Dir, 0))
		}
		switch e.Token {
		case "":
		case "own":
			q.Header.Set("X-Amz-Security-Token", os.Getenv("AWS_SESSION_TOKEN"))
		default:
			q.Header.Set("X-Amz-Security-Token", e.Token)
		}
		a, err := patient.Do(q)
		if err != nil {
			r.Results[p] = word(err)
			continue
		}
		body, _ := io.ReadAll(io.LimitReader(a.Body, 64<<10)) // as much as came
		_ = a.Body.Close()
		r.Results[p], r.Texts[p] = fmt.Sprint(a.StatusCode), string(body)
	}
}
