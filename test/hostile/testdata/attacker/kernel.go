package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cstring is a text as the kernel takes it.
func cstring(s string) uintptr {
	b, err := unix.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	return uintptr(unsafe.Pointer(b))
}

// mounts tries every way to change what is mounted. Reads Dir.
func mounts(e *event, r *report) {
	for _, kind := range []string{"tmpfs", "proc", "cgroup", "cgroup2", "overlay", "sysfs", "devtmpfs"} {
		r.tried("mount "+kind, unix.Mount("x", e.Dir, kind, 0, ""))
	}
	r.tried("bind", unix.Mount("/", e.Dir, "", unix.MS_BIND, ""))
	r.tried("remount", unix.Mount("", e.Dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	r.tried("propagate", unix.Mount("", e.Dir, "", unix.MS_SHARED, ""))
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	r.tried("fsopen", err)
	tree := -1
	if err == nil {
		_ = unix.FsconfigCreate(fs) // fsmount tells
		tree, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
		r.tried("fsmount", err)
	} else {
		r.tried("fsmount", raw(unix.SYS_FSMOUNT, ^uintptr(0), 0, 0))
	}
	at := unix.AT_FDCWD
	cloned, err := unix.OpenTree(at, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	r.tried("open_tree", err)
	if tree < 0 {
		tree = cloned
	}
	r.tried("move_mount", unix.MoveMount(tree, "", at, e.Dir, unix.MOVE_MOUNT_F_EMPTY_PATH))
	r.tried("mount_setattr", unix.MountSetattr(at, e.Dir, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOEXEC}))
	r.tried("pivot_root", unix.PivotRoot(e.Dir, e.Dir))
	r.tried("umount2", unix.Unmount(e.Dir, unix.MNT_DETACH))
	for _, masked := range e.Paths {
		r.tried("umount2 "+masked, unix.Unmount(masked, unix.MNT_DETACH))
	}
}

// namespaces tries to get into others. On the host it leaves only its own.
func namespaces(_ *event, r *report) {
	flags := map[string]int{"user": unix.CLONE_NEWUSER, "mount": unix.CLONE_NEWNS, "net": unix.CLONE_NEWNET, "pid": unix.CLONE_NEWPID, "uts": unix.CLONE_NEWUTS, "ipc": unix.CLONE_NEWIPC, "cgroup": unix.CLONE_NEWCGROUP}
	for name, flag := range flags {
		r.tried("clone "+name, cloned(uintptr(flag)))
	}
	for name, flag := range flags { // later: the first child in a new pid namespace is also the last one
		if name != "user" { // a program of many threads cannot
			r.tried("unshare "+name, unix.Unshare(flag))
		}
	}
	r.tried("clone3", raw(unix.SYS_CLONE3, 0, 0))
	self, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		self = 0
	}
	r.tried("setns", unix.Setns(self, unix.CLONE_NEWNET))
}

// cloned makes a child that ends at once, in new namespaces.
//
//go:nosplit
func cloned(flags uintptr) error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		for {
			unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
		}
	}
	_, _ = unix.Wait4(int(pid), nil, 0, nil) // it has ended or is about to
	return nil
}

// nodes makes devices and opens files past the permissions of their folders. Reads
// Dir (of the nodes), Paths (devices), Marker (a file of the host).
func nodes(e *event, r *report) {
	for name, device := range map[string]uint64{"disk": unix.Mkdev(254, 0), "loop": unix.Mkdev(7, 0)} {
		r.tried("block device "+name, unix.Mknod(filepath.Join(e.Dir, name), unix.S_IFBLK|0o600, int(device)))
	}
	for name, device := range map[string]uint64{"mem": unix.Mkdev(1, 1), "kmsg": unix.Mkdev(1, 11), "null": unix.Mkdev(1, 3)} {
		p := filepath.Join(e.Dir, name)
		r.tried("character device "+name, unix.Mknod(p, unix.S_IFCHR|0o600, int(device)))
	}
	for _, p := range e.Paths {
		fd, err := unix.Open(p, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		r.tried("open "+p, err)
		if err == nil {
			_ = unix.Close(fd)
		}
	}
	// A handle of the host's root or of the marker itself, as far as it can be had.
	handle := unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0}) // inode 2 is the root of ext4
	if h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, e.Marker, 0); err == nil {
		handle = h
	}
	mount, err := unix.Open(e.Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	r.tried("wanted own folder", err)
	fd, err := unix.OpenByHandleAt(mount, handle, unix.O_RDONLY)
	r.tried("open_by_handle_at", err)
	if err == nil {
		_ = unix.Close(fd)
	}
	_ = unix.Close(mount)
}

// processes reaches for other processes: a child of its own, the box's init and
// those of PIDs. It changes none. Reads PIDs.
func processes(e *event, r *report) {
	child := exec.Command("/proc/self/exe", "sleep")
	in, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	r.tried("wanted child", err)
	if err != nil {
		return
	}
	reach := func(name string, pid int) {
		r.tried("ptrace "+name, func() error {
			if err := raw(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid)); err != nil {
				return err
			}
			_ = raw(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid)) // the kernel does it at our end, too
			return nil
		}())
		local, remote := unix.Iovec{Base: new(byte), Len: 1}, unix.RemoteIovec{Base: uintptr(unsafe.Pointer(&r.Results)), Len: 1}
		_, err := unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
		if err == unix.EFAULT { // allowed, only nothing lies there
			err = nil
		}
		r.tried("process_vm_readv "+name, err)
	}
	reach("child", child.Process.Pid)
	reach("init", 1)
	for i, pid := range e.PIDs {
		name := fmt.Sprint("host ", i)
		reach(name, pid)
		r.tried("signal "+name, unix.Kill(pid, 0))
		for _, what := range []string{"environ", "mem", "root", "fd", "maps"} {
			_, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, what))
			r.tried("open "+what+" "+name, err)
		}
	}
	_ = in.Close()
	_ = child.Wait() // its end is all that counts
}

// kernelCalls are the calls that a function has no use for, with arguments that do
// nothing where they are allowed.
var kernelCalls = map[string]func() error{
	"bpf":               func() error { return raw(unix.SYS_BPF, 0, 0, 0) },
	"perf_event_open":   func() error { return raw(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0) },
	"userfaultfd":       func() error { return closing(unix.SYS_USERFAULTFD, unix.O_CLOEXEC) },
	"io_uring_setup":    func() error { return raw(unix.SYS_IO_URING_SETUP, 8, 0) },
	"keyctl":            func() error { return raw(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, ^uintptr(2), 0) },
	"request_key":       func() error { return raw(unix.SYS_REQUEST_KEY, cstring("user"), cstring("kiln:none"), 0, 0) },
	"kexec_load":        func() error { return raw(unix.SYS_KEXEC_LOAD, 0, 1<<20, 0, 0) },
	"init_module":       func() error { return raw(unix.SYS_INIT_MODULE, 0, 0, 0) },
	"finit_module":      func() error { return raw(unix.SYS_FINIT_MODULE, ^uintptr(0), 0, 0) },
	"delete_module":     func() error { return raw(unix.SYS_DELETE_MODULE, cstring("kiln-none"), unix.O_NONBLOCK) },
	"quotactl":          func() error { return raw(unix.SYS_QUOTACTL, 0x80000700, cstring("/nowhere"), 0, 0) },
	"open_by_handle_at": func() error { return raw(unix.SYS_OPEN_BY_HANDLE_AT, ^uintptr(0), 0, 0) },
	"swapon":            func() error { return raw(unix.SYS_SWAPON, cstring("/nowhere"), 0) },
	"reboot":            func() error { return raw(unix.SYS_REBOOT, 0, 0, 0, 0) },
	"settimeofday":      func() error { return raw(unix.SYS_SETTIMEOFDAY, 0, 0) },
	"clock_settime":     func() error { return raw(unix.SYS_CLOCK_SETTIME, 1, 0) },
	"acct":              func() error { return raw(unix.SYS_ACCT, cstring("/nowhere/kiln")) },
	"syslog":            func() error { return raw(unix.SYS_SYSLOG, 10, 0, 0) },
	"fanotify_init":     func() error { return closing(unix.SYS_FANOTIFY_INIT, unix.FAN_CLOEXEC, 0) },
	"kcmp":              func() error { return raw(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(os.Getpid()), 1, 0, 0) },
	"pidfd_getfd":       func() error { return raw(unix.SYS_PIDFD_GETFD, ^uintptr(0), 0, 0) },
	"memfd_secret":      func() error { return closing(unix.SYS_MEMFD_SECRET, unix.O_CLOEXEC) },
	"personality":       func() error { return raw(unix.SYS_PERSONALITY, 0x0400000) },
	"sethostname":       func() error { return raw(unix.SYS_SETHOSTNAME, cstring("localhost"), 9) },
	"vhangup":           func() error { return raw(unix.SYS_VHANGUP) },
}

// closing makes a call that gives a descriptor, and closes that.
func closing(number uintptr, args ...uintptr) error {
	var a [3]uintptr
	copy(a[:], args)
	fd, _, errno := unix.Syscall(number, a[0], a[1], a[2])
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

// calls makes kernel calls, those of Paths or all.
func calls(e *event, r *report) {
	for name, call := range kernelCalls {
		if len(e.Paths) == 0 || slices.Contains(e.Paths, name) {
			r.tried(name, call())
		}
	}
}

// terminals types into whatever its three descriptors are.
func terminals(_ *event, r *report) {
	for fd := range uintptr(3) {
		var c byte = 'x'
		size := unix.Winsize{}
		r.tried(fmt.Sprint("TIOCGWINSZ ", fd), raw(unix.SYS_IOCTL, fd, unix.TIOCGWINSZ, uintptr(unsafe.Pointer(&size))))
		r.tried(fmt.Sprint("TIOCSTI ", fd), raw(unix.SYS_IOCTL, fd, unix.TIOCSTI, uintptr(unsafe.Pointer(&c))))
		c = 3 // paste
		r.tried(fmt.Sprint("TIOCLINUX ", fd), raw(unix.SYS_IOCTL, fd, unix.TIOCLINUX, uintptr(unsafe.Pointer(&c))))
	}
	for _, p := range []string{"/dev/tty", "/dev/ptmx", "/dev/console", "/dev/tty0", "/dev/vcs"} {
		f, err := os.OpenFile(p, os.O_RDWR|unix.O_NOCTTY, 0)
		r.tried(p, err)
		if err == nil {
			_ = f.Close() // nothing was written
		}
	}
}

// sockets opens what a function needs and what it does not.
func sockets(_ *event, r *report) {
	open := func(name string, domain, kind, protocol int) {
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, protocol)
		r.tried(name, err)
		if err == nil {
			_ = unix.Close(fd) // nothing was sent
		}
	}
	open("wanted unix", unix.AF_UNIX, unix.SOCK_STREAM, 0)
	open("wanted tcp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	open("wanted tcp6", unix.AF_INET6, unix.SOCK_STREAM, 0)
	open("wanted udp", unix.AF_INET, unix.SOCK_DGRAM, 0)
	open("wanted route", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	links, err := net.Interfaces()
	r.tried("wanted interfaces", err)
	for _, l := range links {
		r.Texts[l.Name] = l.Flags.String()
	}
	for name, protocol := range map[string]int{"netfilter": unix.NETLINK_NETFILTER, "audit": unix.NETLINK_AUDIT, "kobject": unix.NETLINK_KOBJECT_UEVENT, "diag": unix.NETLINK_SOCK_DIAG, "xfrm": unix.NETLINK_XFRM, "generic": unix.NETLINK_GENERIC} {
		open("netlink "+name, unix.AF_NETLINK, unix.SOCK_RAW, protocol)
	}
	open("packet", unix.AF_PACKET, unix.SOCK_RAW, 0)
	open("packet datagram", unix.AF_PACKET, unix.SOCK_DGRAM, 0)
	open("vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	open("alg", unix.AF_ALG, unix.SOCK_SEQPACKET, 0)
	open("tipc", unix.AF_TIPC, unix.SOCK_STREAM, 0)
	open("bluetooth", unix.AF_BLUETOOTH, unix.SOCK_RAW, 1)
	open("xdp", unix.AF_XDP, unix.SOCK_RAW, 0)
	open("raw icmp", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	open("raw ip", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	open("raw icmp6", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)
	open("sctp", unix.AF_INET, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP)
	open("mptcp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
}

// held are sockets that stay open until the program ends.
var held []io.Closer

// listenAbstract listens on a name that no file system guards. Reads Text.
func listenAbstract(e *event, r *report) {
	l, err := net.Listen("unix", "@"+e.Text)
	r.tried("listen", err)
	if err == nil {
		held = append(held, l)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.Close() // that it came was all
			}
		}()
	}
}

// connectAbstract connects to such names. Reads Paths.
func connectAbstract(e *event, r *report) {
	for _, name := range e.Paths {
		c, err := net.Dial("unix", name)
		r.tried(name, err)
		if err == nil {
			_ = c.Close() // nothing was written
		}
	}
}
