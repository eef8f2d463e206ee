package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
)

// freeze measures what freezing and thawing a box of one thread adds to a call.
func (s *suite) freeze(ctx context.Context) error {
	d, err := linux.New(linux.Options{Owner: "kilnbench", StateDir: filepath.Join(s.dir, "boxes"), PoolSize: -1})
	if err != nil {
		return err
	}
	r := row{name: "freeze + thaw, 1 thread", unit: "ms", goal: "≤ 0.2 ms"}
	err = func() error {
		box, err := d.Create(ctx, sandbox.Spec{
			ID: "freeze", MemoryBytes: 128 << 20, PIDs: 64, CPUWeight: 100, ScratchBytes: 64 << 20, Hostname: "freeze",
			Mounts: hostRoot(),
		})
		if err != nil {
			return err
		}
		defer box.Destroy()
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer null.Close()
		if _, err := box.Start(ctx, sandbox.Program{Path: "/usr/bin/sleep", Args: []string{"sleep", "300"}, Dir: "/", Stdout: null, Stderr: null}); err != nil {
			return err
		}
		for range s.rounds {
			const times = 200
			begin := time.Now()
			for range times {
				if err := box.Freeze(); err != nil {
					return err
				}
				if err := box.Thaw(); err != nil {
					return err
				}
			}
			r.kiln = append(r.kiln, time.Since(begin).Seconds()*1000/times)
		}
		return nil
	}()
	if closed := d.Close(); err == nil {
		err = closed
	}
	if err == nil {
		s.table.add(r)
	}
	return err
}

// hostRoot shows the host's programs and libraries.
func hostRoot() []sandbox.Mount {
	mounts := []sandbox.Mount{{Source: "", Target: "/"}}
	for _, dir := range []string{"/usr", "/bin", "/lib", "/lib64"} {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			mounts = append(mounts, sandbox.Mount{Source: real, Target: dir})
		}
	}
	return mounts
}
