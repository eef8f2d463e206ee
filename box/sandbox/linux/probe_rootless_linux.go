package linux

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// probeRootless looks for what differs where root is that of a user namespace.
func (r *Report) probeRootless(s standing) {
	r.add("/proc of its own", true, procWhole(), "", "boxes cannot be given one: only root can")
	var err error
	if s.shared() {
		err = whyShared()
	}
	r.add("user ids for functions", false, err, fmt.Sprint(s.ids.Count),
		"all functions are one user, yours: namespaces and the system call filter keep them apart, not the user")
	r.add("own share of what the kernel counts for each user", false, errors.New("the kernel counts all for one user"), "",
		"a function can use up inotify instances for all of yours")
	r.probeDelegation(s)
	r.add("disk-backed /tmp", false, errors.New("only root may mount a disk"), "", "/tmp of a function is memory, up to its size")
}

// procWhole says why the kernel would refuse a new /proc: it gives one in a user
// namespace only to who can see all of another. It does not mind what is mounted on a
// directory that is always empty.
func procWhole() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) > 4 && strings.HasPrefix(f[4], "/proc/") && f[4] != "/proc/sys/fs/binfmt_misc" {
			return fmt.Errorf("%s is covered, as in a container", unescape(f[4]))
		}
	}
	return nil
}

// whyShared says why this namespace has one user id.
func whyShared() error {
	users, err := readIDMap("/proc/self/uid_map")
	if err != nil || len(users) == 0 {
		return errors.New("this namespace has too few")
	}
	if _, err := Subordinate(users[0].outside); err != nil {
		return err
	}
	return errors.New("newuidmap could not give them")
}

// probeDelegation looks for control groups that this user may divide, and says what
// does their work else.
func (r *Report) probeDelegation(s standing) {
	trees, err := findTrees()
	dir := ""
	if i := slices.IndexFunc(trees, func(t *tree) bool { return t.unified }); i >= 0 {
		dir, err = trees[i].base(true)
	} else if err == nil {
		err = errors.New("there is no tree of version 2")
	}
	var has []string
	if err == nil {
		text, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers")) // unreadable is none
		has = strings.Fields(string(text))
	}
	r.add("control groups", false, err, dir, "systemd-run --user --scope -p Delegate=yes would give some, on a host with version 2 alone")
	for _, c := range []struct{ name, title, cost string }{
		{"memory", "memory limit", "a function can take all memory of this host; what exceeds it first is ended first"},
		{"cpu", "CPU limit", "a function can take all processors of this host"},
		{"pids", "process limit", "a fork bomb is not stopped"},
	} {
		var err error
		detail := dir
		if !slices.Contains(has, c.name) {
			err = fmt.Errorf("no control group controller %q", c.name)
		}
		if c.name == "pids" && err != nil && s.limitsProcesses(release()) {
			err, detail = nil, "the kernel's limit for each user"
		}
		r.add(c.title, false, err, detail, c.cost)
	}
	how := "version 2"
	if dir == "" || err != nil {
		how = "by signals, which programs can notice"
	}
	r.add("freezing", true, nil, how, "")
}

// release is the kernel's.
func release() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // cannot fail with a valid pointer
	return unix.ByteSliceToString(u.Release[:])
}
