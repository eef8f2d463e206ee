package network_test

import (
	"io"
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/network"
)

// cpu is the processor time of this process, in which all ends of all connections
// live, so that it counts what the kernel does for them too.
func cpu(b testing.TB) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkAttach measures making and cutting a link; the namespace itself is made
// and thrown away outside of the clock.
func BenchmarkAttach(b *testing.B) {
	outside(b)
	n := open(b)
	var making, cutting int64
	for b.Loop() {
		b.StopTimer()
		fd, err := network.NewNamespace(loopbackUp)
		if err != nil {
			b.Fatal(err)
		}
		at := cpu(b)
		b.StartTimer()
		l, err := n.Attach(fd, true)
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		making += cpu(b) - at
		at = cpu(b)
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		cutting += cpu(b) - at
		unix.Close(fd)
		b.StartTimer()
	}
	b.ReportMetric(float64(making)/float64(b.N)/1e3, "cpu-µs/attach")
	b.ReportMetric(float64(cutting)/float64(b.N)/1e3, "cpu-µs/close")
}

// ways are the host's own way to the world, to compare with, and an environment's.
func ways(b *testing.B, run func(b *testing.B, from space)) {
	outside := outside(b)
	var l net.Listener
	err := outside.do(func() (err error) {
		l, err = net.Listen("tcp", world4+":80")
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // answers each byte of a small message, and swallows large ones
				defer c.Close()
				buf := make([]byte, 256<<10)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					if n == 1 {
						if _, err := c.Write(buf[:1]); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	n := open(b)
	s, _ := attach(b, n)
	b.Run("host", func(b *testing.B) { run(b, host) })
	b.Run("environment", func(b *testing.B) { run(b, s) })
}

// BenchmarkConnect measures a connect, one byte there and one back.
func BenchmarkConnect(b *testing.B) {
	ways(b, func(b *testing.B, from space) {
		at := cpu(b)
		err := from.do(func() error {
			for b.Loop() {
				c, err := net.Dial("tcp4", world4+":80")
				if err != nil {
					return err
				}
				if _, err := c.Write([]byte{1}); err != nil {
					return err
				}
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					return err
				}
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(cpu(b)-at)/float64(b.N)/1e3, "cpu-µs/op")
	})
}

// BenchmarkUpload measures a stream.
func BenchmarkUpload(b *testing.B) {
	ways(b, func(b *testing.B, from space) {
		var c net.Conn
		err := from.do(func() (err error) {
			c, err = net.Dial("tcp4", world4+":80")
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		block := make([]byte, 1_000_000)
		b.SetBytes(int64(len(block)))
		at := cpu(b)
		for b.Loop() {
			if _, err := c.Write(block); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpu(b)-at)/float64(b.N)/1e3, "cpu-µs/MB")
	})
}

// BenchmarkLinkMemory measures what a link costs the server.
func BenchmarkLinkMemory(b *testing.B) {
	outside(b)
	n := open(b)
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse + m.StackInuse)
	}
	before := heap()
	made := 0
	for b.Loop() {
		attach(b, n)
		made++
	}
	b.ReportMetric((heap()-before)/float64(made), "B/link")
}

// What a freeze and a thaw cost a namespace's name server.
func BenchmarkFreezeThaw(b *testing.B) {
	n := open(b, func(o *network.Options) { o.Outbound = false })
	_, l := attach(b, n)
	for b.Loop() {
		l.Freeze()
		l.Thaw()
	}
}
