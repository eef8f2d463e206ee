package linux

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

// watchable makes the descriptor of a child one that the runtime's poller knows, so that
// no thread waits for its end. The file owns the descriptor, also after an error.
func watchable(c child) (*os.File, error) {
	err := unix.SetNonblock(c.pidfd, true) // or os.NewFile would not poll
	return os.NewFile(uintptr(c.pidfd), "pidfd"), err
}

// reapWhenDone calls done once, with how the child ended and the processor time that it
// and the children which it waited for used, from a goroutine that ends with the child.
// The file is the child's descriptor; it stays open until done at least.
func reapWhenDone(c child, file *os.File, done func(unix.WaitStatus, time.Duration, error)) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
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
		done(status, time.Duration(used.Utime.Nano()+used.Stime.Nano()), err)
	}()
	return nil
}

// process is one program that Start ran.
type process struct {
	child  child
	exited chan struct{}
	status sandbox.ExitStatus
	pidfd  *os.File // the number may be reused, this is not
}

// newProcess begins to watch a program that was just executed. gone says whether
// the box went away first; ended hears of the processor time used.
func newProcess(c child, gone func() bool, ended func(time.Duration)) (*process, error) {
	file, err := watchable(c)
	if err != nil {
		_ = file.Close() // nothing was written
		return nil, fmt.Errorf("watch process: %w", err)
	}
	p := &process{child: c, exited: make(chan struct{}), pidfd: file}
	err = reapWhenDone(c, file, func(w unix.WaitStatus, used time.Duration, err error) {
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
		_ = file.Close() // nothing was written
		return nil, fmt.Errorf("watch process: %w", err)
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
