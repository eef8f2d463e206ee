package linux

import "golang.org/x/sys/unix"

// namespaceFlags are the flags of clone that make namespaces.
const namespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// forbidden are the calls that no program in a box has a use for and that widen
// what a hostile one can try: EPERM, as without the privilege.
var forbidden = []uint32{
	// mounts and namespaces
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK,
	unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR, 467 /* open_tree_attr */, unix.SYS_UNSHARE, unix.SYS_SETNS,
	// the kernel itself
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE,
	unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT,
	unix.SYS_SYSLOG, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_SETHOSTNAME,
	unix.SYS_SETDOMAINNAME, unix.SYS_VHANGUP, unix.SYS_LSM_SET_SELF_ATTR,
	// keys, quotas, files by handle
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_FANOTIFY_INIT, unix.SYS_FANOTIFY_MARK,
	// other processes
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD,
	unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES,
}

// absent are the calls that programs try and do without when the kernel is too old.
var absent = []uint32{
	unix.SYS_CLONE3, // its flags lie in memory, where a filter cannot look; libraries fall back to clone
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_MEMFD_SECRET, unix.SYS_STATMOUNT, unix.SYS_LISTMOUNT, unix.SYS_NFSSERVCTL,
}

// commonPolicy is what all architectures share.
func commonPolicy(arch uint32) policy {
	p := policy{arch: arch, calls: map[uint32]verdict{}}
	p.deny(unix.EPERM, forbidden)
	p.deny(unix.ENOSYS, absent)
	p.calls[unix.SYS_CLONE] = without(0, namespaceFlags, uint32(unix.EPERM))
	p.calls[unix.SYS_PERSONALITY] = oneOf(0, 0xffffffff, uint32(unix.EPERM), 0, 0xffffffff)
	p.calls[unix.SYS_SOCKETPAIR] = oneOf(0, 0xffffffff, uint32(unix.EAFNOSUPPORT), unix.AF_UNIX)
	p.calls[unix.SYS_SOCKET] = socketVerdict()
	return p
}

// deny gives a list of calls one error.
func (p *policy) deny(errno unix.Errno, calls []uint32) {
	for _, n := range calls {
		p.calls[n] = fail(uint32(errno))
	}
}

// socketVerdict allows unix sockets, TCP, UDP and ping sockets of both address
// families, and the netlink protocol with which libraries list interfaces.
func socketVerdict() verdict {
	const argDomain, argType, argProtocol = dataArg0, dataArg0 + 8, dataArg0 + 16
	internet := verdict{
		load(argType),
		statement(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, 0xf), // without SOCK_CLOEXEC and SOCK_NONBLOCK
		branch(unix.BPF_JEQ, unix.SOCK_STREAM, 2, 0),
		branch(unix.BPF_JEQ, unix.SOCK_DGRAM, 1, 0),
		refuse(uint32(unix.EPERM)),
	}
	internet = append(internet, oneOf(2, 0xffffffff, uint32(unix.EPROTONOSUPPORT),
		0, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6)...)
	netlink := oneOf(2, 0xffffffff, uint32(unix.EPERM), unix.NETLINK_ROUTE)

	head := verdict{
		load(argDomain),
		branch(unix.BPF_JEQ, unix.AF_UNIX, 3, 0),
		branch(unix.BPF_JEQ, unix.AF_NETLINK, 4, 0),
		branch(unix.BPF_JEQ, unix.AF_INET, uint8(3+len(netlink)), 0),
		branch(unix.BPF_JEQ, unix.AF_INET6, uint8(2+len(netlink)), 1),
		allow,
		refuse(uint32(unix.EAFNOSUPPORT)),
	}
	return append(append(head, netlink...), internet...)
}
