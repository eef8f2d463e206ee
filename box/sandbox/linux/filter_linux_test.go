package linux

import (
	"encoding/binary"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// judge interprets a filter program for one system call, as the kernel would.
func judge(t *testing.T, program []unix.SockFilter, arch, number uint32, args [6]uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data[0:], number)
	binary.LittleEndian.PutUint32(data[4:], arch)
	for i, a := range args {
		binary.LittleEndian.PutUint64(data[16+8*i:], a)
	}
	var a uint32
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		taken := false
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = binary.LittleEndian.Uint32(data[in.K:])
			continue
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= in.K
			continue
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(in.K)
			continue
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			taken = a == in.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			taken = a >= in.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			taken = a&in.K != 0
		default:
			t.Fatalf("instruction %d has the unknown code %#x", pc, in.Code)
		}
		if taken {
			pc += int(in.Jt)
		} else {
			pc += int(in.Jf)
		}
	}
	t.Fatal("the program runs off its end")
	return 0
}

func TestTheFilterDecidesAsThePolicySaysForEveryCall(t *testing.T) {
	p := nativePolicy()
	program, err := compileFilter(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d instructions for %d calls", len(program), len(p.calls))
	arguments := [][6]uint64{
		{}, {1, 1, 6}, {2, 1 | unix.SOCK_CLOEXEC, 0}, {2, 3, 1}, {10, 2, 17}, {10, 5, 132}, {2, 1, 262}, {16, 3, 0}, {16, 3, 9}, {17, 3, 3}, {38, 5, 0}, {40, 1, 0},
		{unix.CLONE_NEWUSER}, {unix.CLONE_NEWNET | 17}, {unix.CLONE_VM | unix.CLONE_THREAD}, {0xffffffff}, {0x0400000},
	}
	for number := range uint32(1000) {
		for _, args := range arguments {
			want := uint32(unix.SECCOMP_RET_ALLOW)
			if v, ok := p.calls[number]; ok {
				want = judge(t, v, p.arch, number, args)
			}
			if got := judge(t, program, p.arch, number, args); got != want {
				t.Fatalf("call %d with %v: got %#x, want %#x", number, args, got, want)
			}
		}
	}
	if got := judge(t, program, p.arch^1, 39, [6]uint64{}); got != unix.SECCOMP_RET_KILL_PROCESS {
		t.Errorf("a call of another architecture: got %#x, want the end", got)
	}
	if runtime.GOARCH == "amd64" {
		for _, number := range []uint32{0x40000000, 0x40000027, 0xffffffff} {
			if got, want := judge(t, program, p.arch, number, [6]uint64{}), uint32(unix.SECCOMP_RET_ERRNO|unix.ENOSYS); got != want {
				t.Errorf("x32 call %#x: got %#x, want %#x", number, got, want)
			}
		}
	}
}

func TestTheFilterJudgesSocketsAndClones(t *testing.T) {
	program, err := compileFilter(nativePolicy())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		number uint32
		args   [6]uint64
		want   unix.Errno
	}{
		{"unix", unix.SYS_SOCKET, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM}, 0},
		{"tcp", unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_NONBLOCK, unix.IPPROTO_TCP}, 0},
		{"udp6", unix.SYS_SOCKET, [6]uint64{unix.AF_INET6, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}, 0},
		{"route", unix.SYS_SOCKET, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, 0},
		{"netfilter", unix.SYS_SOCKET, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, unix.EPERM},
		{"raw", unix.SYS_SOCKET, [6]uint64{unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6}, unix.EPERM},
		{"sctp", unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP}, unix.EPROTONOSUPPORT},
		{"packet", unix.SYS_SOCKET, [6]uint64{unix.AF_PACKET, unix.SOCK_DGRAM}, unix.EAFNOSUPPORT},
		{"domain 0", unix.SYS_SOCKET, [6]uint64{}, unix.EAFNOSUPPORT},
		{"thread", unix.SYS_CLONE, [6]uint64{unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD}, 0},
		{"vfork", unix.SYS_CLONE, [6]uint64{unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD)}, 0},
		{"new cgroup", unix.SYS_CLONE, [6]uint64{unix.CLONE_NEWCGROUP}, unix.EPERM},
		{"clone3", unix.SYS_CLONE3, [6]uint64{}, unix.ENOSYS},
	} {
		want := uint32(unix.SECCOMP_RET_ALLOW)
		if c.want != 0 {
			want = unix.SECCOMP_RET_ERRNO | uint32(c.want)
		}
		if got := judge(t, program, nativePolicy().arch, c.number, c.args); got != want {
			t.Errorf("%s: got %#x, want %#x", c.name, got, want)
		}
	}
}
