package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/network"
)

// boxOwner names the kernel objects of the boxes that are measured.
const boxOwner = "kilnbench"

// box measures what a sandbox that was made ahead, with everything a function's has,
// adds to the execution of a program, and what making it ahead costs.
func (s *suite) box(ctx context.Context) (err error) {
	n, err := network.Open(network.Options{Owner: boxOwner, Outbound: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := s.added(ctx, n); err != nil {
		return err
	}
	return s.filling(ctx, n)
}

// boxSpec is the box of a function with 1,769 MB.
func boxSpec(id int) sandbox.Spec {
	return sandbox.Spec{
		ID: fmt.Sprint("bench-", id), Mounts: hostRoot(),
		Files:       []sandbox.File{{Path: "/etc/passwd", Contents: []byte("x:x:${UID}:${UID}::/tmp:/\n")}, {Path: "/etc/group", Contents: []byte("x:x:${UID}:\n")}},
		MemoryBytes: 1769 << 20, CPUWeight: 100, PIDs: 1024, OpenFiles: 1024, ScratchBytes: 512 << 20, Hostname: "localhost", Outbound: true,
	}
}

// added takes turns of ten programs in boxes from the pool and ten that are executed
// bare.
func (s *suite) added(ctx context.Context, n *network.Network) (err error) {
	d, err := linux.New(linux.Options{Owner: boxOwner, StateDir: filepath.Join(s.dir, "added"), PoolSize: 4, Network: n})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	program, err := exec.LookPath("true")
	if err != nil {
		return err
	}
	boxed := func(id int) (took time.Duration, err error) {
		began := time.Now()
		x, err := d.Create(ctx, boxSpec(id))
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, x.Destroy()) }()
		open, err := sandbox.ListenAll(x, "127.0.0.1:9001", "127.0.0.1:4566")
		if err != nil {
			return 0, err
		}
		for _, l := range open {
			defer l.Close()
		}
		p, err := x.Start(ctx, sandbox.Program{Path: "/usr/bin/true", Args: []string{"true"}})
		if err != nil {
			return 0, err
		}
		<-p.Exited()
		return time.Since(began), nil
	}
	bare := func() (time.Duration, error) {
		began := time.Now()
		err := exec.CommandContext(ctx, program).Run()
		return time.Since(began), err
	}
	const pause = 60 * time.Millisecond // in which the pool is filled
	both := row{name: "one program, 1769 MB, network and /tmp, in a box made ahead", unit: "ms"}
	more := row{name: "of which the box adds", unit: "ms", goal: "≤ 1.5 ms"}
	id := 0
	for round := range s.rounds + 1 {
		var kiln, floor []float64
		for range 10 {
			id++
			time.Sleep(pause)
			a, err := boxed(id)
			if err != nil {
				return err
			}
			time.Sleep(pause)
			b, err := bare()
			if err != nil {
				return err
			}
			kiln, floor = append(kiln, a.Seconds()*1000), append(floor, b.Seconds()*1000)
		}
		if round > 0 { // the first one makes templates and warms the page cache
			a, b := middle(kiln), middle(floor)
			both.kiln, both.floor, more.kiln = append(both.kiln, a), append(both.floor, b), append(more.kiln, a-b)
		}
	}
	s.table.add(both)
	s.table.add(more)
	return nil
}

// filling measures the processor time of this process and its children, and so of the
// kernel on their behalf, while a pool is filled: a blank with a way out and a scratch
// directory each.
func (s *suite) filling(ctx context.Context, n *network.Network) error {
	const size = 20
	r := row{name: "processor time of a box made ahead, with its /tmp", unit: "ms", goal: "≤ 5 ms"}
	for round := range s.rounds {
		d, err := linux.New(linux.Options{Owner: boxOwner, StateDir: filepath.Join(s.dir, fmt.Sprint("filling", round)), PoolSize: size, Network: n})
		if err != nil {
			return err
		}
		err = func() error {
			// The pool learns of the size of /tmp from the first box, whose own parts count too.
			began := spent()
			x, err := d.Create(ctx, boxSpec(0))
			if err != nil {
				return err
			}
			if err := x.Destroy(); err != nil {
				return err
			}
			last, since := spent(), time.Now()
			for time.Since(since) < 300*time.Millisecond { // until nothing is made any more
				time.Sleep(50 * time.Millisecond)
				if now := spent(); now-last > 2*time.Millisecond {
					last, since = now, time.Now()
				}
			}
			r.kiln = append(r.kiln, (last-began).Seconds()*1000/(size+1))
			return nil
		}()
		if err := errors.Join(err, d.Close()); err != nil {
			return err
		}
	}
	s.table.add(r)
	return nil
}

// spent is the processor time of this process and of its children that have ended.
func spent() (all time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			all += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return all
}
