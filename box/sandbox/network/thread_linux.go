package network

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// apart runs f on an operating system thread that nothing else uses and that ends
// afterwards, so that f may leave the network of the process. f must not start
// goroutines that rely on where it is.
func apart(f func() error) error {
	done := make(chan error, 1)
	go lone(f, done)
	return <-done
}

// lone is the body of apart. The first thread of a process cannot be thrown away,
// and /proc/self would show its network: where the scheduler picked that one, it
// is held until another has done the work.
func lone(f func() error, done chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		inner := make(chan error, 1)
		go lone(f, inner)
		err := <-inner
		runtime.UnlockOSThread()
		done <- err
		return
	}
	done <- f() // no unlock: the thread ends with this goroutine
}

// inside runs f in the network namespace that ns, a descriptor, refers to.
func inside(ns int, f func() error) error {
	return apart(func() error {
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// newNamespace makes a network namespace, runs f in it, and gives a descriptor of
// it. The namespace lives as long as the descriptor or something in it.
func newNamespace(f func() error) (ns int, err error) {
	ns = -1
	err = apart(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open network namespace: %w", err)
		}
		if err := f(); err != nil {
			unix.Close(fd)
			return err
		}
		ns = fd
		return nil
	})
	return ns, err
}
