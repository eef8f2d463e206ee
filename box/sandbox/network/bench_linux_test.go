package network_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/network"
)

// cpu is the processor time of this process.
func cpu(b testing.TB) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkAttach measures a link's making and removal beside the namespace's.
func BenchmarkAttach(b *testing.B) {
	outside(b)
	n := open(b)
	spaces := make([]space, 0, 64)
	var making, removing int64
	for b.Loop() {
		b.StopTimer()
		fd, err := network.NewNamespace(func() error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		at := cpu(b)
		l, err := n.Attach(fd, true)
		if err != nil {
			b.Fatal(err)
		}
		making += cpu(b) - at
		b.StopTimer()
		at = cpu(b)
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		removing += cpu(b) - at
		unix.Close(fd)
		b.StartTimer()
	}
	_ = spaces
	b.ReportMetric(float64(making)/float64(b.N)/1e3, "cpu-µs/attach")
	b.ReportMetric(float64(removing)/float64(b.N)/1e3, "cpu-µs/close")
}
