package main

import (
	"context"
	"crypto/sha256"
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

// dial connects to addresses over TCP, all at once, and says of each whether
// somebody took the connection. Reads Dial, Millis (how long to wait).
func dial(e *event, r *report) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, address := range e.Dial {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := net.DialTimeout("tcp", address, time.Duration(e.Millis)*time.Millisecond)
			if err == nil {
				_ = c.Close() // nothing was written
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
