package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attacks are what hostile code tries. Each line of output is "name result", where
// the result is the name of an errno, or "ok" when nothing stopped it.
var attacks = map[string]func(args []string){
	"identity": identity,
	"tree":     tree,
	"zombies":  zombies,
	"zombies-middle": func([]string) {
		check(exec.Command("/proc/self/exe", "zombies-late").Start())
	},
	"zombies-late": func([]string) { time.Sleep(20 * time.Millisecond) },
	"files":        openFiles,
	"inodes":       inodes,
	"A01":          overwriteSelf,
	"A02":          inheritedFiles,
	"A04":          breakChroot,
	"A06":          writeKernelSettings,
	"A07":          readKernelFiles,
	"A08":          mounts,
	"A10":          nodes,
	"A11":          setuid,
	"A12":          otherProcesses,
	"A14":          kernelCalls,
	"A16":          terminals,
	"A17":          sockets,
	"A18":          abstractSocket,
	"A20":          readOnly,
	"inotify":      inotify,
	"foreign":      foreignABI,
	"allowed":      allowedCalls,
	"sparse":       sparse,
	"signalall": func([]string) {
		say("kill -1", unix.Kill(-1, unix.SIGKILL)) // everybody whom we may
	},
}

// say prints one result.
func say(name string, err error) {
	var errno syscall.Errno
	switch {
	case err == nil:
		fmt.Println(name, "ok")
	case errors.As(err, &errno):
		fmt.Println(name, unix.ErrnoName(errno))
	default:
		fmt.Println(name, err)
	}
}

// raw makes a system call and prints its result.
func raw(name string, number uintptr, args ...uintptr) {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		say(name, errno)
		return
	}
	say(name, nil)
}

func cstring(s string) uintptr {
	b, err := unix.BytePtrFromString(s)
	check(err)
	return uintptr(unsafe.Pointer(b))
}

// identity prints who this process is.
func identity([]string) {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	for line := range strings.Lines(string(status)) {
		name, _, _ := strings.Cut(line, ":")
		if slices.Contains([]string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Groups", "SigIgn", "SigBlk", "Umask"}, name) {
			fmt.Print(line)
		}
	}
	host, err := os.Hostname()
	check(err)
	fmt.Println("uid", os.Getuid(), "gid", os.Getgid(), "pid", os.Getpid(), "host", host)
	links, err := net.Interfaces()
	check(err)
	for _, l := range links {
		fmt.Println("interface", l.Name, l.Flags)
	}
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	check(err)
	fmt.Println("oom_score_adj", strings.TrimSpace(string(score)))
}

// tree prints the names below a directory, not following links.
func tree(args []string) {
	err := filepath.WalkDir(args[0], func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // what cannot be read cannot be shown
		}
		if path == "/proc" {
			return fs.SkipDir
		}
		fmt.Println(path)
		return nil
	})
	check(err)
}

// zombies makes grandchildren that lose their parent and end, and counts processes
// that nobody has reaped.
func zombies(args []string) {
	for range number(args[0]) {
		// The child's child ends after the child did.
		check(exec.Command("/proc/self/exe", "zombies-middle").Run())
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		total, dead := 0, 0
		dirs, err := filepath.Glob("/proc/[0-9]*/stat")
		check(err)
		for _, d := range dirs {
			b, err := os.ReadFile(d)
			if err != nil {
				continue
			}
			total++
			if _, rest, ok := strings.Cut(string(b), ") "); ok && rest[0] == 'Z' {
				dead++
			}
		}
		if (dead == 0 && total == 1) || time.Now().After(deadline) {
			fmt.Println("processes", total, "zombies", dead)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// openFiles opens descriptors until there are no more.
func openFiles([]string) {
	var n int
	for {
		if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
			fmt.Print("opened ", n, " ")
			say("then", err)
			return
		}
		n++
	}
}

// inodes makes empty files until there is no room.
func inodes(args []string) {
	for i := range number(args[1]) {
		f, err := os.Create(filepath.Join(args[0], strconv.Itoa(i)))
		if err != nil {
			fmt.Print("made ", i, " ")
			say("then", err)
			return
		}
		check(f.Close())
	}
	fmt.Println("made all")
}

// sparse makes a file as large as a file may be.
func sparse(args []string) {
	f, err := os.Create(args[0])
	check(err)
	say("truncate", f.Truncate(1<<60))
	say("fallocate", unix.Fallocate(int(f.Fd()), 0, 0, 1<<40))
}

// overwriteSelf opens programs that run for writing.
func overwriteSelf([]string) {
	for _, p := range []string{"/proc/self/exe", "/proc/1/exe"} {
		for _, mode := range []int{os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC} {
			_, err := os.OpenFile(p, mode, 0)
			say(p, err)
		}
	}
	_, err := os.ReadFile("/proc/1/maps")
	say("/proc/1/maps", err)
	_, err = os.ReadDir("/proc/1/fd")
	say("/proc/1/fd", err)
	raw("trace init", unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1)
	say("kill init", ignoredKill())
}

// ignoredKill sends SIGKILL to process 1; that it is allowed does not matter, that
// process 1 survives does.
func ignoredKill() error {
	_ = unix.Kill(1, unix.SIGKILL)
	time.Sleep(50 * time.Millisecond)
	return nil
}

// inheritedFiles lists what this program was given, and walks out of directories.
func inheritedFiles([]string) {
	for fd := range 4096 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil {
			continue
		}
		link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if strings.Contains(link, "anon_inode:[event") {
			continue // Go's own poller
		}
		fmt.Printf("fd %d type %o\n", fd, st.Mode&unix.S_IFMT>>12)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			fmt.Println("fd", fd, "is a directory", link)
		}
	}
}

// breakChroot is the classic: chroot below, then climb out with the old directory.
func breakChroot(args []string) {
	check(os.MkdirAll("/tmp/jail", 0o755))
	say("chroot", unix.Chroot("/tmp/jail"))
	for range 50 {
		_ = unix.Chdir("..")
	}
	say("chroot .", unix.Chroot("."))
	_, err := os.Stat(args[0])
	say("marker", err)
	_, err = os.Stat("." + args[0])
	say("marker from here", err)
	fd, err := unix.Open("/", unix.O_RDONLY, 0)
	check(err)
	_, err = unix.Openat(fd, strings.Repeat("../", 30)+args[0], unix.O_RDONLY, 0)
	say("marker by descriptor", err)
}

// writeKernelSettings writes what would change the host.
func writeKernelSettings([]string) {
	for _, p := range []string{"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches"} {
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString("1")
		}
		say(p, err)
	}
	say("oom_score_adj", os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0))
	raw("sethostname", unix.SYS_SETHOSTNAME, cstring("x"), 1)
}

// readKernelFiles reads what tells about the host's kernel.
func readKernelFiles([]string) {
	for _, p := range []string{
		"/proc/kcore", "/proc/keys", "/proc/kallsyms", "/proc/sched_debug", "/proc/timer_list", "/proc/kmsg", "/proc/kpageflags", "/proc/config.gz",
		"/sys/firmware", "/sys/fs/cgroup", "/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/acpi", "/proc/scsi", "/proc/1/environ", "/proc/1/root",
	} {
		st, err := os.Stat(p)
		if err == nil && st.IsDir() {
			var list []os.DirEntry
			if list, err = os.ReadDir(p); err == nil && len(list) == 0 {
				err = errors.New("empty")
			}
		} else if err == nil {
			var f *os.File
			if f, err = os.Open(p); err == nil {
				var n int
				if n, err = f.Read(make([]byte, 64)); n == 0 {
					err = errors.New("empty")
				}
			}
		}
		say(p, err)
	}
	for _, p := range []string{"/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/self/maps", "/proc/sys/kernel/osrelease", "/proc/loadavg"} {
		b, err := os.ReadFile(p)
		if err == nil && len(b) == 0 {
			err = errors.New("empty")
		}
		say("wanted "+p, err)
	}
}

// mounts tries every way to mount.
func mounts([]string) {
	for _, kind := range []string{"tmpfs", "proc", "cgroup2", "overlay", "sysfs"} {
		say("mount "+kind, unix.Mount("x", "/tmp", kind, 0, ""))
	}
	say("bind", unix.Mount("/", "/tmp", "", unix.MS_BIND, ""))
	say("remount", unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	say("umount", unix.Unmount("/proc", unix.MNT_DETACH))
	say("umount masked", unix.Unmount("/proc/kcore", unix.MNT_DETACH))
	say("pivot_root", unix.PivotRoot("/tmp", "/tmp"))
	raw("fsopen", unix.SYS_FSOPEN, cstring("tmpfs"), 0)
	raw("open_tree", unix.SYS_OPEN_TREE, uintptr(^uint(99)), cstring("/"), 1)
	raw("move_mount", unix.SYS_MOVE_MOUNT, 0, cstring("/tmp"), 0, cstring("/tmp"), 0)
	raw("mount_setattr", unix.SYS_MOUNT_SETATTR, 0, cstring("/"), 0, 0, 0)
	for name, flag := range map[string]int{"user": unix.CLONE_NEWUSER, "mount": unix.CLONE_NEWNS, "net": unix.CLONE_NEWNET, "pid": unix.CLONE_NEWPID} {
		say("unshare "+name, unix.Unshare(flag))
		raw("clone "+name, unix.SYS_CLONE, uintptr(flag)|uintptr(unix.SIGCHLD))
	}
	raw("clone3", unix.SYS_CLONE3, 0, 0)
	raw("setns", unix.SYS_SETNS, 0, 0)
}

// nodes makes devices and opens files by handle.
func nodes([]string) {
	say("block device", unix.Mknod("/tmp/disk", unix.S_IFBLK|0o600, int(unix.Mkdev(254, 0))))
	say("character device", unix.Mknod("/tmp/mem", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 1))))
	raw("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, 0, cstring("xxxxxxxxxxxxxxxx"), 0)
	for _, p := range []string{"/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/loop0", "/dev/loop-control", "/dev/fuse", "/dev/ptmx", "/dev/net/tun", "/dev/kvm"} {
		_, err := os.Open(p)
		say(p, err)
	}
	for _, p := range []string{"/dev/null", "/dev/zero", "/dev/urandom"} {
		f, err := os.OpenFile(p, os.O_RDWR, 0)
		if err == nil {
			_, err = f.Write([]byte("x"))
		}
		say("wanted "+p, err)
	}
}

// setuid runs a program whose file says that root owns it and lends its rights.
func setuid(args []string) {
	out, err := exec.Command(args[0], "identity").Output()
	check(err)
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "uid") || strings.HasPrefix(line, "CapEff") {
			fmt.Print(line)
		}
	}
	say("setuid 0", unix.Setuid(0))
	say("chmod 4755", os.Chmod(args[0], 0o4755))
}

// otherProcesses reaches for whoever else there is.
func otherProcesses(args []string) {
	c := exec.Command("/proc/self/exe", "sleep")
	check(c.Start())
	for _, pid := range []int{1, c.Process.Pid, number(args[0])} {
		raw("ptrace", unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0)
		local, remote := unix.Iovec{Base: new(byte), Len: 1}, unix.RemoteIovec{Base: 0x400000, Len: 1}
		_, err := unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
		say("process_vm_readv", err)
	}
	say("signal host process", unix.Kill(number(args[0]), 0))
	_, err := os.Stat("/proc/" + args[0])
	say("see host process", err)
	check(c.Process.Kill())
}

// kernelCalls makes the calls that a function has no use for.
func kernelCalls([]string) {
	raw("bpf", unix.SYS_BPF, 0, 0, 0)
	raw("perf_event_open", unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0)
	raw("userfaultfd", unix.SYS_USERFAULTFD, 0)
	raw("io_uring_setup", unix.SYS_IO_URING_SETUP, 8, 0)
	raw("keyctl", unix.SYS_KEYCTL, 0, 0)
	raw("add_key", unix.SYS_ADD_KEY, cstring("user"), cstring("x"), cstring("y"), 1, 0)
	raw("request_key", unix.SYS_REQUEST_KEY, cstring("user"), cstring("x"), 0, 0)
	raw("kexec_load", unix.SYS_KEXEC_LOAD, 0, 0, 0, 0)
	raw("init_module", unix.SYS_INIT_MODULE, 0, 0, 0)
	raw("finit_module", unix.SYS_FINIT_MODULE, 0, 0, 0)
	raw("delete_module", unix.SYS_DELETE_MODULE, cstring("x"), 0)
	raw("quotactl", unix.SYS_QUOTACTL, 0, 0, 0, 0)
	raw("swapon", unix.SYS_SWAPON, cstring("/tmp/x"), 0)
	raw("reboot", unix.SYS_REBOOT, 0, 0, 0, 0)
	raw("settimeofday", unix.SYS_SETTIMEOFDAY, 0, 0)
	raw("clock_settime", unix.SYS_CLOCK_SETTIME, 0, 0)
	raw("acct", unix.SYS_ACCT, 0)
	raw("syslog", unix.SYS_SYSLOG, 3, 0, 0)
	raw("fanotify_init", unix.SYS_FANOTIFY_INIT, 0, 0)
	raw("memfd_secret", unix.SYS_MEMFD_SECRET, 0)
	raw("personality", unix.SYS_PERSONALITY, 0x0400000)
	raw("pidfd_getfd", unix.SYS_PIDFD_GETFD, 0, 0, 0)
	raw("kcmp", unix.SYS_KCMP, 1, 1, 0, 0, 0)
}

// terminals types into a terminal that is not there.
func terminals([]string) {
	for fd := range 3 {
		var c byte = 'x'
		raw(fmt.Sprint("TIOCSTI ", fd), unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(unsafe.Pointer(&c)))
		raw(fmt.Sprint("TIOCLINUX ", fd), unix.SYS_IOCTL, uintptr(fd), unix.TIOCLINUX, uintptr(unsafe.Pointer(&c)))
	}
	_, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	say("/dev/tty", err)
}

// sockets opens what a function needs and what it does not.
func sockets([]string) {
	open := func(name string, domain, kind, protocol int) {
		fd, err := unix.Socket(domain, kind, protocol)
		say(name, err)
		if err == nil {
			check(unix.Close(fd))
		}
	}
	open("wanted unix", unix.AF_UNIX, unix.SOCK_STREAM, 0)
	open("wanted tcp", unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
	open("wanted tcp6", unix.AF_INET6, unix.SOCK_STREAM, 0)
	open("wanted udp", unix.AF_INET, unix.SOCK_DGRAM, 0)
	open("wanted route", unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	_, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	say("wanted socketpair", err)
	_, err = net.Interfaces()
	say("wanted interfaces", err)
	open("netfilter", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
	open("audit", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT)
	open("packet", unix.AF_PACKET, unix.SOCK_RAW, 0)
	open("vsock", unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	open("alg", unix.AF_ALG, unix.SOCK_SEQPACKET, 0)
	open("tipc", unix.AF_TIPC, unix.SOCK_STREAM, 0)
	open("raw", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	open("sctp", unix.AF_INET, unix.SOCK_SEQPACKET, unix.IPPROTO_SCTP)
	open("mptcp", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	_, err = unix.Socketpair(unix.AF_TIPC, unix.SOCK_STREAM, 0)
	say("tipc pair", err)
}

// abstractSocket connects to a socket that has a name and no file.
func abstractSocket(args []string) {
	c, err := net.DialTimeout("unix", "@"+args[0], 2*time.Second)
	if err == nil {
		check(c.Close())
	}
	say("abstract socket", err)
}

// inotify takes as many of the user's watches as it gets, says so and stays.
func inotify([]string) {
	for n := range 100_000 {
		if _, err := unix.InotifyInit1(0); err != nil {
			fmt.Print("opened ", n, " ")
			say("then", err)
			time.Sleep(time.Hour)
		}
	}
	fmt.Println("opened all")
}

// readOnly tries to change what is not its own.
func readOnly(args []string) {
	for _, dir := range args {
		name := filepath.Join(dir, "made-by-probe")
		say("create in "+dir, os.WriteFile(name, nil, 0o600))
		say("mkdir in "+dir, os.Mkdir(name, 0o700))
		say("symlink in "+dir, os.Symlink("/", name))
		say("whiteout in "+dir, unix.Mknod(name, unix.S_IFCHR, 0))
		say("rename to "+dir, os.Rename("/tmp/from-probe", name))
		say("chmod "+dir, os.Chmod(dir, 0o777))
		say("chown "+dir, os.Chown(dir, os.Getuid(), -1))
	}
}

// foreignABI makes a call by the convention of another word size.
func foreignABI([]string) {
	raw("x32", 0x40000000+39) // getpid
}

// allowedCalls makes the calls that ordinary programs depend on.
func allowedCalls([]string) {
	fd, err := unix.EpollCreate1(0)
	say("epoll", err)
	if err == nil {
		check(unix.Close(fd))
	}
	_, err = unix.Eventfd(0, 0)
	say("eventfd", err)
	_, err = unix.InotifyInit1(0)
	say("inotify", err)
	_, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, 0)
	say("timerfd", err)
	_, err = unix.MemfdCreate("x", 0)
	say("memfd", err)
	_, err = unix.PidfdOpen(os.Getpid(), 0)
	say("pidfd_open", err)
	_, err = unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	say("executable memory", err)
	_, err = unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	say("shared memory", err)
	say("semaphore file", os.WriteFile("/dev/shm/sem.probe", []byte("x"), 0o600))
	say("fifo", unix.Mkfifo("/tmp/fifo", 0o600))
	out, err := exec.Command("/proc/self/exe", "exit", "0").CombinedOutput()
	say("child"+string(out), err)
	say("sched_yield", func() error { raw("yield", unix.SYS_SCHED_YIELD); return nil }())
	say("prctl name", unix.Prctl(unix.PR_SET_NAME, cstring("renamed"), 0, 0, 0))
	_, err = unix.Getrandom(make([]byte, 8), 0)
	say("getrandom", err)
	say("run from /tmp", runFromTmp())
}

// runFromTmp copies this program to the scratch directory and executes it there.
func runFromTmp() error {
	self, err := os.ReadFile("/proc/self/exe")
	check(err)
	check(os.WriteFile("/tmp/copy", self, 0o700))
	return exec.Command("/tmp/copy", "exit", "0").Run()
}
