package environment_test

import (
	"fmt"
	"testing"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
	"kiln/telemetry"
)

// nothing is a sink that keeps nothing.
type nothing struct{}

func (nothing) Emit(telemetry.Event) {}

// BenchmarkInvoke measures one environment whose runtime answers at once over a real
// connection, as kiln's bootstraps do (answer and question in one write) and as
// AWS's clients do (one after the other).
func BenchmarkInvoke(b *testing.B) {
	const question = "GET " + api + "invocation/next HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, mode := range []string{"pipelined", "plain", "pipelined+line", "pipelined+rest"} {
		b.Run(mode, func(b *testing.B) {
			rt := func(p *proc) sandbox.ExitStatus {
				c := p.conn()
				buf := make([]byte, 8192)
				out := []byte(question)
				n := 0
				for {
					if _, err := c.Write(out); err != nil {
						return sandbox.ExitStatus{}
					}
					id, got := "", 0
					for id == "" { // an answer and an event, in one read or in two
						k, err := c.Read(buf[got:])
						if err != nil {
							return sandbox.ExitStatus{}
						}
						got += k
						id = requestID(buf[:got])
					}
					if n++; mode == "pipelined+line" {
						p.print("a line that the function prints\n")
					}
					out = fmt.Appendf(out[:0], "POST %sinvocation/%s/response HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", api, id)
					if mode != "plain" {
						out = append(out, question...)
						continue
					}
					if _, err := c.Write(out); err != nil {
						return sandbox.ExitStatus{}
					}
					if _, err := c.Read(buf); err != nil {
						return sandbox.ExitStatus{}
					}
					out = append(out[:0], question...)
				}
			}
			e := environment.New(options(newBox(rt), nothing{}))
			defer e.Close()
			inv := &kiln.Invocation{ID: "00000000-0000-4000-8000-000000000001", Attempt: "00000000-0000-4000-8000-000000000002", Function: version().Function, Payload: []byte("{}"), Trace: "Root=1-5759e988-bd862e3fe1be46a994272793"}
			b.ReportAllocs()
			for b.Loop() {
				<-e.Idle()
				if mode == "pipelined+rest" {
					e.Rest()
				}
				if _, err := e.Invoke(b.Context(), inv); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// requestID finds the request id in what the Runtime API sent; "" when it is not
// all there.
func requestID(b []byte) string {
	const name = "Lambda-Runtime-Aws-Request-Id: "
	for i := 0; i+len(name)+36 < len(b); i++ {
		if string(b[i:i+len(name)]) == name && string(b[len(b)-6:]) == "\r\n\r\n{}" {
			return string(b[i+len(name) : i+len(name)+36])
		}
	}
	return ""
}
