package linux

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

// meter reads what a box uses. It keeps the file open that is read after every
// invocation.
type meter struct {
	group *group
	stat  *os.File // of the memory controller; nil without one

	mu   sync.Mutex
	peak int64
	outs int64 // times that the memory ran out, as far as we were told
}

// openMeter begins to measure a group.
func openMeter(g *group) (*meter, error) {
	m := &meter{group: g}
	if g.memory.dir == "" {
		return m, nil
	}
	var err error
	m.stat, err = os.Open(filepath.Join(g.memory.dir, "memory.stat"))
	return m, err
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

// close lets the file go; a read that is under way fails.
func (m *meter) close() {
	if m.stat != nil {
		_ = m.stat.Close() // only read
	}
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
	pids, err := readPIDs(m.group.anchor())
	if err != nil {
		return u, err
	}
	processes := sumProcesses(pids)
	if m.stat != nil {
		if u.MemoryBytes, err = m.memory(processes); err != nil {
			return u, err
		}
		if u.OOMKills, err = m.oomKills(); err != nil {
			return u, err
		}
	}
	highest := u.MemoryBytes + processes.returned
	if u.OOMKills > 0 {
		highest = max(highest, limit) // that is how it came to the kill
	}
	u.PeakMemoryBytes = m.highest(highest)
	if ceiling := m.ceiling(); ceiling > 0 {
		u.PeakMemoryBytes = min(u.PeakMemoryBytes, ceiling)
	}
	if limit > 0 {
		u.PeakMemoryBytes = min(u.PeakMemoryBytes, limit)
	}
	u.PIDs = processes.threads
	if d := m.group.pids.dir; d != "" {
		if u.PIDs, err = readNumber(d, "pids.current"); err != nil {
			return u, err
		}
	}
	u.CPU, err = m.cpu()
	return u, err
}

// memory is the anonymous, shared and kernel memory that the group is charged for.
func (m *meter) memory(p processSum) (int64, error) {
	buf := make([]byte, 8192)
	n, err := m.stat.ReadAt(buf, 0)
	if n == 0 {
		return 0, err
	}
	stat := buf[:n]
	if !m.group.memory.unified {
		// Version 1 does not tell reclaimable kernel memory, which grows with the files
		// in the scratch directory, from the rest: count what processes cause.
		return field(stat, "rss") + field(stat, "shmem") + p.pageTables + 16384*p.threads, nil
	}
	kernel := field(stat, "slab_unreclaimable") + field(stat, "kernel_stack") + field(stat, "pagetables") +
		field(stat, "percpu") + field(stat, "sock")
	return field(stat, "anon") + field(stat, "shmem") + kernel, nil
}

// ceiling is the kernel's own peak, or 0 where it keeps none.
func (m *meter) ceiling() int64 {
	file := "memory.max_usage_in_bytes"
	if m.group.memory.unified {
		file = "memory.peak"
	}
	if m.stat == nil {
		return 0
	}
	n, err := readNumber(m.group.memory.dir, file)
	if err != nil { // memory.peak is not older than Linux 5.19
		return 0
	}
	return n
}

// oomKills is how many processes were ended for want of memory: the kernel counts
// its own, and on v1 we may have been faster.
func (m *meter) oomKills() (int64, error) {
	file := "memory.oom_control"
	if m.group.memory.unified {
		file = "memory.events"
	}
	raw, err := os.ReadFile(filepath.Join(m.group.memory.dir, file))
	return max(m.told(), field(raw, "oom_kill")), err
}

// cpu is the processor time that the group has had.
func (m *meter) cpu() (time.Duration, error) {
	switch d := m.group.account; {
	case d.dir == "":
		return 0, nil
	case d.unified:
		raw, err := os.ReadFile(filepath.Join(d.dir, "cpu.stat"))
		return time.Duration(field(raw, "usage_usec")) * time.Microsecond, err
	default:
		n, err := readNumber(d.dir, "cpuacct.usage")
		return time.Duration(n), err
	}
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

// readNumber reads a control file that holds one number.
func readNumber(dir, file string) (int64, error) {
	raw, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s/%s: %w", dir, file, err)
	}
	return n, nil
}

// processSum is what the status files of all processes add up to.
type processSum struct {
	threads    int64
	pageTables int64
	returned   int64 // the most that one process gave back since its peak
}

// sumProcesses reads the status of each process; one that has ended meanwhile is
// passed over.
func sumProcesses(pids []int) (s processSum) {
	const kilo = 1024
	buf := make([]byte, 4096)
	for _, pid := range pids {
		fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		n, err := unix.Read(fd, buf)
		unix.Close(fd)
		if err != nil {
			continue
		}
		status := buf[:n]
		s.threads += field(status, "Threads")
		s.pageTables += field(status, "VmPTE") * kilo
		s.returned = max(s.returned, (field(status, "VmHWM")-field(status, "VmRSS"))*kilo)
	}
	return s
}
