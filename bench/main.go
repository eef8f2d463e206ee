// Command bench measures kiln against bare floors that it brings itself: a two-hop
// proxy for warm calls, a bare exec for cold starts. Floor and kiln take turns in
// one run, round by round, and only their ratios are claims. It never fails because
// something is slow.
//
//	make bench            all figures, and bench/RESULTS.md
//	go run ./bench -h     flags
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "floor-backend":
			fail(backend())
			return
		case "floor-proxy":
			fail(proxy(os.Args[2]))
			return
		}
	}
	var s suite
	flag.StringVar(&s.binary, "kiln", "bin/kiln", "the binary to measure")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds of A B A B")
	flag.DurationVar(&s.window, "window", 2*time.Second, "length of one warm round")
	flag.IntVar(&s.clients, "clients", 16, "clients of a warm round")
	flag.StringVar(&s.out, "out", "bench/RESULTS.md", "file of the results")
	flag.Parse()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		fail(fmt.Errorf("the bench needs Linux and root: it measures real sandboxes"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := s.run(ctx)
	stop()
	fail(err)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// suite is one run of the bench.
type suite struct {
	binary, out string
	rounds      int
	window      time.Duration
	clients     int
	dir         string
	table       table
}

// run takes every figure and writes the results.
func (s *suite) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "kiln-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	s.dir = dir
	if s.binary, err = filepath.Abs(s.binary); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.freeze, s.warm, s.cold, s.memory} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return s.table.write(s.out)
}
