package linux

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// oomWatch listens for the kernel's word that a v1 memory group ran out. Version 2
// ends the whole group by itself (memory.oom.group); here somebody has to.
type oomWatch struct {
	event *os.File // becomes readable with each event
}

// watchOOM subscribes to the out-of-memory events of a v1 group.
func watchOOM(dir string) (*oomWatch, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	w := &oomWatch{event: os.NewFile(uintptr(fd), "oom events")}
	control, err := os.Open(filepath.Join(dir, "memory.oom_control"))
	if err != nil {
		w.close()
		return nil, err
	}
	defer control.Close()
	if err := write(dir, "cgroup.event_control", fmt.Sprintf("%d %d", fd, control.Fd())); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// wait returns true when an event has come that nobody has taken, and false after
// close. The removal of the group is an event too.
func (w *oomWatch) wait() bool {
	conn, err := w.event.SyscallConn()
	if err != nil {
		return false
	}
	err = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || (err != nil && err != unix.EINTR)
	})
	return err == nil
}

// take says whether an event has come since the last one was taken. The kernel
// gives word before it kills: whoever has seen the death finds the event.
func (w *oomWatch) take() bool {
	conn, err := w.event.SyscallConn()
	if err != nil {
		return false
	}
	taken := false
	err = conn.Control(func(fd uintptr) {
		var count [8]byte
		n, err := unix.Read(int(fd), count[:])
		taken = n == len(count) && err == nil
	})
	return taken && err == nil
}

// close ends the subscription and every wait.
func (w *oomWatch) close() { _ = w.event.Close() } // nothing is written through it
