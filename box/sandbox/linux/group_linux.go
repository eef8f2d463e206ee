package linux

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// control is one controller of a group: its directory ("" where the host has none)
// and which version's files lie there.
type control struct {
	dir     string
	unified bool
}

// group is the control groups of one box, one directory in each tree. The
// programs of the box live in it and its init does not, so that freezing and
// killing the group leaves the init alone.
//
// An environment lives long and there may be thousands: only what freezes stays open,
// since it is on the path of every invocation. The rest is opened when it is used.
type group struct {
	dirs    []string // one a tree
	memory  control
	cpu     control
	account control // where CPU time is read
	pids    control
	core    string // the v2 directory that freezes and kills, or ""
	legacy  string // the v1 freezer's directory where there is no core
	crowd   *crowd // the processes where no group holds them, once they are there; or nil
	freezer freezer
	enter   []string // v1: the files to which a process writes itself
	watch   *oomWatch
}

// makeGroup makes the directories of one box.
func (c *cgroups) makeGroup(name string) (g *group, err error) {
	g = &group{}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.remove())
		}
	}()
	for _, t := range c.trees {
		dir := filepath.Join(t.home, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return g, err
		}
		g.dirs = append(g.dirs, dir)
		if t.unified {
			g.core = dir
			continue
		}
		g.enter = append(g.enter, filepath.Join(dir, "tasks"))
	}
	in := func(controller string) control {
		t := c.at[controller]
		if t == nil {
			return control{}
		}
		return control{dir: filepath.Join(t.home, name), unified: t.unified}
	}
	g.memory, g.cpu, g.pids = in("memory"), in("cpu"), in("pids")
	g.account = in("cpuacct")
	if g.account.dir == "" && g.core != "" {
		g.account = control{dir: g.core, unified: true} // v2 counts time without a controller
	}
	if g.core == "" {
		g.legacy = in("freezer").dir
	}
	if g.anchor() != "" {
		f, err := openFreezer(g.core, g.legacy)
		if err != nil {
			return g, err
		}
		g.freezer = f
	}
	if g.memory.dir != "" && !g.memory.unified {
		g.watch, err = watchOOM(g.memory.dir)
	}
	return g, err
}

// join appends that the child moves itself into the v1 groups. The thread that
// makes it must not: it would drag this process into the list of processes that
// are frozen and killed.
func (g *group) join(s *script) {
	for _, file := range g.enter {
		s.add("join control group", unix.SYS_WRITE, s.open(file, unix.O_WRONLY), s.text("0"), 1)
	}
}

// birthplace opens the v2 directory for a clone into it, until the script is closed; -1
// without one.
func (g *group) birthplace(s *script) int {
	if g.core == "" {
		return -1
	}
	return int(s.open(g.core, unix.O_RDONLY|unix.O_DIRECTORY))
}

// limit sets memory, processes and the CPU weight; 0 is no limit. A controller
// that the host lacks is passed over: Capabilities says so.
func (g *group) limit(memory, pids, weight int64) error {
	var errs []error
	if d := g.memory.dir; d != "" && memory > 0 {
		v := strconv.FormatInt(memory, 10)
		if g.memory.unified {
			errs = append(errs, write(d, "memory.max", v), write(d, "memory.oom.group", "1"), optional(write(d, "memory.swap.max", "0")))
		} else {
			errs = append(errs, write(d, "memory.limit_in_bytes", v))
			if optional(write(d, "memory.memsw.limit_in_bytes", v)) != nil || !exists(d, "memory.memsw.limit_in_bytes") {
				errs = append(errs, write(d, "memory.swappiness", "0"))
			}
		}
	}
	if d := g.pids.dir; d != "" && pids > 0 {
		errs = append(errs, write(d, "pids.max", strconv.FormatInt(pids, 10)))
	}
	if d := g.cpu.dir; d != "" && weight > 0 {
		if g.cpu.unified {
			errs = append(errs, write(d, "cpu.weight", strconv.FormatInt(weight, 10)))
		} else {
			errs = append(errs, write(d, "cpu.shares", strconv.FormatInt(max(2, weight*1024/100), 10)))
		}
	}
	return errors.Join(errs...)
}

// optional turns the absence of a control file into no error.
func optional(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// exists says whether a group has a control file.
func exists(dir, file string) bool {
	_, err := os.Stat(filepath.Join(dir, file))
	return err == nil
}

// quota caps CPU time at milliCPU thousandths of a processor; 0 takes the cap
// away. The period is 20 ms, or as much longer as the kernel's smallest quota of
// 1 ms asks for.
func (g *group) quota(milliCPU int64) error {
	if g.cpu.dir == "" {
		return nil
	}
	const smallest, usual = 1000, 20_000 // microseconds
	period := int64(usual)
	quota := period * milliCPU / 1000
	if milliCPU > 0 && quota < smallest {
		quota, period = smallest, min(1_000_000, smallest*1000/milliCPU)
	}
	if g.cpu.unified {
		value := fmt.Sprintf("max %d", period)
		if milliCPU > 0 {
			value = fmt.Sprintf("%d %d", quota, period)
		}
		return write(g.cpu.dir, "cpu.max", value)
	}
	if milliCPU <= 0 {
		return write(g.cpu.dir, "cpu.cfs_quota_us", "-1")
	}
	// Period and quota are set one after the other, and the kernel refuses a pair in
	// between that is too small: without a quota every period is allowed.
	return errors.Join(
		write(g.cpu.dir, "cpu.cfs_quota_us", "-1"),
		write(g.cpu.dir, "cpu.cfs_period_us", strconv.FormatInt(period, 10)),
		write(g.cpu.dir, "cpu.cfs_quota_us", strconv.FormatInt(quota, 10)))
}

// kill ends every process of the group and returns when none is left; the group is
// thawed then. It freezes first, so that nobody forks away from the kill. It does
// not use cgroup.kill: some kernels (6.18 is one) then kill every process that is
// later cloned into the group.
func (g *group) kill() error {
	if g.crowd != nil {
		return g.crowd.kill()
	}
	for p := patient(20*time.Microsecond, 5*time.Millisecond, 10*time.Second); ; {
		empty, err := g.empty()
		if err != nil {
			return err
		}
		if empty {
			return g.freezer.thaw()
		}
		if err := g.freezer.stop(); err != nil {
			return err
		}
		if err := g.killOnce(); err != nil {
			return err
		}
		if g.legacy != "" { // a process in a v1 freezer dies when it is thawed
			if err := g.freezer.thaw(); err != nil {
				return err
			}
		}
		if !p.nap() {
			return errors.Join(fmt.Errorf("processes of %s do not die", g.anchor()), g.freezer.thaw())
		}
	}
}

// killOnce sends SIGKILL to every process that is in the group now.
func (g *group) killOnce() error {
	pids, err := readPIDs(g.anchor())
	for _, pid := range pids {
		if pid == os.Getpid() {
			return fmt.Errorf("this process itself is in %s", g.anchor())
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
			return fmt.Errorf("kill %d: %w", pid, err)
		}
	}
	return err
}

// gather makes a group that no control group can freeze one of the processes seen
// through a /proc, which it owns from now on.
func (g *group) gather(c *crowd) { g.crowd, g.freezer = c, c }

// anchor is the directory whose process list is that of the box, or "".
func (g *group) anchor() string {
	if g.core != "" {
		return g.core
	}
	return g.legacy
}

// empty says whether no living process is in the group.
func (g *group) empty() (bool, error) {
	if g.core != "" {
		events, err := os.ReadFile(filepath.Join(g.core, "cgroup.events"))
		return bytes.Contains(events, []byte("populated 0")), err
	}
	pids, err := readPIDs(g.legacy)
	return len(pids) == 0, err
}

// readPIDs lists the processes of a group.
func readPIDs(dir string) ([]int, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	return parsePIDs(raw)
}

// parsePIDs reads the numbers of a process list.
func parsePIDs(raw []byte) ([]int, error) {
	var pids []int
	for f := range bytes.FieldsSeq(raw) {
		pid, err := strconv.Atoi(string(f))
		if err != nil {
			return nil, fmt.Errorf("process list: %w", err)
		}
		if pid != 0 { // 0 is a process of a pid namespace that we cannot see
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// remove closes what makeGroup opened and removes the directories. Every process
// has ended by then, or is about to.
func (g *group) remove() error {
	if g.watch != nil {
		g.watch.close()
	}
	if g.freezer != nil {
		g.freezer.close()
		g.freezer = nil
	}
	var errs []error
	for _, dir := range g.dirs {
		errs = append(errs, rmdir(dir))
	}
	return errors.Join(errs...)
}

// rmdir removes a group, and waits for dying processes to leave it first.
func rmdir(dir string) error {
	for p := patient(20*time.Microsecond, 10*time.Millisecond, 5*time.Second); ; {
		err := unix.Rmdir(dir)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY || !p.nap() {
			return fmt.Errorf("remove control group %s: %w", dir, err)
		}
	}
}
