//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"kiln/box/sandbox"
)

// program is one process that Start ran, the leader of its group.
type program struct {
	process *os.Process
	exited  chan struct{}
	status  sandbox.ExitStatus
}

var _ sandbox.Process = (*program)(nil)

// Start runs a program of the host; its path and directory are those that HostPath
// gives, its arguments and environment are the caller's.
func (x *box) Start(ctx context.Context, p sandbox.Program) (sandbox.Process, error) {
	giveBack, err := x.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	if x.frozen {
		return nil, sandbox.ErrFrozen
	}
	dir := x.HostPath("/")
	if p.Dir != "" {
		dir = x.HostPath(p.Dir)
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("start %s in sandbox %s: enter directory: %w", p.Path, x.spec.ID, err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	files := []*os.File{null, null, null}
	if p.Stdout != nil {
		files[1] = p.Stdout
	}
	if p.Stderr != nil {
		files[2] = p.Stderr
	}
	for number, file := range p.Files {
		if number < 4 || number > 63 {
			return nil, fmt.Errorf("start %s in sandbox %s: descriptor %d cannot be given to a program", p.Path, x.spec.ID, number)
		}
		for len(files) <= number {
			files = append(files, nil) // is closed
		}
		files[number] = file
	}
	env := p.Env
	if env == nil {
		env = []string{} // nil would be the server's own
	}
	process, err := os.StartProcess(x.HostPath(p.Path), p.Args, &os.ProcAttr{
		Dir: dir, Env: env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return nil, &sandbox.StartError{Path: p.Path, Err: errno}
	} else if err != nil {
		return nil, fmt.Errorf("start %s in sandbox %s: %w", p.Path, x.spec.ID, err)
	}
	x.groups[process.Pid] = true
	q := &program{process: process, exited: make(chan struct{})}
	x.mu.Lock()
	x.programs[q] = true
	x.mu.Unlock()
	go x.wait(q)
	return q, nil
}

// wait notes how a program ended. It ends with the program, for which Destroy waits.
func (x *box) wait(q *program) {
	state, err := q.process.Wait()
	if err != nil {
		q.status = sandbox.ExitStatus{OutOfTurn: true}
	} else if w := state.Sys().(syscall.WaitStatus); w.Signaled() {
		q.status = sandbox.ExitStatus{Signal: int(w.Signal()), OutOfTurn: w.Signal() == syscall.SIGKILL && x.over()}
	} else {
		q.status = sandbox.ExitStatus{Code: w.ExitStatus()}
	}
	x.mu.Lock()
	delete(x.programs, q)
	if state != nil {
		x.spent += state.SystemTime() + state.UserTime()
	}
	x.mu.Unlock()
	close(q.exited)
}

// Exited is closed when the program ended.
func (q *program) Exited() <-chan struct{} { return q.exited }

// Status says how the program ended; it is valid once Exited is closed.
func (q *program) Status() sandbox.ExitStatus {
	select {
	case <-q.exited:
		return q.status
	default:
		return sandbox.ExitStatus{}
	}
}

// Signal sends a signal to the program alone; a program that has ended is
// os.ErrProcessDone.
func (q *program) Signal(number int) error {
	return q.process.Signal(syscall.Signal(number))
}
