package hostile_test

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/test/harness"
)

// Group A: the function's code is hostile and wants out of its environment.

// digest fingerprints files that must stay as they are.
func digest(t testing.TB, paths ...string) string {
	t.Helper()
	var sums []string
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, fmt.Sprintf("%s %x", p, sha256.Sum256(text)))
	}
	return strings.Join(sums, "\n")
}

// unpacked lists the unpacked programs of a server.
func (p *place) unpacked(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(p.server.Data, "rootfs", "code*", "*", "bootstrap"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no unpacked programs in %s: %v", p.server.Data, err)
	}
	return found
}

func TestA01ProgramsThatRunCannotBeOverwritten(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	x.ask(t, name, event{Do: "ping"})
	watched := append(x.unpacked(t), kiln.Binary)
	before := digest(t, watched...)

	r := x.ask(t, name, event{Do: "overwrite", Limit: 500, Paths: []string{"/proc/self/exe", "/proc/1/exe", "/var/task/bootstrap", "/proc/self/fd/0"}})
	refusals := []string{"ETXTBSY", "EROFS", "EPERM", "EACCES", "ENOENT"}
	r.refused(t, refusals, map[string][]string{
		"/proc/self/exe": refusals, "/proc/self/exe reopened": refusals, "/proc/1/exe": refusals, "/proc/1/exe reopened": refusals,
		"/proc/self/fd/0": append(refusals, "ok"), "/proc/self/fd/0 reopened": append(refusals, "ok"), // /dev/null may be written to
	})
	if r.Numbers["rounds"] != 500 {
		t.Errorf("got %d rounds, want 500", r.Numbers["rounds"])
	}
	if after := digest(t, watched...); after != before {
		t.Errorf("programs of the host have changed:\n%s\n%s", before, after)
	}

	copied := filepath.Join(scratch(t), "idle")
	if err := os.WriteFile(copied, []byte("not running"), 0o755); err != nil {
		t.Fatal(err)
	}
	control(t, event{Do: "overwrite", Limit: 1, Paths: []string{copied}}).worked(t, copied, copied+" reopened")
}

func TestA02NoDescriptorLeadsOut(t *testing.T) {
	x := common(t).trial(t)
	r := x.attack(t, event{Do: "descriptors", Marker: x.canaries.marker()})
	r.refused(t, []string{"ENOTDIR", "ENOENT"}, map[string][]string{"marker by its path": {"ENOENT"}})
	if r.Numbers["directories"] != 0 {
		t.Errorf("the function has %d directories open: %v", r.Numbers["directories"], r.Texts)
	}
	for fd, kind := range r.Texts {
		n, _ := strconv.Atoi(fd) // the attacker prints numbers
		want := "socket"         // to the Runtime API
		switch n {
		case 0:
			want = "character device"
		case 1, 2:
			want = "pipe"
		}
		if kind != want {
			t.Errorf("descriptor %s is a %s, want a %s", fd, kind, want)
		}
	}
	if r.Numbers["descriptors"] < 4 {
		t.Errorf("got %d descriptors, want the three and a socket: the attack saw nothing", r.Numbers["descriptors"])
	}

	root, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	control(t, event{Do: "descriptors", Marker: x.canaries.marker()}, func(c *exec.Cmd) { c.ExtraFiles = []*os.File{root} }).worked(t, "marker by a descriptor", "marker by its path")
}

func TestA22NothingThatWasLoggedCanBeUndone(t *testing.T) {
	x := common(t).trial(t)
	r, tail := x.askForTail(t, x.attacker(t, ""), event{Do: "rewrite", Limit: 1})
	r.refused(t, []string{"ESPIPE", "EINVAL"}, nil)
	if !strings.Contains(tail, "the first line\nthe last line\n") {
		t.Errorf("got %q", tail)
	}
	file, err := os.Create(filepath.Join(scratch(t), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	control(t, event{Do: "rewrite", Limit: 3}, func(c *exec.Cmd) { c.ExtraFiles = []*os.File{file} }).worked(t, "pwrite", "seek", "truncate")
	if text, err := os.ReadFile(file.Name()); err != nil || strings.Contains(string(text), "the first line") {
		t.Errorf("a file on the host holds %q, %v: this attack proves nothing", text, err)
	}
}

func TestA04ChrootDoesNotLeadOut(t *testing.T) {
	x := common(t).trial(t)
	r := x.attack(t, event{Do: "chroot", Dir: "/tmp", Marker: x.canaries.marker()})
	r.refused(t, []string{"EPERM"}, map[string][]string{"mkdir": {"ok"}, "marker": {"ENOENT"}, "marker from here": {"ENOENT"}})

	// In a jail of chroot alone, as root, the classic leads out.
	jail := scratch(t)
	program, err := os.ReadFile(attackerPath(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(jail, "attacker"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	control(t, event{Do: "chroot", Dir: "/", Marker: x.canaries.marker()}, func(c *exec.Cmd) {
		c.Path, c.SysProcAttr = "/attacker", &syscall.SysProcAttr{Chroot: jail}
	}).worked(t, "chroot", "chroot again", "marker")
}

func TestA06KernelSettingsCannotBeWritten(t *testing.T) {
	x := common(t).trial(t)
	paths := []string{
		"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory", "/proc/sys/net/ipv4/ip_forward",
		"/proc/sys/fs/binfmt_misc/register", "/proc/sysrq-trigger", "/proc/self/oom_score_adj", "/proc/1/oom_score_adj", "/proc/self/attr/current", "/proc/self/uid_map",
		"/sys/kernel/uevent_helper", "/sys/power/state",
	}
	r := x.attack(t, event{Do: "settings", Paths: paths})
	r.refused(t, []string{"EROFS", "EACCES", "EPERM", "ENOENT"}, map[string][]string{
		"read own score":          {"ok"},
		"/proc/sysrq-trigger":     {"EROFS", "EACCES", "EPERM", "ENOENT", "ok"}, // /dev/null lies over it: a write goes nowhere
		"/proc/self/attr/current": {"EROFS", "EACCES", "EPERM", "ENOENT", "EINVAL"},
	})
	server, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", x.server.PID()))
	if err != nil {
		t.Fatal(err)
	}
	inside, err := strconv.Atoi(r.Texts["score"])
	if outside, err2 := strconv.Atoi(strings.TrimSpace(string(server))); err != nil || err2 != nil || inside <= outside {
		t.Errorf("when memory runs out, the function goes with score %d and the server with %s: want the function first (%v, %v)", inside, server, err, err2)
	}

	// With a network and a host name of its own, what root writes there is its own.
	control(t, event{Do: "settings", Paths: []string{"/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward"}}, apart(unix.CLONE_NEWUTS|unix.CLONE_NEWNET)).
		worked(t, "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward")
}

func TestA07FilesOfTheKernelAreHidden(t *testing.T) {
	x := common(t).trial(t)
	hidden := []string{
		"/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kallsyms", "/proc/sched_debug", "/proc/timer_list", "/proc/kmsg", "/proc/kpageflags", "/proc/config.gz",
		"/proc/slabinfo", "/proc/vmallocinfo", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/acpi", "/proc/scsi", "/proc/sysvipc", "/proc/driver", "/proc/asound",
		"/proc/1/environ", "/proc/1/root", "/proc/1/cwd", "/proc/1/fd", "/sys", "/sys/firmware", "/sys/fs/cgroup", "/sys/kernel", "/sys/kernel/debug", "/sys/class/net",
	}
	name := x.attacker(t, "")
	r := x.ask(t, name, event{Do: "read", Paths: hidden})
	r.refused(t, []string{"ENOENT", "empty", "EACCES", "EPERM"}, nil)
	// What programs do read is there.
	open := []string{"/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/self/maps", "/proc/self/status", "/proc/sys/kernel/osrelease", "/proc/loadavg", "/proc/self/cgroup"}
	for p, got := range x.ask(t, name, event{Do: "read", Paths: open}).Results {
		if got != "ok" {
			t.Errorf("%s: got %s, want ok", p, got)
		}
	}
	control(t, event{Do: "read", Paths: hidden}).worked(t, "/proc/keys", "/proc/kallsyms", "/proc/timer_list", "/sys/fs/cgroup", "/sys/class/net")
}

func TestA08NothingCanBeMounted(t *testing.T) {
	x := common(t).trial(t)
	r := x.attack(t, event{Do: "mount", Dir: "/tmp", Paths: []string{"/proc", "/proc/kcore", "/dev", "/var/task", "/"}})
	r.refused(t, []string{"EPERM"}, nil)
	control(t, event{Do: "mount", Dir: scratch(t)}, apart(unix.CLONE_NEWNS)).
		worked(t, "mount tmpfs", "mount proc", "mount sysfs", "bind", "fsopen", "fsmount", "open_tree", "move_mount", "umount2", "mount_setattr")
}

func TestA10NoDeviceAndNoFileByHandle(t *testing.T) {
	x := common(t).trial(t)
	r := x.attack(t, event{Do: "nodes", Dir: "/tmp", Marker: "/", Paths: []string{
		"/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/loop0", "/dev/loop-control", "/dev/fuse", "/dev/net/tun", "/dev/kvm", "/dev/vhost-net", "/dev/ptmx", "/dev/mapper/control", "/dev/snapshot",
	}})
	r.refused(t, []string{"EPERM", "ENOENT", "EACCES"}, nil)

	dir := scratch(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	control(t, event{Do: "nodes", Dir: dir, Marker: file, Paths: []string{"/dev/null"}}).
		worked(t, "block device disk", "character device mem", "open /dev/null", "open_by_handle_at")
}

func TestA11ASetuidProgramInThePackageLendsNothing(t *testing.T) {
	x := common(t).trial(t)
	name := x.name(t, "")
	program := string(kiln.GoProgram(t, "testdata/attacker"))
	harness.Create(t, x.client, name, "provided.al2023", "bootstrap", attackerZip(t, harness.File{Name: "lend", Text: program, Mode: 0o755 | os.ModeSetuid | os.ModeSetgid}))
	r := x.ask(t, name, event{Do: "setuid", Paths: []string{"/var/task/lend"}, Dir: "/tmp"})
	r.refused(t, []string{"EPERM"}, map[string][]string{"stat": {"ok"}, "run": {"ok"}, "make own program": {"ok"}})
	if uid := r.Numbers["uid"]; uid == 0 || r.Numbers["uid of the program"] != uid || r.Numbers["gid of the program"] == 0 {
		t.Errorf("the function is %d and the program that it runs %d, group %d", uid, r.Numbers["uid of the program"], r.Numbers["gid of the program"])
	}
	if bit := r.Results["setuid bit"]; bit != "" {
		t.Errorf("the package kept its setuid bit")
	}

	// On the host such a program makes root of anybody.
	lend := filepath.Join(scratch(t), "lend")
	if err := os.WriteFile(lend, []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(lend, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	c := control(t, event{Do: "setuid", Paths: []string{lend}, Dir: scratch(t)}, as(strangerUID))
	if c.Numbers["uid"] != strangerUID || c.Numbers["uid of the program"] != 0 {
		t.Errorf("without a sandbox %d became %d, want 0: this attack proves nothing", c.Numbers["uid"], c.Numbers["uid of the program"])
	}
}

// strangerUID is a user that nobody on any machine is.
const strangerUID = 2_147_000_123

func TestA12OtherProcessesAreOutOfReach(t *testing.T) {
	x := common(t).trial(t)
	// Another environment's processes, the server itself, and this test.
	pids := []int{x.server.PID(), os.Getpid()}
	inits, _ := x.inits()
	for _, p := range x.members() {
		if pid, err := strconv.Atoi(p); err == nil {
			pids = append(pids, pid)
		}
	}
	if len(pids) < 3 || len(inits) == 0 {
		t.Fatalf("there is no other environment to attack: %v, %v", pids, inits)
	}
	r := x.attack(t, event{Do: "processes", PIDs: pids[:min(len(pids), 12)]})
	except := map[string][]string{}
	for name := range r.Results {
		if strings.HasPrefix(name, "open ") {
			except[name] = []string{"ENOENT", "EACCES", "EPERM"}
		}
	}
	r.refused(t, []string{"EPERM", "ESRCH"}, except)

	c := control(t, event{Do: "processes", PIDs: []int{x.server.PID()}})
	c.worked(t, "ptrace child", "process_vm_readv child", "signal host 0", "open environ host 0", "open mem host 0", "process_vm_readv host 0")
}

func TestA14CallsThatWidenTheAttackAreRefused(t *testing.T) {
	x := common(t).trial(t)
	r := x.attack(t, event{Do: "calls"})
	r.refused(t, []string{"EPERM", "ENOSYS"}, nil)
	if len(r.Results) < 20 {
		t.Errorf("only %d calls were made", len(r.Results))
	}
	harmless := []string{"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "request_key", "open_by_handle_at", "fanotify_init", "kcmp", "pidfd_getfd", "syslog", "personality", "settimeofday"}
	c := control(t, event{Do: "calls", Paths: harmless})
	var reached []string
	for name, got := range c.Results {
		if got != "EPERM" && got != "ENOSYS" {
			reached = append(reached, name)
		}
	}
	if len(reached) < 8 || !slices.Contains(reached, "bpf") || !slices.Contains(reached, "io_uring_setup") {
		t.Errorf("without a sandbox the kernel looked at %v alone: this attack proves nothing: %v", reached, c.Results)
	}
}

func TestA16ThereIsNoTerminalToTypeInto(t *testing.T) {
	x := common(t).trial(t)
	r := x.attack(t, event{Do: "terminals"})
	r.refused(t, []string{"ENOTTY", "EPERM", "ENOENT", "ENXIO"}, map[string][]string{"TIOCSTI 0": {"ENOTTY"}, "TIOCSTI 1": {"ENOTTY"}, "TIOCLINUX 2": {"ENOTTY"}})

	// With a terminal as its standard input the same calls reach one.
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	c := control(t, event{Do: "terminals"}, func(c *exec.Cmd) {
		c.Stdin, c.SysProcAttr = slave, &syscall.SysProcAttr{Setsid: true, Setctty: true}
	})
	c.worked(t, "TIOCGWINSZ 0", "/dev/tty")
	if got := c.Results["TIOCSTI 0"]; got != "ok" && got != "EIO" { // EIO: the kernel itself forbids it to all
		t.Errorf("without a sandbox typing gives %q", got)
	}
}

func TestA17OnlySocketsThatFunctionsNeed(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	r := x.ask(t, name, event{Do: "sockets"})
	r.refused(t, []string{"EAFNOSUPPORT", "EPERM", "EPROTONOSUPPORT"}, map[string][]string{"wanted interfaces": {"ok"}, "packet": {"EAFNOSUPPORT", "EPERM"}})
	if flags := r.Texts["lo"]; !strings.Contains(flags, "up") || !strings.Contains(flags, "loopback") {
		t.Errorf("the interfaces are %v, want a loopback that is up", r.Texts)
	}
	r = x.ask(t, name, event{Do: "namespaces"})
	r.refused(t, []string{"EPERM"}, map[string][]string{"clone3": {"ENOSYS"}})

	control(t, event{Do: "sockets"}, apart(unix.CLONE_NEWNET)).worked(t, "netlink netfilter", "netlink audit", "packet", "raw icmp", "raw ip")
	c := control(t, event{Do: "namespaces"})
	c.worked(t, "clone mount", "clone net", "clone uts", "unshare uts", "setns")
	if got := c.Results["clone3"]; got != "EINVAL" {
		t.Errorf("without a sandbox clone3 gives %s, want that the kernel looks at its arguments", got)
	}
}

func TestA18AbstractSocketsOfOthersAreOutOfReach(t *testing.T) {
	x := common(t).trial(t)
	host := "kiln-hostile-host-" + strconv.Itoa(os.Getpid())
	l, err := net.Listen("unix", "@"+host)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	inTmp, err := net.Listen("unix", filepath.Join(x.canaries.dir, "..", "socket-"+strconv.Itoa(os.Getpid())))
	if err != nil {
		t.Fatal(err)
	}
	defer inTmp.Close()
	victim, thief := x.attacker(t, "victim"), x.attacker(t, "thief")
	inside := "kiln-hostile-inside"
	if got := x.ask(t, victim, event{Do: "listen", Text: inside}).Results["listen"]; got != "ok" {
		t.Fatalf("the victim's listener: %s", got)
	}
	// The victim can reach itself: the listener listens.
	if got := x.ask(t, victim, event{Do: "connect", Paths: []string{"@" + inside}}).Results["@"+inside]; got != "ok" {
		t.Fatalf("the victim reaching itself: %s", got)
	}
	targets := []string{"@" + host, "@" + inside, inTmp.Addr().String()}
	r := x.ask(t, thief, event{Do: "connect", Paths: targets})
	r.refused(t, []string{"ECONNREFUSED", "EPERM"}, map[string][]string{inTmp.Addr().String(): {"ENOENT", "EACCES"}})
	control(t, event{Do: "connect", Paths: []string{"@" + host, inTmp.Addr().String()}}).worked(t, "@"+host, inTmp.Addr().String())
}

func TestA20WhatIsReadOnlyStaysSo(t *testing.T) {
	x := common(t).trial(t)
	before := digest(t, x.unpacked(t)...)
	dirs := []string{"/", "/etc", "/usr", "/usr/bin", "/usr/lib", "/var/task", "/var/runtime", "/opt", "/dev", "/proc", "/proc/sys", "/var"}
	r := x.attack(t, event{Do: "change", Dir: "/tmp", Paths: dirs})
	refusals := []string{"EROFS", "EXDEV", "EPERM", "EACCES", "ENOENT", "EBUSY", "EOPNOTSUPP"}
	except := map[string][]string{"create in /var/task": {"EROFS"}, "create in /opt": {"EROFS"}, "create in /etc": {"EROFS"}, "create in /usr": {"EROFS"}, "whiteout in /var/task": {"EROFS"}, "rename to /var/task": {"EXDEV", "EROFS"}, "create in /": {"EROFS"}}
	r.refused(t, refusals, except)
	if after := digest(t, x.unpacked(t)...); after != before {
		t.Errorf("the unpacked code has changed:\n%s\n%s", before, after)
	}

	dir := scratch(t)
	target := filepath.Join(dir, "target")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	control(t, event{Do: "change", Dir: dir, Paths: []string{target}}).
		worked(t, "create in "+target, "whiteout in "+target, "mkdir in "+target, "symlink in "+target, "link into "+target, "rename to "+target, "chmod "+target, "remove from "+target)
}
