package linux

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// apart runs f on an operating system thread that nothing else uses and that ends
// afterwards, so that f may change the namespaces, root, control groups and
// privileges of its thread. f must not start goroutines that rely on them.
func apart(f func() error) error {
	done := make(chan error, 1)
	go lone(f, done)
	return <-done
}

// lone is the body of apart. The first thread of a process cannot be thrown away:
// it would stay, and /proc/self would show its namespaces. Where the scheduler
// picked that one, it is held until another thread has done the work.
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

// threads keeps a few threads ready for one job each: they have left this process's
// working directory and root, and dropped their capability bounding set, which
// their children inherit. That takes longer than most jobs.
type threads struct {
	prepare func() error
	jobs    chan job
	quit    chan struct{} // closed when no more jobs are taken
	all     sync.WaitGroup
}

// job is what one thread does before it ends.
type job struct {
	do   func() error
	done chan error
}

// newThreads makes n threads that are ready after prepare.
func newThreads(n int, prepare func() error) *threads {
	t := &threads{prepare: prepare, jobs: make(chan job), quit: make(chan struct{})}
	for range n {
		t.spare()
	}
	return t
}

// run does f on a thread of its own, as apart does.
func (t *threads) run(f func() error) error {
	j := job{do: f, done: make(chan error, 1)}
	select {
	case t.jobs <- j:
		return <-j.done
	case <-t.quit:
		return errors.New("sandbox driver linux is closed")
	}
}

// spare makes one more thread that waits for a job.
func (t *threads) spare() {
	t.all.Go(func() {
		_ = apart(func() error { // it reports to whoever gave the job
			err := t.prepare()
			select {
			case <-t.quit:
			case j := <-t.jobs:
				if err == nil {
					err = j.do()
				}
				t.spare()
				j.done <- err
			}
			return nil
		})
	})
}

// close ends the threads and waits for their jobs.
func (t *threads) close() {
	close(t.quit)
	t.all.Wait()
}

// leave is how a thread of the driver is prepared.
func (c *confinement) leave() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare fs: %w", err)
	}
	for n := 0; n <= c.lastCapability; n++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", n, err)
		}
	}
	return nil
}
