package linux

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Probe tries what sandboxes need, changes nothing, and says what the lack of each
// ability costs. It tells what this process may do: run it as the server's user.
func Probe() Report {
	r := Report{System: fmt.Sprintf("linux %s %s", release(), runtime.GOARCH)}
	s, err := findStanding()
	if err == nil {
		err = isRoot()
	}
	if err == nil {
		r.Tier = s.tier()
	}
	r.add("root", true, err, map[bool]string{true: "of a user namespace"}[s.rootless], "only the process driver (no isolation) works")
	r.add("processor", true, knownProcessor(), runtime.GOARCH, "there is no init program for this architecture")
	r.probeNamespaces()
	r.probeCalls()
	if s.rootless {
		r.probeRootless(s)
	} else {
		r.probeGroups()
		r.probeScratch()
	}
	r.probeExtras()
	return r
}

// isRoot says why this process is not the superuser, or nil.
func isRoot() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("running as user %d", os.Geteuid())
	}
	return nil
}

// knownProcessor says whether there is an init for this architecture.
func knownProcessor() error {
	if initFor(runtime.GOARCH) == nil {
		return fmt.Errorf("%s is neither amd64 nor arm64", runtime.GOARCH)
	}
	return nil
}

// probeNamespaces makes each kind of namespace on a thread that ends at once.
func (r *Report) probeNamespaces() {
	for _, n := range []struct {
		name string
		flag int
	}{
		{"process id", unix.CLONE_NEWPID}, {"mount", unix.CLONE_NEWNS}, {"network", unix.CLONE_NEWNET},
		{"inter-process communication", unix.CLONE_NEWIPC}, {"host name", unix.CLONE_NEWUTS}, {"control group", unix.CLONE_NEWCGROUP},
	} {
		err := apart(func() error { return unix.Unshare(n.flag) })
		r.add(n.name+" namespaces", true, err, "", "boxes cannot be kept apart: only the process driver works")
	}
	limit, err := kernelSetting("user/max_user_namespaces")
	switch {
	case err == nil && limit == "0":
		err = errors.New("user.max_user_namespaces is 0")
	case is("kernel/unprivileged_userns_clone", "0"):
		err = errors.New("kernel.unprivileged_userns_clone is 0")
	case is("kernel/apparmor_restrict_unprivileged_userns", "1"):
		err = errors.New("kernel.apparmor_restrict_unprivileged_userns is 1: a profile must allow it")
	}
	r.add("user namespaces", false, err, "at most "+limit, "kiln cannot run without root here")
}

// kernelSetting reads a setting of the kernel.
func kernelSetting(name string) (string, error) {
	text, err := os.ReadFile("/proc/sys/" + name)
	return strings.TrimSpace(string(text)), err
}

// is says whether a setting of the kernel exists and has a value.
func is(name, value string) bool {
	got, err := kernelSetting(name)
	return err == nil && got == value
}

// probeCalls tries the system calls with which boxes are made.
func (r *Report) probeCalls() {
	tryFD := func(fd int, err error) error {
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	call := func(name string, err error, detail string) { r.add(name, true, err, detail, whyNoCall(err)) }
	call("process descriptors", tryFD(unix.PidfdOpen(os.Getpid(), 0)), "pidfd_open")
	call("detached mounts", tryFD(newFilesystem("tmpfs", 0)), "fsopen, fsmount")
	call("mount attributes", func() error {
		fd, err := newFilesystem("tmpfs", 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return setAttributes(fd, sealedMount)
	}(), "mount_setattr")
	call("paths that cannot escape", tryFD(within(unix.AT_FDCWD, "/", unix.O_PATH, 0)), "openat2")
	r.add("sealed program in memory", true, tryFD(initMemfd()), "memfd_create", "the init of a box cannot be executed; see sysctl vm.memfd_noexec")
	r.add("system call filter", true, seccompWorks(), "seccomp", "programs could use every system call of the kernel")
}

// whyNoCall says what it means that a system call does not work.
func whyNoCall(err error) string {
	switch forbidden := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES); {
	case forbidden && os.Geteuid() != 0:
		return "only root may try it"
	case forbidden:
		return "it is forbidden here, as in a container or by a security module, and no box can be made without it"
	}
	return "this kernel is too old: Linux 5.12 or newer is needed"
}

// seccompWorks asks whether a filter may answer with an error.
func seccompWorks() error {
	action := uint32(unix.SECCOMP_RET_ERRNO)
	const getActionAvail = 2
	s := script{}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, getActionAvail, 0, hold(&s, &action))
	if errno != 0 {
		return errno
	}
	return nil
}

// probeGroups looks for the control group controllers and how boxes freeze.
func (r *Report) probeGroups() {
	trees, err := findTrees()
	at := map[string]string{}
	var unified, v1 bool
	for _, t := range trees {
		kind := "v1"
		if t.unified {
			unified, kind = true, "v2"
		} else {
			v1 = true
		}
		for _, c := range t.controllers {
			at[c] = kind + " at " + t.point
		}
	}
	layout := map[[2]bool]string{{true, false}: "version 2", {true, true}: "hybrid: version 1 and 2", {false, true}: "version 1"}[[2]bool{unified, v1}]
	if err == nil && layout == "" {
		err = errors.New("none is mounted")
	}
	r.add("control groups", true, err, layout, "boxes cannot be frozen, killed or limited")
	for _, c := range []struct{ name, title, cost string }{
		{"memory", "memory limit", "a function can take all memory of this host"},
		{"cpu", "CPU limit", "a function can take all processors of this host"},
		{"pids", "process limit", "a fork bomb is not stopped"},
	} {
		var err error
		if at[c.name] == "" {
			err = fmt.Errorf("no control group controller %q", c.name)
		}
		r.add(c.title, false, err, at[c.name], c.cost)
	}
	freezer := "version 2"
	if !unified {
		freezer = at["freezer"]
		if freezer == "" {
			err = errors.New("neither version 2 nor the version 1 freezer")
		}
	}
	r.add("freezing", true, err, freezer, "functions would run between invocations")
	if unified && slices.ContainsFunc(trees, func(t *tree) bool { return t.unified && !exists(t.own, "cgroup.kill") && t.own != t.point }) {
		r.add("killing as one", false, errors.New("no cgroup.kill"), "", "killing a box with many processes takes longer (Linux 5.14 has it)")
	}
}

// probeScratch looks for what a disk-backed scratch directory needs.
func (r *Report) probeScratch() {
	const cost = "/tmp of a function is memory, and counts against its limit"
	r.add("loop devices", false, loopsWork(), "/dev/loop-control", cost)
	mkfs := findMkfs()
	var err error
	if mkfs == "" {
		err = errors.New("mkfs.ext4 was not found (package e2fsprogs)")
	}
	r.add("mkfs.ext4", false, err, mkfs, cost)
}

// probeExtras looks for what this driver can do without.
func (r *Report) probeExtras() {
	var err error
	raw, readErr := os.ReadFile("/proc/filesystems")
	if readErr != nil || !strings.Contains(string(raw), "\toverlay\n") {
		err = errors.New("not among /proc/filesystems (it may be a module that is not loaded)")
	}
	r.add("overlay file system", false, err, "", "layers are copied instead of stacked; boxes themselves do without it")
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	err = nil
	if errno != 0 {
		err = errno
	}
	r.add("landlock", false, err, fmt.Sprintf("ABI %d", version), "nothing in a box depends on it: programs that confine themselves cannot")
}
