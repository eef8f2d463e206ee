package linux

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// confinement is what every process of a box gives up, worked out once: the same
// for all boxes but the user id.
type confinement struct {
	lastCapability int
	hard           map[int]uint64 // this process's hard limits, which it may not be able to raise
	raise          bool           // it is
	groups         bool           // supplementary groups can be dropped
	// limitsProcesses says whether the kernel's limit of processes for each user holds
	// for each box: where no control group does it.
	limitsProcesses bool
	filter          []unix.SockFilter
	oomScore        string
}

// newConfinement reads what this process is allowed.
func newConfinement(s standing) (*confinement, error) {
	c := &confinement{lastCapability: 40, hard: map[int]uint64{}, oomScore: "500", groups: !s.shared(), limitsProcesses: s.limitsProcesses(release())}
	if raw, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil {
			c.lastCapability = n
		}
	}
	for _, resource := range []int{unix.RLIMIT_NOFILE, unix.RLIMIT_FSIZE, unix.RLIMIT_CORE, unix.RLIMIT_STACK, unix.RLIMIT_MEMLOCK, unix.RLIMIT_MSGQUEUE, unix.RLIMIT_NPROC} {
		var l unix.Rlimit
		if err := unix.Getrlimit(resource, &l); err != nil {
			return nil, fmt.Errorf("read resource limit %d: %w", resource, err)
		}
		c.hard[resource] = l.Max
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil, fmt.Errorf("read capabilities: %w", err)
	}
	// In a user namespace the capability is there and counts for nothing here.
	c.raise = data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0 && !s.rootless
	var err error
	c.filter, err = compileFilter(nativePolicy())
	return c, err
}

// limit appends one resource limit, no higher than this process may set it.
func (c *confinement) limit(s *script, resource int, soft, hard uint64) {
	if !c.raise {
		soft, hard = min(soft, c.hard[resource]), min(hard, c.hard[resource])
	}
	s.add("set resource limit", unix.SYS_PRLIMIT64, 0, uintptr(resource), hold(s, &unix.Rlimit{Cur: soft, Max: hard}), 0)
}

// signals appends that no signal is ignored or blocked, whatever this process
// inherited (nohup ignores SIGHUP).
func (c *confinement) signals(s *script) {
	var action [4]uint64 // struct sigaction of SIG_DFL
	address := hold(s, &action)
	for n := uintptr(1); n <= 64; n++ {
		s.try("reset signal", unix.SYS_RT_SIGACTION, n, address, 0, 8)
	}
	s.add("unblock signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, hold(s, new(uint64)), 0, 8)
}

// isolateUser appends the making of a user namespace whose only user is uid, which
// outside is this process's own. Descriptor 2 is closed afterwards.
func (c *confinement) isolateUser(s *script, uid int) {
	s.add("new user namespace", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	at := unix.AT_FDCWD
	put := func(file, text string) {
		// With 0 and 1 in use, 2 is the next descriptor.
		s.add("close descriptor", unix.SYS_CLOSE_RANGE, 2, 2, 0)
		s.add("open "+file, unix.SYS_OPENAT, uintptr(at), s.text("/proc/self/"+file), unix.O_WRONLY|unix.O_CLOEXEC, 0)
		s.add("write "+file, unix.SYS_WRITE, 2, s.text(text), uintptr(len(text)))
	}
	put("setgroups", "deny")
	line := fmt.Sprintf("%d 0 1", uid)
	put("uid_map", line)
	put("gid_map", line)
	s.add("close descriptor", unix.SYS_CLOSE_RANGE, 2, 2, 0)
	c.dropBounds(s)
}

// enterUser appends the entry into a user namespace, with no more rights than before.
func (c *confinement) enterUser(s *script, ns int) {
	s.add("enter user namespace", unix.SYS_SETNS, s.source(ns), unix.CLONE_NEWUSER)
	c.dropBounds(s)
}

// dropBounds appends the loss of the bounding set, which a new user namespace fills.
func (c *confinement) dropBounds(s *script) {
	for n := range uintptr(c.lastCapability + 1) {
		s.add("drop capability", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, n, 0, 0, 0)
	}
}

// surrender appends the loss of root: groups, user, every capability, and the way
// back. The bounding set is gone already: the thread that makes the child has none.
func (c *confinement) surrender(s *script, uid int) {
	id := uintptr(uid)
	if c.groups {
		s.add("drop groups", unix.SYS_SETGROUPS, 0, 0)
	}
	s.add("set group", unix.SYS_SETRESGID, id, id, id)
	s.add("set user", unix.SYS_SETRESUID, id, id, id)
	s.add("no new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	header := hold(s, &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3})
	s.add("drop capabilities", unix.SYS_CAPSET, header, hold(s, &[2]unix.CapUserData{}))
}

// filterCalls appends the system call filter. What follows must be allowed by it.
func (c *confinement) filterCalls(s *script) {
	program := &unix.SockFprog{Len: uint16(len(c.filter)), Filter: &c.filter[0]}
	s.add("filter system calls", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, hold(s, program))
}
