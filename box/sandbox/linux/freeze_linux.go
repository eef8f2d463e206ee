package linux

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// freezer stops the processes of a box. freeze returns when none runs; stop does not
// wait; thaw lets them go on.
type freezer interface {
	freeze() error
	stop() error
	thaw() error
	close()
}

var (
	_ freezer = (*groupFreezer)(nil)
	_ freezer = (*crowd)(nil)
)

// groupFreezer is the pair of control files with which a group freezes. They stay
// open: freezing is on the path of every invocation.
type groupFreezer struct {
	control *os.File // is written
	state   *os.File // says how far it came; the same file on v1
	on, off string   // what is written
	frozen  string   // what state holds when nothing runs
	// legacy is version 1, which asks each thread once and passes over one that was
	// about to wait for the exec of its child: it must be told again.
	legacy bool
}

// openFreezer opens the files of the v2 directory core, or of a v1 freezer's.
func openFreezer(core, legacy string) (*groupFreezer, error) {
	if core == "" {
		f, err := openControl(legacy, "freezer.state", os.O_RDWR)
		return &groupFreezer{control: f, state: f, on: "FROZEN", off: "THAWED", frozen: "FROZEN", legacy: true}, err
	}
	control, err := openControl(core, "cgroup.freeze", os.O_WRONLY)
	if err != nil {
		return nil, err
	}
	state, err := openControl(core, "cgroup.events", os.O_RDONLY)
	if err != nil {
		_ = control.Close() // nothing was written
		return nil, err
	}
	return &groupFreezer{control: control, state: state, on: "1", off: "0", frozen: "frozen 1"}, nil
}

// close lets the files go.
func (f *groupFreezer) close() {
	_ = f.control.Close() // each write has been answered
	if f.state != f.control {
		_ = f.state.Close() // only read
	}
}

// freeze stops every thread of the group and returns when none runs.
func (f *groupFreezer) freeze() error {
	if err := f.stop(); err != nil {
		return err
	}
	// The kernel reports a change at most every 10 ms: asking again is faster than
	// being told.
	buf := make([]byte, 256)
	for p := patient(10*time.Microsecond, time.Millisecond, 2*time.Second); ; {
		n, err := f.state.ReadAt(buf, 0)
		if n == 0 {
			return fmt.Errorf("read %s: %w", f.state.Name(), err)
		}
		if bytes.Contains(buf[:n], []byte(f.frozen)) {
			return nil
		}
		if !p.nap() {
			return fmt.Errorf("%s: %q was not reached within 2 s", f.state.Name(), f.frozen)
		}
		if f.legacy {
			if err := f.stop(); err != nil {
				return err
			}
		}
	}
}

// stop begins to freeze and does not wait.
func (f *groupFreezer) stop() error {
	_, err := f.control.WriteAt([]byte(f.on), 0)
	return err
}

// thaw lets every thread go on.
func (f *groupFreezer) thaw() error {
	_, err := f.control.WriteAt([]byte(f.off), 0)
	return err
}

// openThaw gives the descriptor through which an init thaws the group before it
// ends, or -1 where the kernel does not need that: a process in a frozen v2 group
// dies of a kill, one in a v1 freezer waits for the thaw.
func (g *group) openThaw() (int, error) {
	if g.legacy == "" {
		return -1, nil
	}
	fd, err := unix.Open(filepath.Join(g.legacy, "freezer.state"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s/freezer.state: %w", g.legacy, err)
	}
	return fd, nil
}
