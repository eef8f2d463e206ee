package linux

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// entryVariable tells a program that was started by Enter what to do first. It does
// not reach the program's own environment.
const entryVariable = "_KILN_ROOTLESS"

// The stages of an entry. A namespace whose ids are still to be written has no root:
// who waits for them becomes it by executing itself once more.
const (
	entryWaits = "wait"
	entryDone  = "done"
)

// Entry is the bond between a program inside a user namespace and the one that started
// it there.
type Entry struct {
	line *os.File
}

// Settle must be called first of all in main of a program that calls Enter. It gives
// nil in a program that was started otherwise, and the entry in one that Enter
// started, which then is root of its user namespace.
func Settle() (*Entry, error) {
	stage, ok := os.LookupEnv(entryVariable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(entryVariable); err != nil {
		return nil, err
	}
	line := os.NewFile(3, "entry")
	if stage == entryWaits {
		if n, err := line.Read(make([]byte, 1)); n != 1 {
			return nil, fmt.Errorf("enter a user namespace: whoever began it is gone: %w", err)
		}
		env := append(os.Environ(), entryVariable+"="+entryDone)
		return nil, fmt.Errorf("enter a user namespace: %w", syscall.Exec("/proc/self/exe", os.Args, env))
	}
	unix.CloseOnExec(3)
	s, err := findStanding()
	switch {
	case err != nil:
		return nil, err
	case !s.rootless || os.Geteuid() != 0:
		return nil, fmt.Errorf("the variable %s is set, and this is not the root of a user namespace: unset it", entryVariable)
	}
	return &Entry{line: line}, nil
}

// Alone returns when the program that called Enter has ended.
func (e *Entry) Alone() {
	buf := make([]byte, 16)
	for {
		if _, err := e.line.Read(buf); err != nil {
			return
		}
	}
}

// Entered is a program that runs in a user namespace of its own.
type Entered struct {
	Command *exec.Cmd
	line    *os.File
}

// Enter starts this program again, with the same arguments, as root of a user
// namespace and with a mount namespace of its own, where boxes can be made. Every user
// id that this user may have is there; where that is only one, all boxes share it.
// The command's streams and attributes are the caller's to set in prepare; it must not
// set descriptors to inherit. Whoever calls Enter must Wait.
func Enter(prepare func(*exec.Cmd)) (*Entered, error) {
	if _, err := os.Stat("/proc/self/ns/user"); err != nil {
		return nil, fmt.Errorf("%w: this kernel has no user namespaces", ErrUnsupported)
	}
	ids, _ := Subordinate(os.Getuid()) // why there are none is for the doctor to say
	if ids != nil {
		e, err := start(prepare, ids)
		if err == nil {
			return e, nil
		}
		var m *mapError
		if !errors.As(err, &m) {
			return nil, err
		}
	}
	return start(prepare, nil)
}

// mapError says that ids could not be given to a namespace.
type mapError struct{ err error }

// Error gives the words of the program that should have.
func (e *mapError) Error() string { return e.err.Error() }

// start does the work of Enter, with ids of the user's or with the user alone.
func start(prepare func(*exec.Cmd), ids *Subordinates) (_ *Entered, err error) {
	mine, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// The pipe's end in the program is the one that is read: it ends with this process.
	defer mine.Close()
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Args[0] = os.Args[0]
	c.Env = os.Environ()
	prepare(c)
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER | unix.CLONE_NEWNS
	stage := entryWaits
	if ids == nil {
		stage = entryDone
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	c.Env = append(c.Env, entryVariable+"="+stage)
	c.ExtraFiles = []*os.File{mine}
	if err := c.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: a user namespace cannot be made: %w", ErrUnsupported, cause(err)), theirs.Close())
	}
	e := &Entered{Command: c, line: theirs}
	if ids == nil {
		return e, nil
	}
	err = ids.give(c.Process.Pid)
	if err != nil {
		err = &mapError{err}
	} else {
		_, err = theirs.Write([]byte{1})
	}
	if err != nil {
		return nil, errors.Join(err, c.Process.Kill(), ignoreExit(c.Wait()), theirs.Close())
	}
	return e, nil
}

// cause gives the kernel's answer without the path of the program, which is this one.
func cause(err error) error {
	if p := (*os.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// ignoreExit leaves out that a program which was killed did not end well.
func ignoreExit(err error) error {
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		return nil
	}
	return err
}

// Wait waits for the end of the program, and gives its exit code.
func (e *Entered) Wait() (int, error) {
	err := errors.Join(ignoreExit(e.Command.Wait()), e.line.Close())
	s := e.Command.ProcessState
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal()), err
	}
	return s.ExitCode(), err
}

// Subordinates are the ids that the administrator has given to a user besides the
// user's own.
type Subordinates struct {
	uids, gids         []UIDRange
	setUIDs, setGIDs   string // the programs that may write them
	ownUserID, ownGrID int
}

// Subordinate finds the ids of a user of this host, or says why there are none to be
// had.
func Subordinate(uid int) (*Subordinates, error) {
	s := &Subordinates{ownUserID: uid, ownGrID: os.Getgid()}
	var err error
	for _, p := range []struct {
		name string
		path *string
	}{{"newuidmap", &s.setUIDs}, {"newgidmap", &s.setGIDs}} {
		if *p.path, err = exec.LookPath(p.name); err != nil {
			return nil, fmt.Errorf("%s was not found (package uidmap)", p.name)
		}
	}
	names := []string{strconv.Itoa(uid)}
	if u, err := user.LookupId(names[0]); err == nil {
		names = append(names, u.Username)
	}
	if s.uids, err = readSubordinates("/etc/subuid", names); err != nil {
		return nil, err
	}
	s.gids, err = readSubordinates("/etc/subgid", names)
	return s, err
}

// readSubordinates reads the ranges of a user, by name or number, from a table of
// "user:first:count".
func readSubordinates(path string, names []string) ([]UIDRange, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []UIDRange
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		for _, name := range names {
			rest, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), name+":")
			if !ok {
				continue
			}
			first, count, _ := strings.Cut(rest, ":")
			a, errA := strconv.Atoi(first)
			n, errN := strconv.Atoi(count)
			if errA == nil && errN == nil && n > 0 {
				list = append(list, UIDRange{First: a, Count: n})
			}
			break
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no line for user %s", path, names[len(names)-1])
	}
	return list, nil
}

// give writes the ids of the namespace of a process: its root is this user, and the
// others follow.
func (s *Subordinates) give(pid int) error {
	for _, m := range []struct {
		program string
		own     int
		ranges  []UIDRange
	}{{s.setUIDs, s.ownUserID, s.uids}, {s.setGIDs, s.ownGrID, s.gids}} {
		args := []string{strconv.Itoa(pid), "0", strconv.Itoa(m.own), "1"}
		inside := 1
		for _, r := range m.ranges {
			args = append(args, strconv.Itoa(inside), strconv.Itoa(r.First), strconv.Itoa(r.Count))
			inside += r.Count
		}
		if out, err := exec.Command(m.program, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", m.program, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
