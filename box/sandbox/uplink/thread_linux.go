package uplink

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// apart runs f on an operating system thread that nothing else uses and that ends
// afterwards, so that f may leave the network of the process.
func apart(f func() error) error {
	done := make(chan error, 1)
	go lone(f, done)
	return <-done
}

// lone is the body of apart. The first thread of a process cannot be thrown away: where
// the scheduler picked that one, it is held until another has done the work.
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
