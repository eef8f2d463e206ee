package linux

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

// meter reads what a box uses. It opens the control files when it measures: there may be
// thousands of boxes, and descriptors are few.
type meter struct {
	crowd   *crowd // the processes where no control group holds them, or nil
	unified bool   // the memory controller is of version 2
	// Each is "" where the host has no such file.
	processes, stat, oom, ceiling, tasks, time string

	mu   sync.Mutex
	peak int64
	outs int64         // times that the memory ran out, as far as we were told
	past time.Duration // processor time of programs that have ended
	cpu  time.Duration // the most that was ever measured
}

// newMeter finds out where a group is measured.
func newMeter(g *group) *meter {
	file := func(c control, v1, v2 string) string {
		switch {
		case c.dir == "":
			return ""
		case c.unified:
			return filepath.Join(c.dir, v2)
		}
		return filepath.Join(c.dir, v1)
	}
	m := &meter{
		crowd:     g.crowd,
		unified:   g.memory.unified,
		processes: file(control{dir: g.anchor()}, "cgroup.procs", ""),
		stat:      file(g.memory, "memory.stat", "memory.stat"),
		oom:       file(g.memory, "memory.oom_control", "memory.events"),
		ceiling:   file(g.memory, "memory.max_usage_in_bytes", "memory.peak"),
		tasks:     file(g.pids, "pids.current", "pids.current"),
		time:      file(g.account, "cpuacct.usage", "cpu.stat"),
	}
	if m.ceiling != "" && !exists("", m.ceiling) { // memory.peak came with Linux 5.19
		m.ceiling = ""
	}
	return m
}

// spent notes the processor time of a program that has ended.
func (m *meter) spent(used time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past += used
}

// outOfMemory notes that the group's memory ran out.
func (m *meter) outOfMemory() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outs++
}

// told is how often the memory ran out, as far as we were told.
func (m *meter) told() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.outs
}

// highest notes what is in use and gives the most that ever was.
func (m *meter) highest(bytes int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peak = max(m.peak, bytes)
	return m.peak
}

// Usage measures the box; see sandbox.Sandbox.
func (x *box) Usage() (sandbox.Usage, error) {
	if x.over() {
		return sandbox.Usage{}, sandbox.ErrGone
	}
	u, err := x.meter.read(x.spec.MemoryBytes)
	if err == nil && x.scratch != nil {
		u.ScratchBytes, err = x.scratch.used()
	}
	if err != nil {
		if x.over() { // it went away under our hands
			return sandbox.Usage{}, sandbox.ErrGone
		}
		return sandbox.Usage{}, fmt.Errorf("measure sandbox %s: %w", x.id, err)
	}
	return u, nil
}

// read measures now. The peak is the highest of what was ever seen here.
//
// The kernel's own peak counts page cache, so that writing 500 MB to the scratch
// directory would look like memory. Ours is what is in use now, plus what the
// process with the largest past gave back since its highest point, and never
// more than the kernel's.
func (m *meter) read(limit int64) (u sandbox.Usage, err error) {
	buf := make([]byte, 8192)
	p, err := m.processSum(buf)
	if err != nil {
		return u, err
	}
	if m.stat == "" {
		u.MemoryBytes = p.resident + p.pageTables + 16384*p.threads
	} else {
		stat, err := contents(m.stat, buf)
		if err != nil {
			return u, err
		}
		u.MemoryBytes = m.memory(stat, p)
		events, err := contents(m.oom, buf)
		if err != nil {
			return u, err
		}
		// The kernel counts its own kills, and on v1 we may have been faster.
		u.OOMKills = max(m.told(), field(events, "oom_kill"))
	}
	highest := u.MemoryBytes + p.returned
	if u.OOMKills > 0 {
		highest = max(highest, limit) // that is how it came to the kill
	}
	u.PeakMemoryBytes = m.highest(highest)
	if m.ceiling != "" {
		ceiling, err := number(m.ceiling, buf)
		if err != nil {
			return u, err
		}
		u.PeakMemoryBytes = min(u.PeakMemoryBytes, ceiling)
	}
	if limit > 0 {
		u.PeakMemoryBytes = min(u.PeakMemoryBytes, limit)
	}
	u.PIDs = p.threads
	if m.tasks != "" {
		if u.PIDs, err = number(m.tasks, buf); err != nil {
			return u, err
		}
	}
	if m.time == "" {
		u.CPU = m.processorTime(p.cpu)
	} else {
		text, err := contents(m.time, buf)
		if err != nil {
			return u, err
		}
		if µs := field(text, "usage_usec"); µs > 0 { // cpu.stat
			u.CPU = time.Duration(µs) * time.Microsecond
		} else { // cpuacct.usage, or a box that has used nothing
			ns, _ := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
			u.CPU = time.Duration(ns)
		}
	}
	return u, nil
}

// memory is the anonymous, shared and kernel memory that the group is charged for.
func (m *meter) memory(stat []byte, p processSum) int64 {
	if !m.unified {
		// Version 1 does not tell reclaimable kernel memory, which grows with the files
		// in the scratch directory, from the rest: count what processes cause.
		return field(stat, "rss") + field(stat, "shmem") + p.pageTables + 16384*p.threads
	}
	kernel := field(stat, "slab_unreclaimable") + field(stat, "kernel_stack") + field(stat, "pagetables") +
		field(stat, "percpu") + field(stat, "sock")
	return field(stat, "anon") + field(stat, "shmem") + kernel
}

// contents reads a control file, as far as buf reaches.
func contents(path string, buf []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	n := 0
	for n < len(buf) { // a list of processes comes in pieces of a page
		more, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		} else if more == 0 {
			break
		}
		n += more
	}
	return buf[:n], nil
}

// number reads a control file that holds one.
func number(path string, buf []byte) (int64, error) {
	text, err := contents(path, buf)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

// field finds "name number" at the beginning of a line.
func field(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte(name))
		if !ok || len(rest) == 0 || (rest[0] != ' ' && rest[0] != ':') {
			continue
		}
		rest = bytes.TrimLeft(rest, ": \t")
		end := 0
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		n, err := strconv.ParseInt(string(rest[:end]), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return 0
}

// processSum is what the status files of all processes add up to.
type processSum struct {
	threads    int64
	pageTables int64
	returned   int64 // the most that one process gave back since its peak
	resident   int64 // memory of their own; what several share counts for each
	cpu        time.Duration
}

// processSum adds up the processes of the box that live now.
func (m *meter) processSum(buf []byte) (s processSum, err error) {
	if m.crowd != nil {
		pids, err := m.crowd.members()
		if err != nil {
			return s, err
		}
		s = sumProcesses(pids, buf, m.crowd.read)
		s.cpu = m.crowd.processorTime(pids, buf)
		return s, nil
	}
	list, err := contents(m.processes, buf)
	if err != nil {
		return s, err
	}
	pids, err := parsePIDs(list)
	if err != nil {
		return s, err
	}
	return sumProcesses(pids, buf, func(pid int, name string, buf []byte) ([]byte, error) {
		return readOnce(buf, func() (int, error) {
			return unix.Open("/proc/"+strconv.Itoa(pid)+"/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		})
	}), nil
}

// processorTime gives the time of those that live and of programs that have ended. What
// others used that have ended is not known, so that it never goes back.
func (m *meter) processorTime(alive time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cpu = max(m.cpu, m.past+alive)
	return m.cpu
}

// sumProcesses reads the status of each process; one that has ended meanwhile is
// passed over.
func sumProcesses(pids []int, buf []byte, read func(pid int, name string, buf []byte) ([]byte, error)) (s processSum) {
	const kilo = 1024
	for _, pid := range pids {
		status, err := read(pid, "status", buf)
		if err != nil {
			continue
		}
		s.threads += field(status, "Threads")
		s.pageTables += field(status, "VmPTE") * kilo
		s.resident += (field(status, "RssAnon") + field(status, "RssShmem")) * kilo
		s.returned = max(s.returned, (field(status, "VmHWM")-field(status, "VmRSS"))*kilo)
	}
	return s
}
