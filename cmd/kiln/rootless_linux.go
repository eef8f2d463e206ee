package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"kiln/box/sandbox/linux"
)

// settle finishes the entry into a user namespace, where this process is one that
// another kiln started there. It ends with that one, however that ends.
func settle(w *world) error {
	entry, err := linux.Settle()
	if err != nil || entry == nil {
		return err
	}
	w.inside, w.pid = true, os.Getppid()
	go func() {
		entry.Alone()
		os.Exit(exitPlatform)
	}()
	return nil
}

// ordinary says whether this is an ordinary user's process, for which boxes can be made
// only in a user namespace.
func (w world) ordinary() bool { return os.Geteuid() != 0 && !w.inside }

// elsewhere does the command of an ordinary user again in a user namespace, where it
// can make boxes, and says whether it did. Its end is then the end of this command.
func elsewhere(ctx context.Context, w world, c *config) (done bool, err error) {
	if c.Sandbox != "linux" || !w.ordinary() {
		return false, nil
	}
	code, err := w.enter(ctx)
	switch {
	case errors.Is(err, linux.ErrUnsupported):
		return true, platformf(fmt.Sprintf("`%s doctor` shows more; use sudo, or --sandbox process (KILN_SANDBOX=process), which isolates nothing and is for your own code only", w.program),
			"without root, functions need a user namespace: %w", err)
	case err != nil:
		return true, err
	case code != 0:
		return true, &failure{code: code, silent: true}
	}
	return true, nil
}

// enter runs this program again in a user namespace and gives its exit code. What the
// user asks of this process is passed on.
func (w world) enter(ctx context.Context) (int, error) {
	e, err := linux.Enter(func(c *exec.Cmd) {
		c.Stdin, c.Stdout, c.Stderr = w.in, w.out, w.talk
		// In a session of its own a terminal's signals do not reach it twice.
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	})
	if err != nil {
		return 0, err
	}
	ended, passed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(passed)
		for _, asked := range []<-chan struct{}{ctx.Done(), w.again} {
			select {
			case <-ended:
				return
			case <-asked:
				_ = e.Command.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
			}
		}
	}()
	code, err := e.Wait()
	close(ended)
	<-passed
	if err == nil && code > 128 {
		err = platformf("", "the process in the user namespace was killed by signal %d", code-128)
	}
	return code, err
}

// examineElsewhere runs kiln doctor in a user namespace for an ordinary user, and says
// whether it did: where that cannot be, this process says what it sees.
func examineElsewhere(ctx context.Context, w world) (done bool, err error) {
	if !w.ordinary() {
		return false, nil
	}
	code, err := w.enter(ctx)
	if err != nil {
		return !errors.Is(err, linux.ErrUnsupported), err
	}
	if code != 0 {
		return true, &failure{code: code, silent: true}
	}
	return true, nil
}
