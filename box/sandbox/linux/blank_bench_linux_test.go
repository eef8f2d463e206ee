package linux

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/network"
	"kiln/box/sandbox/sandboxtest"
)

// What filling the pool costs for each blank. With "outbound" it changes this host's
// network while it runs; `unshare -n` keeps it from that.
func BenchmarkBlank(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root: makes namespaces and control groups")
	}
	for _, kind := range []string{"no network", "names only", "outbound"} {
		b.Run(kind, func(b *testing.B) {
			o := Options{Owner: sandboxtest.Owner("blank"), StateDir: filepath.Join(b.TempDir(), "state"), PoolSize: -1}
			if kind != "no network" {
				n, err := network.Open(network.Options{Owner: o.Owner, RunDir: b.TempDir(), Outbound: kind == "outbound"})
				if err != nil {
					b.Fatal(err)
				}
				defer func() {
					if err := n.Close(); err != nil {
						b.Error(err)
					}
				}()
				o.Network = n
			}
			d, err := New(o)
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := d.Close(); err != nil {
					b.Error(err)
				}
			}()
			var made, gone, wall time.Duration
			n := 0
			for b.Loop() {
				n++
				t0, began := processorTime(b), time.Now()
				x, err := d.makeBlank(kind == "outbound")
				if err != nil {
					b.Fatal(err)
				}
				t1 := processorTime(b)
				wall += time.Since(began)
				if err := d.destroyBlank(x); err != nil {
					b.Fatal(err)
				}
				made, gone = made+t1-t0, gone+processorTime(b)-t1
			}
			b.ReportMetric(float64(wall.Microseconds())/float64(n), "wall-µs-made")
			b.ReportMetric(float64(made.Microseconds())/float64(n), "CPU-µs-made")
			b.ReportMetric(float64(gone.Microseconds())/float64(n), "CPU-µs-gone")
		})
	}
}

// processorTime is what this process and its dead children have used.
func processorTime(b *testing.B) (all time.Duration) {
	b.Helper()
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		all += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return all
}
