package linux_test

import (
	"bufio"
	"fmt"
	"os"
	"testing"
	"time"

	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/sandboxtest"
)

// benchSpec is a box as a function has it.
func benchSpec(id int, probe string) sandbox.Spec {
	return sandbox.Spec{
		ID: fmt.Sprint("bench-", id), Mounts: []sandbox.Mount{{Target: "/"}, {Source: probe, Target: "/probe"}, {Source: "/usr", Target: "/usr"}},
		Files:       []sandbox.File{{Path: "/etc/passwd", Contents: []byte("x:x:${UID}:${UID}::/tmp:/\n")}, {Path: "/etc/hosts", Contents: []byte("127.0.0.1 localhost\n")}},
		MemoryBytes: 512 << 20, MilliCPU: 300, CPUWeight: 100, PIDs: 1024, ScratchBytes: 512 << 20, Hostname: "box",
	}
}

// One box after the other, from the pool where it can keep up.
func BenchmarkCreateStartDestroy(b *testing.B) {
	for name, pool := range map[string]int{"pooled": 8, "fresh": -1} {
		b.Run(name, func(b *testing.B) {
			d := open(b, linux.Options{Owner: sandboxtest.Owner("bench"), PoolSize: pool})
			probe := sandboxtest.Probe(b)
			var create, listen, start, destroy time.Duration
			n := 0
			for b.Loop() {
				b.StopTimer()
				pause := time.NewTimer(60 * time.Millisecond) // let the pool fill
				<-pause.C
				b.StartTimer()
				n++
				t0 := time.Now()
				x, err := d.Create(b.Context(), benchSpec(n, probe))
				if err != nil {
					b.Fatal(err)
				}
				t1 := time.Now()
				l, err := x.Listen("127.0.0.1:9001")
				if err != nil {
					b.Fatal(err)
				}
				t2 := time.Now()
				p, err := x.Start(b.Context(), sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "exit", "0"}})
				if err != nil {
					b.Fatal(err)
				}
				t3 := time.Now()
				<-p.Exited()
				_ = l.Close() // nobody connected
				t4 := time.Now()
				if err := x.Destroy(); err != nil {
					b.Fatal(err)
				}
				create, listen, start, destroy = create+t1.Sub(t0), listen+t2.Sub(t1), start+t3.Sub(t2), destroy+time.Since(t4)
			}
			for name, d := range map[string]time.Duration{"create": create, "listen": listen, "start": start, "destroy": destroy} {
				b.ReportMetric(float64(d.Microseconds())/float64(n), name+"-µs")
			}
		})
	}
}

func BenchmarkFreezeThaw(b *testing.B) {
	for _, threads := range []string{"1", "40"} {
		b.Run(threads, func(b *testing.B) {
			d := open(b, linux.Options{Owner: sandboxtest.Owner("bench")})
			x, err := d.Create(b.Context(), benchSpec(1, sandboxtest.Probe(b)))
			if err != nil {
				b.Fatal(err)
			}
			r, w, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			if _, err := x.Start(b.Context(), sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "idle", threads}, Stdout: w}); err != nil {
				b.Fatal(err)
			}
			if line, err := bufio.NewReader(r).ReadString('\n'); err != nil {
				b.Fatalf("got %q, %v", line, err)
			}
			_ = w.Close() // nothing was written
			var freeze, thaw time.Duration
			n := 0
			for b.Loop() {
				n++
				t0 := time.Now()
				if err := x.Freeze(); err != nil {
					b.Fatal(err)
				}
				t1 := time.Now()
				if err := x.Thaw(); err != nil {
					b.Fatal(err)
				}
				freeze, thaw = freeze+t1.Sub(t0), thaw+time.Since(t1)
				// The threads must be where they were before: one that is frozen again
				// at once has never left.
				b.StopTimer()
				pause := time.NewTimer(time.Millisecond)
				<-pause.C
				b.StartTimer()
			}
			b.ReportMetric(float64(freeze.Nanoseconds())/1000/float64(n), "freeze-µs")
			b.ReportMetric(float64(thaw.Nanoseconds())/1000/float64(n), "thaw-µs")
		})
	}
}

func BenchmarkUsage(b *testing.B) {
	d := open(b, linux.Options{Owner: sandboxtest.Owner("bench")})
	x, err := d.Create(b.Context(), benchSpec(1, sandboxtest.Probe(b)))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := x.Start(b.Context(), sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "sleep"}}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := x.Usage(); err != nil {
			b.Fatal(err)
		}
	}
}
