package linux

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// loopDevice is a block device made of a file. It clears itself when its last user
// is gone: with its mount, and so with the mount namespace that holds it, even if
// this process is killed.
type loopDevice struct {
	path    string // /dev/loopN, or a node of our own for it
	number  int
	backing string // the file, as the kernel names it
	fd      int
	node    bool // path is ours to remove
}

// newLoop binds the open file to a free loop device that carries name.
func newLoop(file *os.File, name, nodes string) (*loopDevice, error) {
	control, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/loop-control: %w", err)
	}
	defer unix.Close(control)
	config := unix.LoopConfig{Fd: uint32(file.Fd()), Size: 4096}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
	copy(config.Info.File_name[:], name)
	for range 100 {
		n, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		l := &loopDevice{number: n, backing: file.Name()}
		if err := l.open(nodes); err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(l.fd, &config)
		if err == nil {
			return l, nil
		}
		l.release()
		if err != unix.EBUSY { // else somebody was faster
			return nil, fmt.Errorf("configure /dev/loop%d: %w", n, err)
		}
	}
	return nil, errors.New("no loop device stays free")
}

// open opens the device, through a node of our own where /dev has none.
func (l *loopDevice) open(nodes string) error {
	l.path = fmt.Sprintf("/dev/loop%d", l.number)
	var err error
	for range 3 {
		l.fd, err = unix.Open(l.path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != unix.ENOENT {
			break
		}
		l.path, l.node = filepath.Join(nodes, fmt.Sprintf("loop%d", l.number)), true
		if err = unix.Mknod(l.path, unix.S_IFBLK|0o600, int(unix.Mkdev(7, uint32(l.number)))); err != nil && err != unix.EEXIST {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", l.path, err)
	}
	return nil
}

// release lets go of the device: from now on its mount alone keeps it.
func (l *loopDevice) release() {
	if l.fd >= 0 {
		unix.Close(l.fd)
		l.fd = -1
	}
	if l.node {
		_ = os.Remove(l.path) // a leftover is removed by the next sweep
		l.node = false
	}
}

// gone waits until the kernel has cleared the device.
func (l *loopDevice) gone() error {
	for p := patient(50*time.Microsecond, 10*time.Millisecond, 5*time.Second); strings.HasPrefix(backingFile(l.number), l.backing); {
		if !p.nap() {
			return fmt.Errorf("/dev/loop%d still holds %s", l.number, l.backing)
		}
	}
	return nil
}

// backingFile is the file behind loop device n, or "" when it has none.
func backingFile(n int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/loop/backing_file", n))
	if err != nil {
		return ""
	}
	return string(bytes.TrimSuffix(raw, []byte("\n")))
}
