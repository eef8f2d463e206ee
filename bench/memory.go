package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memory reports the proportional set size of an idle environment: its runtime and
// its init, measured after a first call.
func (s *suite) memory(ctx context.Context) error {
	id, _, err := s.python(ctx)
	if err != nil {
		return err
	}
	srv, err := s.serve(ctx, "memory")
	if err != nil {
		return err
	}
	defer srv.stop()
	text, err := os.ReadFile(filepath.Join(s.dir, "bootstrap"))
	if err != nil {
		return err
	}
	goCode, err := zipped("bootstrap", string(text), 0o755)
	if err != nil {
		return err
	}
	pyCode, err := zipped("app.py", echo, 0o644)
	if err != nil {
		return err
	}
	empty := pss(srv.cmd.Process.Pid)
	for _, f := range []struct {
		name, runtime, handler string
		code                   []byte
	}{{"Go", "provided.al2023", "bootstrap", goCode}, {"Python", id, "app.handler", pyCode}} {
		before := pss(srv.cmd.Process.Pid)
		if err := srv.deploy(ctx, "idle"+f.name, f.runtime, f.handler, 1769, f.code); err != nil {
			return err
		}
		if _, err := srv.call(ctx, "POST", "/2015-03-31/functions/idle"+f.name+"/invocations", []byte(`{}`)); err != nil {
			return err
		}
		s.table.add(row{name: "memory of one idle environment (PSS), " + f.name, unit: "MB", kiln: []float64{float64(pss(srv.cmd.Process.Pid)-before) / (1 << 20)}})
	}
	s.table.add(row{name: "memory of the server's children before any call (PSS)", unit: "MB", kiln: []float64{float64(empty) / (1 << 20)}})
	own, err := pssOf(srv.cmd.Process.Pid)
	if err != nil {
		return err
	}
	s.table.add(row{name: "memory of the server (PSS)", unit: "MB", kiln: []float64{float64(own) / (1 << 20)}})
	return nil
}

// pss sums the proportional set sizes of all descendants of a process.
func pss(root int) int64 {
	parents := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it ended meanwhile
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		parent, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			parents[pid] = parent
		}
	}
	var sum int64
	for pid := range parents {
		for p := parents[pid]; p > 1; p = parents[p] {
			if p == root {
				if n, err := pssOf(pid); err == nil {
					sum += n
				}
				break
			}
		}
	}
	return sum
}

func pssOf(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no Pss of process %d", pid)
}
