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
	"slices"
	"strings"
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
	steps := flag.String("steps", "", "only these of freeze,box,warm,cold,neighbour,memory,stream; the results are then not written")
	flag.Parse()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		fail(fmt.Errorf("the bench needs Linux and root: it measures real sandboxes"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := s.run(ctx, *steps)
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

// run takes every figure and writes the results; or only some figures.
func (s *suite) run(ctx context.Context, only string) error {
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
	chosen := strings.FieldsFunc(only, func(c rune) bool { return c == ',' })
	for _, step := range []struct {
		name string
		take func(context.Context) error
	}{{"freeze", s.freeze}, {"box", s.box}, {"warm", s.warm}, {"cold", s.cold}, {"neighbour", s.neighbour}, {"memory", s.memory}, {"stream", s.stream}} {
		if only != "" && !slices.Contains(chosen, step.name) {
			continue
		}
		if err := step.take(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	if only != "" {
		return nil
	}
	return s.table.write(s.out)
}
