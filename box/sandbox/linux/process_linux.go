package linux

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

// reaper waits for one child through its descriptor, without a thread.
type reaper struct {
	file *os.File // a copy of the pidfd, known to the runtime's poller
}

// reapWhenDone calls done once, with how the child ended and the processor time that it
// and the children which it waited for used, from a goroutine that ends with the child.
func reapWhenDone(c child, done func(unix.WaitStatus, time.Duration, error)) (*reaper, error) {
	fd, err := unix.FcntlInt(uintptr(c.pidfd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("watch process: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or os.NewFile would not poll
		unix.Close(fd)
		return nil, fmt.Errorf("watch process: %w", err)
	}
	r := &reaper{file: os.NewFile(uintptr(fd), "pidfd")}
	conn, err := r.file.SyscallConn()
	if err != nil {
		_ = r.file.Close() // nothing was written
		return nil, fmt.Errorf("watch process: %w", err)
	}
	go func() {
		var status unix.WaitStatus
		var used unix.Rusage
		var err error
		pollErr := conn.Read(func(uintptr) bool {
			var pid int
			for {
				pid, err = unix.Wait4(c.pid, &status, unix.WNOHANG, &used)
				if err != unix.EINTR {
					return pid != 0 || err != nil
				}
			}
		})
		if err == nil {
			err = pollErr
		}
		_ = r.file.Close() // nothing was written
		done(status, time.Duration(used.Utime.Nano()+used.Stime.Nano()), err)
	}()
	return r, nil
}

// process is one program that Start ran.
type process struct {
	child  child
	exited chan struct{}
	status sandbox.ExitStatus
	pidfd  *os.File // for signals; the number may be reused, this is not
}

// newProcess begins to watch a program that was just executed. gone says whether
// the box went away first; ended hears of the processor time used.
func newProcess(c child, gone func() bool, ended func(time.Duration)) (*process, error) {
	p := &process{child: c, exited: make(chan struct{}), pidfd: os.NewFile(uintptr(c.pidfd), "pidfd")}
	_, err := reapWhenDone(c, func(w unix.WaitStatus, used time.Duration, err error) {
		switch {
		case err != nil:
			p.status = sandbox.ExitStatus{OutOfTurn: true}
		case w.Signaled():
			p.status = sandbox.ExitStatus{Signal: int(w.Signal()), OutOfTurn: w.Signal() == unix.SIGKILL && gone()}
		default:
			p.status = sandbox.ExitStatus{Code: w.ExitStatus()}
		}
		_ = p.pidfd.Close() // nothing was written
		ended(used)
		close(p.exited)
	})
	if err != nil {
		_ = p.pidfd.Close() // nothing was written
		return nil, err
	}
	return p, nil
}

// Exited is closed when the program ended.
func (p *process) Exited() <-chan struct{} { return p.exited }

// Status says how the program ended; it is valid once Exited is closed.
func (p *process) Status() sandbox.ExitStatus {
	select {
	case <-p.exited:
		return p.status
	default:
		return sandbox.ExitStatus{}
	}
}

// Signal sends a signal to the program alone; a program that has ended is
// os.ErrProcessDone.
func (p *process) Signal(number int) error {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return os.ErrProcessDone
	}
	var sent error
	err = conn.Control(func(fd uintptr) {
		sent = unix.PidfdSendSignal(int(fd), unix.Signal(number), nil, 0)
	})
	if err != nil || sent == unix.ESRCH {
		return os.ErrProcessDone
	}
	if sent != nil {
		return fmt.Errorf("signal %d: %w", number, sent)
	}
	return nil
}

var _ sandbox.Process = (*process)(nil)
