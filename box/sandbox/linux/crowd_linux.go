package linux

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// crowd is the processes of a box that no control group holds: all of its pid
// namespace but the init. It is seen through the box's own /proc, and signalled from
// inside, where one call of kill reaches everybody at once, whoever forks meanwhile.
//
// Freezing is SIGSTOP, which nobody can block or handle. A program can see afterwards
// that it was stopped: its parent is told, and some calls return early. A process that
// was stopped before by somebody in the box goes on with the others.
type crowd struct {
	proc    *os.File // the box's /proc
	init    int      // descriptor of process 1; not ours to close
	threads *threads
}

// everybody sends a signal to all processes at once.
func (c *crowd) everybody(signal unix.Signal) error {
	s := &script{}
	defer s.close()
	s.try("signal everybody", unix.SYS_KILL, ^uintptr(0), uintptr(signal)) // that there is nobody is no error
	s.add("end", unix.SYS_EXIT_GROUP, 0)
	err := c.threads.run(func() error {
		if err := unix.Setns(c.init, unix.CLONE_NEWPID); err != nil {
			return fmt.Errorf("enter process ids: %w", err)
		}
		messenger, err := spawn(0, -1, s)
		if err != nil {
			return err
		}
		reap(messenger.pid)
		return unix.Close(messenger.pidfd)
	})
	if err != nil {
		return fmt.Errorf("signal all processes: %w", err)
	}
	return nil
}

// open opens something in the box's /proc, also while it is being let go.
func (c *crowd) open(name string, flags int) (fd int, err error) {
	conn, err := c.proc.SyscallConn()
	if err != nil {
		return -1, err
	}
	failed := conn.Control(func(dir uintptr) {
		fd, err = unix.Openat(int(dir), name, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
	})
	if failed != nil {
		return -1, failed
	}
	return fd, err
}

// members lists the processes, by their ids inside.
func (c *crowd) members() ([]int, error) {
	fd, err := c.open(".", unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer unix.Close(fd)
	names, err := numbers(fd)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var list []int
	for _, n := range names {
		if n > 1 {
			list = append(list, n)
		}
	}
	return list, nil
}

// numbers lists the entries of a directory whose names are numbers.
func numbers(fd int) ([]int, error) {
	var list []int
	buf := make([]byte, 8192)
	var names []string
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return list, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if number, err := strconv.Atoi(name); err == nil {
				list = append(list, number)
			}
		}
	}
}

// each sends a signal to every process that is there now, one after the other.
func (c *crowd) each(list []int, signal unix.Signal) error {
	for _, pid := range list {
		fd, err := c.open(strconv.Itoa(pid), unix.O_DIRECTORY)
		if err == nil {
			err = unix.PidfdSendSignal(fd, signal, nil, 0)
			unix.Close(fd)
		}
		if err != nil && !ended(err) {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
	}
	return nil
}

// ended says whether an error means that a process is no more.
func ended(err error) bool {
	return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT)
}

// moving lists those of some processes of which a thread runs, or may run before it
// notices that it is to stop.
func (c *crowd) moving(all []int) ([]int, error) {
	var list []int
	for _, pid := range all {
		still, err := c.still(pid)
		if err != nil {
			return nil, err
		}
		if !still {
			list = append(list, pid)
		}
	}
	return list, nil
}

// still says whether no thread of a process, which was told to stop, runs its program.
// One that waits in the kernel stops before it returns: so one that waits for the exec
// of its child, which is stopped, is still.
func (c *crowd) still(pid int) (bool, error) {
	dir, err := c.open(strconv.Itoa(pid)+"/task", unix.O_DIRECTORY)
	if err != nil {
		if ended(err) {
			return true, nil
		}
		return false, fmt.Errorf("look at process %d: %w", pid, err)
	}
	defer unix.Close(dir)
	threads, err := numbers(dir)
	if err != nil && !ended(err) {
		return false, fmt.Errorf("look at process %d: %w", pid, err)
	}
	buf := make([]byte, 512)
	stopped, waiting := 0, 0
	for _, t := range threads {
		text, err := readOnce(buf, func() (int, error) {
			return unix.Openat(dir, strconv.Itoa(t)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		})
		if err != nil {
			if ended(err) {
				continue
			}
			return false, fmt.Errorf("look at thread %d of process %d: %w", t, pid, err)
		}
		switch stateOf(text) {
		case 'T', 't':
			stopped++
		case 'Z', 'X', 'x':
		case 'D':
			waiting++
		default:
			return false, nil
		}
	}
	// All threads are told when the first of them stops.
	return waiting == 0 || stopped > 0 || waiting == 1, nil
}

// stateOf finds the letter behind the name, which is in brackets and may hold brackets.
func stateOf(stat []byte) byte {
	_, rest, ok := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(") "))
	if !ok || len(rest) == 0 {
		return 'X'
	}
	return rest[0]
}

// read reads a small file of a process.
func (c *crowd) read(pid int, name string, buf []byte) ([]byte, error) {
	return readOnce(buf, func() (int, error) { return c.open(strconv.Itoa(pid)+"/"+name, 0) })
}

// readOnce reads a small file that open opens.
func readOnce(buf []byte, open func() (int, error)) ([]byte, error) {
	fd, err := open()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// freeze stops every process and returns when none runs: when two looks in a row found
// the same processes, told all, and none of them moving. Between two looks nobody can
// then have been born or woken unseen.
func (c *crowd) freeze() error {
	told := map[int]bool{}
	var before []int
	quiet := false // the last look found nobody moving
	for p, round := patient(20*time.Microsecond, time.Millisecond, 2*time.Second), 0; ; round++ {
		all, err := c.members()
		if err != nil {
			return err
		}
		var moving []int
		for _, pid := range all {
			if !told[pid] {
				moving = append(moving, pid)
				told[pid] = true
			}
		}
		if len(moving) == 0 {
			if moving, err = c.moving(all); err != nil {
				return err
			}
		}
		if len(moving) == 0 {
			if quiet && slices.Equal(all, before) {
				return nil
			}
			quiet, before = true, all
			continue
		}
		quiet = false
		if round%8 == 7 { // somebody makes or wakes processes faster than they are found
			err = c.stop()
		} else {
			err = c.each(moving, unix.SIGSTOP)
		}
		if err != nil {
			return err
		}
		if !p.nap() {
			return fmt.Errorf("%d processes do not stop within 2 s", len(moving))
		}
	}
}

// stop begins to freeze and does not wait.
func (c *crowd) stop() error { return c.everybody(unix.SIGSTOP) }

// thaw lets every process go on. Nobody can have come since freeze.
func (c *crowd) thaw() error {
	all, err := c.members()
	if err != nil {
		return err
	}
	return c.each(all, unix.SIGCONT)
}

// kill ends every process and returns when none is left but those whose end nobody
// has taken note of.
func (c *crowd) kill() error {
	for p := patient(20*time.Microsecond, 5*time.Millisecond, 10*time.Second); ; {
		all, err := c.members()
		if err != nil {
			return err
		}
		alive := 0
		buf := make([]byte, 512)
		for _, pid := range all {
			text, err := c.read(pid, "stat", buf)
			if err == nil && stateOf(text) != 'Z' && stateOf(text) != 'X' {
				alive++
			}
		}
		if alive == 0 {
			return nil
		}
		if err := c.everybody(unix.SIGKILL); err != nil {
			return err
		}
		if !p.nap() {
			return errors.New("processes do not die")
		}
	}
}

// processorTime adds up what processes used, and their children that they waited for.
func (c *crowd) processorTime(pids []int, buf []byte) (sum time.Duration) {
	const tick = 10 * time.Millisecond // the same on every machine: USER_HZ
	for _, pid := range pids {
		text, err := c.read(pid, "stat", buf)
		if err != nil {
			continue
		}
		// Behind the name: state, 10 others, then the times of itself and of its children.
		f := bytes.Fields(text[max(0, bytes.LastIndexByte(text, ')')):])
		for i := 12; i < 16 && i < len(f); i++ {
			n, _ := strconv.ParseInt(string(f[i]), 10, 64) // the kernel writes numbers
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// close lets the box's /proc go.
func (c *crowd) close() { _ = c.proc.Close() } // nothing was written
