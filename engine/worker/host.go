package worker

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Host tells what memory the machine has. Both numbers are in bytes.
type Host interface {
	Total() (int64, error)
	Available() (int64, error)
}

// Kernel reads the memory of the host that the process runs on, or of its cgroup
// when that has less.
type Kernel struct {
	// Root is the directory in which proc and sys lie; "" is /.
	Root string
}

var _ Host = Kernel{}

// Total gives the memory of the machine or the limit of the cgroup, whichever is
// smaller.
func (k Kernel) Total() (int64, error) {
	total, err := k.meminfo("MemTotal:")
	if err != nil {
		return 0, err
	}
	if limit, _, ok := k.cgroup(); ok {
		total = min(total, limit)
	}
	return total, nil
}

// Available gives what can be used without swapping: free memory and caches.
func (k Kernel) Available() (int64, error) {
	available, err := k.meminfo("MemAvailable:")
	if err != nil {
		return 0, err
	}
	if limit, used, ok := k.cgroup(); ok {
		available = min(available, max(0, limit-used))
	}
	return available, nil
}

// meminfo gives one field of the machine's memory, in bytes.
func (k Kernel) meminfo(field string) (int64, error) {
	text, err := os.ReadFile(k.path("proc/meminfo"))
	if err != nil {
		return 0, fmt.Errorf("reading the host's memory: %w", err)
	}
	if kb, ok := number(text, field); ok {
		return kb << 10, nil
	}
	return 0, fmt.Errorf("reading the host's memory: no %s", field)
}

// cgroup gives limit and use of the memory group that the process is in, version 2
// or 1, if it has a limit.
func (k Kernel) cgroup() (limit, used int64, ok bool) {
	text, err := os.ReadFile(k.path("proc/self/cgroup"))
	if err != nil {
		return 0, 0, false
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		parts := strings.SplitN(s.Text(), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[1] == "":
			limit, used, ok = k.group(parts[2], "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
		case strings.Contains(","+parts[1]+",", ",memory,"):
			limit, used, ok = k.group(parts[2], "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
		}
		if ok {
			return limit, used, true
		}
	}
	return 0, 0, false
}

// group reads one memory group: a file cache that can be dropped is not in use. In
// a container the group is mounted at the top, whatever its path is called.
func (k Kernel) group(path, mount, max, current, cache string) (limit, used int64, ok bool) {
	for _, dir := range []string{filepath.Join(mount, path), mount} {
		text, err := os.ReadFile(k.path(filepath.Join(dir, max)))
		if err != nil {
			continue
		}
		limit, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil || limit <= 0 || limit > 1<<60 { // "max", or version 1's way to say it
			return 0, 0, false
		}
		if text, err = os.ReadFile(k.path(filepath.Join(dir, current))); err != nil {
			return 0, 0, false
		}
		used, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if text, err = os.ReadFile(k.path(filepath.Join(dir, "memory.stat"))); err == nil {
			if inactive, found := number(text, cache); found {
				used -= inactive
			}
		}
		return limit, used, true
	}
	return 0, 0, false
}

// path gives a file of the host below Root.
func (k Kernel) path(p string) string {
	if k.Root == "" {
		return "/" + p
	}
	return filepath.Join(k.Root, p)
}

// number finds the line that starts with a field and gives the number behind it.
func number(text []byte, field string) (int64, bool) {
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) >= 2 && f[0] == field {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// size works out the budget of memory from the options and the host.
func (w *Worker) size() int64 {
	if w.o.MemoryBudget < 0 {
		return 0
	}
	total, err := w.o.Host.Total()
	if err != nil {
		if w.o.MemoryBudget == 0 {
			w.log.Warn("the memory of environments is not counted: set a budget", "error", err)
			return 0
		}
	} else if w.o.HostReserve == 0 {
		w.o.HostReserve = min(max(total/16, 128<<20), 1<<30)
	}
	bytes := w.o.MemoryBudget
	if bytes == 0 {
		bytes = max(total-w.o.HostReserve, total/2)
	}
	return int64(float64(bytes) * w.o.OverCommit)
}
