package rapi_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"kiln/box/rapi"
)

// instant is a guest that always has the same event.
type instant struct{ event *rapi.Event }

func (i instant) Next(context.Context) (*rapi.Event, error)               { return i.event, nil }
func (instant) Respond(string, string, []byte) *rapi.Refusal              { return nil }
func (instant) Oversize(string, string) *rapi.Refusal                     { return nil }
func (instant) Stream(string, string, string) (rapi.Sink, *rapi.Refusal)  { return nil, nil }
func (instant) Fail(string, string, string, []byte) *rapi.Refusal         { return nil }
func (instant) Subscribe(rapi.TelemetryAPI, string, []byte) *rapi.Refusal { return nil }
func (instant) FailInit(errorType string, _ []byte) *rapi.Refusal         { return nil }

// pipes is a listener whose connections are in memory.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// BenchmarkNextAndResponse is the server's part of an invocation: one answer and one
// event, asked for in one write.
func BenchmarkNextAndResponse(b *testing.B) {
	for _, size := range []int{2, 64 << 10, 1 << 20} {
		event := &rapi.Event{
			RequestID: "00000000-0000-4000-8000-000000000001", InvocationID: "00000000-0000-4000-8000-000000000002",
			ARN: "arn:aws:lambda:eu-west-1:123456789012:function:hello", Trace: "Root=1-5759e988-bd862e3fe1be46a994272793", DeadlineMS: 1700000000000,
			Payload: make([]byte, size),
		}
		for _, kind := range []string{"tcp", "memory"} {
			if kind == "memory" && size > 2 {
				continue // such a connection has no buffer: a client must read while it writes
			}
			b.Run(fmt.Sprintf("%s/%dB", kind, size), func(b *testing.B) {
				var l net.Listener
				var c net.Conn
				if kind == "tcp" {
					var err error
					if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
						b.Fatal(err)
					}
					if c, err = net.Dial("tcp", l.Addr().String()); err != nil {
						b.Fatal(err)
					}
				} else {
					p := &pipes{conns: make(chan net.Conn, 1), done: make(chan struct{})}
					var far net.Conn
					c, far = net.Pipe()
					p.conns <- far
					l = p
				}
				s := rapi.Serve(l, instant{event}, rapi.Options{})
				defer s.Close()
				defer c.Close()
				if _, err := io.WriteString(c, next); err != nil {
					b.Fatal(err)
				}
				both := []byte(post("invocation/"+event.RequestID+"/response", "", string(make([]byte, size))) + next)
				buf := make([]byte, 2<<20)
				first := readHead(b, c, buf, 0)
				answer := len("HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n" + ok)
				b.SetBytes(int64(2 * size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.Write(both); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(c, buf[:answer+first]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// readHead reads the first event and gives its length, which all have.
func readHead(b *testing.B, c net.Conn, buf []byte, n int) int {
	for {
		k, err := c.Read(buf[n:])
		if err != nil {
			b.Fatal(err)
		}
		n += k
		for i := 0; i+4 <= n; i++ {
			if string(buf[i:i+4]) != "\r\n\r\n" {
				continue
			}
			var length int
			for j := i; j > 0; j-- {
				if _, err := fmt.Sscanf(string(buf[j:i]), "Content-Length: %d", &length); err == nil {
					break
				}
			}
			if _, err := io.ReadFull(c, buf[n:i+4+length]); err != nil {
				b.Fatal(err)
			}
			return i + 4 + length
		}
	}
}
