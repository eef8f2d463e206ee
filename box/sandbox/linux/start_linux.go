package linux

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

// programScript is what the child does before it becomes the program: take its
// three descriptors, lose every other and every privilege, then execute.
func (x *box) programScript(p sandbox.Program) (*script, error) {
	for _, t := range append(append([]string{p.Path, p.Dir}, p.Args...), p.Env...) {
		if strings.ContainsRune(t, 0) {
			return nil, errors.New("a path, argument or variable contains a NUL byte")
		}
	}
	if p.Path == "" {
		return nil, errors.New("no path")
	}
	s := &script{}
	c := x.driver.confinement
	s.add("new session", unix.SYS_SETSID)
	x.blank.group.join(s)
	// In a namespace of its own /proc/self/cgroup says "/", not where the host has it.
	s.add("new cgroup namespace", unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	if x.blank.user >= 0 {
		c.enterUser(s, x.blank.user)
	}
	s.redirect(0, x.driver.null)
	s.output(1, p.Stdout, x.driver.null)
	s.output(2, p.Stderr, x.driver.null)
	kept := 3
	for _, target := range slices.Sorted(maps.Keys(p.Files)) {
		if target <= kept || target >= lowest {
			return nil, fmt.Errorf("descriptor %d cannot be given to a program", target)
		}
		s.output(target, p.Files[target], x.driver.null)
		s.add("close descriptors", unix.SYS_CLOSE_RANGE, uintptr(kept), uintptr(target-1), 0)
		kept = target + 1
	}
	s.add("close descriptors", unix.SYS_CLOSE_RANGE, uintptr(kept), uintptr(^uint32(0)), 0)
	// The next descriptor is 3. When the host runs out of memory, programs go before
	// the server and before everybody else.
	flags := uintptr(unix.O_WRONLY)
	cwd := int(unix.AT_FDCWD)
	s.try("open oom_score_adj", unix.SYS_OPENAT, uintptr(cwd), s.text("/proc/self/oom_score_adj"), flags, 0)
	s.try("write oom_score_adj", unix.SYS_WRITE, 3, s.text(c.oomScore), uintptr(len(c.oomScore)))
	s.try("close oom_score_adj", unix.SYS_CLOSE, 3)
	s.add("umask", unix.SYS_UMASK, 0o022)
	c.signals(s)
	x.resourceLimits(s)
	c.surrender(s, x.blank.uid)
	dir := p.Dir
	if dir == "" {
		dir = "/"
	}
	s.add("enter directory "+dir, unix.SYS_CHDIR, s.text(dir))
	c.filterCalls(s)
	s.add("execute", unix.SYS_EXECVE, s.text(p.Path), s.texts(p.Args), s.texts(p.Env))
	return s, nil
}

// output makes target a copy of the write end of a pipe, or of null where there is none.
func (s *script) output(target int, file *os.File, null int) {
	fd := null
	if file != nil {
		fd = int(file.Fd())
		// A program expects to block when its pipe is full.
		if err := unix.SetNonblock(fd, false); err != nil {
			s.err = cmp.Or(s.err, fmt.Errorf("make pipe blocking: %w", err))
		}
	}
	s.redirect(target, fd)
}

// resourceLimits appends the limits of each single process. The largest file is
// as large as the scratch directory or the memory, whichever is more: a file may
// live in either. One of a shared directory may be as large as there is room for.
func (x *box) resourceLimits(s *script) {
	const mega = 1 << 20
	c := x.driver.confinement
	files := x.spec.OpenFiles
	if files == 0 {
		files = 1024
	}
	c.limit(s, unix.RLIMIT_NOFILE, files, files)
	c.limit(s, unix.RLIMIT_CORE, 0, 0)
	c.limit(s, unix.RLIMIT_STACK, 8*mega, unix.RLIM_INFINITY)
	c.limit(s, unix.RLIMIT_MEMLOCK, 8*mega, 8*mega)
	c.limit(s, unix.RLIMIT_MSGQUEUE, 819200, 819200)
	if x.spec.PIDs > 0 && x.blank.group.pids.dir == "" && c.limitsProcesses {
		all := uint64(x.spec.PIDs) + 1 // the init is the same user
		c.limit(s, unix.RLIMIT_NPROC, all, all)
	}
	if x.spec.MemoryBytes > 0 && x.spec.ScratchBytes > 0 && len(x.spec.Shares) == 0 {
		largest := uint64(max(x.spec.MemoryBytes, x.spec.ScratchBytes))
		c.limit(s, unix.RLIMIT_FSIZE, largest, largest)
	}
}

// adopt begins to watch a program that was just executed. It needs the turn.
func (x *box) adopt(c child) (sandbox.Process, error) {
	// The process is known as living before its end can be noticed.
	x.mu.Lock()
	defer x.mu.Unlock()
	var p *process
	p, err := newProcess(c, x.over, func(used time.Duration) {
		x.meter.spent(used)
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.programs, p)
	})
	if err != nil {
		err = errors.Join(err, unix.Kill(c.pid, unix.SIGKILL))
		reap(c.pid)
		return nil, err
	}
	if x.programs == nil {
		x.programs = map[*process]bool{}
	}
	x.programs[p] = true
	return p, nil
}
