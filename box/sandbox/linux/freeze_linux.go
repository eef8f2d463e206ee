package linux

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// freeze stops every thread of the group and returns when none runs.
func (g *group) freeze() error {
	if err := g.stop(); err != nil {
		return err
	}
	if g.core != "" {
		return g.until(filepath.Join(g.core, "cgroup.events"), "frozen 1")
	}
	return g.until(filepath.Join(g.freezer, "freezer.state"), "FROZEN")
}

// stop begins to freeze and does not wait.
func (g *group) stop() error {
	if g.core != "" {
		return write(g.core, "cgroup.freeze", "1")
	}
	return write(g.freezer, "freezer.state", "FROZEN")
}

// thaw lets every thread go on.
func (g *group) thaw() error {
	if g.core != "" {
		return write(g.core, "cgroup.freeze", "0")
	}
	return write(g.freezer, "freezer.state", "THAWED")
}

// openThaw gives the descriptor through which an init thaws the group before it
// ends, or -1 where the kernel does not need that: a process in a frozen v2 group
// dies of a kill, one in a v1 freezer waits for the thaw.
func (g *group) openThaw() (int, error) {
	if g.freezer == "" {
		return -1, nil
	}
	fd, err := unix.Open(filepath.Join(g.freezer, "freezer.state"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s/freezer.state: %w", g.freezer, err)
	}
	return fd, nil
}

// until reads a control file until it holds want. The kernel reports a change of
// it at most every 10 ms, so that asking again is faster than being told.
func (g *group) until(file, want string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 256)
	deadline := time.Now().Add(2 * time.Second)
	for wait := 20 * time.Microsecond; ; wait = min(2*wait, 2*time.Millisecond) {
		n, err := f.ReadAt(buf, 0)
		if n == 0 {
			return fmt.Errorf("read %s: %w", file, err)
		}
		if bytes.Contains(buf[:n], []byte(want)) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %q was not reached within 2 s", file, want)
		}
		time.Sleep(wait)
	}
}
