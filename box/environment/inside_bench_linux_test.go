//go:build linux

package environment_test

import (
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
	port "kiln/door/api"
	"kiln/door/auth"
)

// hall is the real door over rooms that nobody enters.
type hall struct{ *port.Inside }

func (h hall) Serve(l net.Listener, c environment.Caller) io.Closer {
	return h.Inside.Serve(l, auth.NewEnvironment(c.Function, c.Role, c.Token))
}

func openHall(b *testing.B) *environment.Inside {
	i := port.New(port.Options{Catalog: struct{ port.Catalog }{}, Invoker: struct{ port.Invoker }{}}).Inside()
	b.Cleanup(func() {
		if err := i.Close(); err != nil {
			b.Error(err)
		}
	})
	return &environment.Inside{Address: "127.0.0.1:4566", Door: hall{i}}
}

// BenchmarkInsideColdStart takes turns of environments with and without kiln's API in
// them, each from the making of its box to the end of its init, and gives the middle
// of both and their ratio.
func BenchmarkInsideColdStart(b *testing.B) {
	r := isolated(b)
	inside := openHall(b)
	one := func(in *environment.Inside) float64 {
		<-time.After(60 * time.Millisecond) // let the pool fill
		begin := time.Now()
		e := bare(b, r, in)
		<-e.Idle()
		took := time.Since(begin)
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		return float64(took.Microseconds())
	}
	var with, without []float64
	for b.Loop() {
		without, with = append(without, one(nil)), append(with, one(inside))
	}
	middle := func(x []float64) float64 { slices.Sort(x); return x[len(x)/2] }
	b.ReportMetric(middle(without), "without-µs")
	b.ReportMetric(middle(with), "with-µs")
	b.ReportMetric(middle(with)/middle(without), "ratio")
}

// BenchmarkInsideMemory gives what kiln's API costs the server in memory for each
// environment that does not use it.
func BenchmarkInsideMemory(b *testing.B) {
	const n = 1000
	inside := openHall(b)
	id := kiln.FunctionID{Scope: kiln.Scope{Account: "111111111111", Region: "eu-west-1"}, Name: "f"}
	for b.Loop() {
		listeners := make([]net.Listener, n)
		for i := range listeners {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			listeners[i] = l
		}
		token := strings.Repeat("x", 200)
		before := inUse()
		rooms := make([]io.Closer, n)
		for i, l := range listeners {
			rooms[i] = inside.Door.Serve(l, environment.Caller{Function: id, Role: "arn:aws:iam::111111111111:role/r", Token: token})
		}
		<-time.After(100 * time.Millisecond) // until all of them wait
		b.ReportMetric(float64(inUse()-before)/n, "B/environment")
		for _, room := range rooms {
			if err := room.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// inUse is the memory of heap and stacks.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

var boxes int

// bare makes an environment as production does, without a rig around it.
func bare(b *testing.B, r *real, in *environment.Inside) *environment.Environment {
	boxes++
	x, err := r.driver.Create(b.Context(), sandbox.Spec{
		ID: "bench-" + strconv.Itoa(boxes), Mounts: []sandbox.Mount{{Target: "/"}, {Source: r.code, Target: "/var/task"}},
		MemoryBytes: 1769 << 20, CPUWeight: 100, PIDs: 200, OpenFiles: 1024, ScratchBytes: 64 << 20, Hostname: "localhost",
	})
	if err != nil {
		b.Fatal(err)
	}
	o := options(nil, nothing{})
	o.Sandbox, o.Inside = x, in
	return environment.New(o)
}
