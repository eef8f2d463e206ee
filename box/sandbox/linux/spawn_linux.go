package linux

import (
	"cmp"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// step is one system call that a child makes between clone and exec.
type step struct {
	name    string
	number  uintptr
	args    [6]uintptr
	lenient bool // an error is no reason to stop
}

// script is the life of a child before it becomes another program: a list of
// system calls, prepared by the parent, since the child shares the parent's
// memory and may neither allocate nor take a lock.
type script struct {
	steps []step
	keep  []any // what the arguments point to
	own   []int // descriptors of the script's own
	err   error // the first that occurred while it was written
}

// lowest is above every descriptor number that a script writes to.
const lowest = 64

// add appends one system call that must succeed.
func (s *script) add(name string, number uintptr, args ...uintptr) {
	s.append(step{name: name, number: number}, args)
}

// try appends one system call whose error is ignored.
func (s *script) try(name string, number uintptr, args ...uintptr) {
	s.append(step{name: name, number: number, lenient: true}, args)
}

// append completes a step with its arguments.
func (s *script) append(st step, args []uintptr) {
	copy(st.args[:], args)
	s.steps = append(s.steps, st)
}

// text keeps a NUL-terminated copy of t and gives its address. t has no NUL.
func (s *script) text(t string) uintptr {
	b := make([]byte, len(t)+1)
	copy(b, t)
	s.keep = append(s.keep, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// texts keeps a NULL-terminated array of strings and gives its address.
func (s *script) texts(list []string) uintptr {
	array := make([]uintptr, len(list)+1)
	for i, t := range list {
		array[i] = s.text(t)
	}
	s.keep = append(s.keep, array)
	return uintptr(unsafe.Pointer(&array[0]))
}

// source gives a descriptor that no redirect of this script overwrites: fd itself,
// or a copy further up.
func (s *script) source(fd int) uintptr {
	if fd >= lowest {
		return uintptr(fd)
	}
	c, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, lowest)
	if err != nil {
		s.err = cmp.Or(s.err, fmt.Errorf("copy descriptor %d: %w", fd, err))
		return uintptr(fd)
	}
	s.own = append(s.own, c)
	return uintptr(c)
}

// open opens a file, and gives a descriptor that no redirect of this script overwrites.
func (s *script) open(path string, flags int) uintptr {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		s.err = cmp.Or(s.err, fmt.Errorf("open %s: %w", path, err))
		return ^uintptr(0)
	}
	s.own = append(s.own, fd)
	return s.source(fd)
}

// redirect makes target a copy of fd in the child.
func (s *script) redirect(target, fd int) {
	s.add("redirect descriptor", unix.SYS_DUP3, s.source(fd), uintptr(target), 0)
}

// close gives up what source copied and open opened.
func (s *script) close() {
	for _, fd := range s.own {
		unix.Close(fd)
	}
	s.own = nil
}

// hold keeps v alive, and where it is, for the child and gives its address.
func hold[T any](s *script, v *T) uintptr {
	s.keep = append(s.keep, v)
	return uintptr(unsafe.Pointer(v))
}

// stepError is the step at which a child gave up.
type stepError struct {
	step string
	last bool // it was the last one: exec itself
	err  syscall.Errno
}

// Error names the step and the kernel's answer.
func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }

// Unwrap gives the kernel's answer.
func (e *stepError) Unwrap() error { return e.err }

// child is what spawn made: its process id as this process sees it, and a
// descriptor of it that survives the reuse of the number.
type child struct {
	pid   int
	pidfd int
}

// spawn makes a child with the given namespace flags in the control group behind
// cgroupFD (-1: the caller's own), lets it walk the script and returns when its
// last step, an exec, has succeeded. A child that gave up is already reaped.
func spawn(flags uint64, cgroupFD int, s *script) (child, error) {
	if s.err != nil {
		return child{}, s.err
	}
	var (
		pidfd   = new(int32)
		failure = &giveUp{step: -1}
		args    = &cloneArgs{
			flags:      flags | unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PIDFD,
			pidfd:      uint64(hold(s, pidfd)),
			exitSignal: uint64(unix.SIGCHLD),
		}
	)
	if cgroupFD >= 0 {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(cgroupFD)
	}
	pid, errno := fork(args, s.steps, failure)
	runtime.KeepAlive(s)
	if errno != 0 {
		return child{}, fmt.Errorf("clone: %w", errno)
	}
	if failure.step >= 0 {
		reap(pid)
		unix.Close(int(*pidfd))
		return child{}, &stepError{
			step: s.steps[failure.step].name,
			last: failure.step == len(s.steps)-1,
			err:  failure.errno,
		}
	}
	return child{pid: pid, pidfd: int(*pidfd)}, nil
}

// reap waits for a child that is known to end at once.
func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// giveUp is written by the child, in the memory that it shares, before it exits.
type giveUp struct {
	step  int
	errno syscall.Errno
}

// fork clones and, in the child, walks the steps. The child shares the parent's
// memory and the parent is stopped until it has executed or ended: therefore the
// child never leaves this frame, and the parent leaves it at once.
//
//go:noinline
//go:norace
//go:nocheckptr
func fork(args *cloneArgs, steps []step, failure *giveUp) (int, syscall.Errno) {
	var (
		i     int
		s     *step
		errno syscall.Errno
		pid   uintptr
		clone uintptr
	)
	runtime_BeforeFork()
	pid, clone = vfork(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args))
	if clone != 0 || pid != 0 {
		runtime_AfterFork()
		return int(pid), syscall.Errno(clone)
	}
	runtime_AfterForkInChild()
	for i = 0; i < len(steps); i++ {
		s = &steps[i]
		_, _, errno = syscall.RawSyscall6(s.number, s.args[0], s.args[1], s.args[2], s.args[3], s.args[4], s.args[5])
		if errno != 0 && !s.lenient {
			failure.errno = errno
			failure.step = i
			break
		}
	}
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 127, 0, 0) // it does not return
	}
}

// vfork makes the system call and returns twice, in the child first, without
// touching its return address in between: the child's calls overwrite the stack
// below this frame, which the parent still needs.
func vfork(number, a1, a2 uintptr) (r, errno uintptr)

// The three runtime hooks around a fork: they block signals, reset the handlers
// in the child and undo it. The runtime keeps them open to packages that fork.

//go:linkname runtime_BeforeFork syscall.runtime_BeforeFork
func runtime_BeforeFork()

//go:linkname runtime_AfterFork syscall.runtime_AfterFork
func runtime_AfterFork()

//go:linkname runtime_AfterForkInChild syscall.runtime_AfterForkInChild
func runtime_AfterForkInChild()
