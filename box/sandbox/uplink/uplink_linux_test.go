package uplink_test

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/network"
	"kiln/box/sandbox/uplink"
)

// roleVariable says that a test runs again as an ordinary user: "enter" outside of the
// user namespace, "inside" in it.
const roleVariable = "KILN_TEST_UPLINK"

// The places of the tests: a host with a neighbour.
const (
	hostAddress  = "198.51.100.1"
	worldAddress = "198.51.100.9"
)

// nobody is an ordinary user of every host.
const nobody = 65534

// TestMain runs the tests, or enters a user namespace first where a test asks for it.
func TestMain(m *testing.M) {
	entry, err := linux.Settle()
	if err == nil && entry == nil && os.Getenv(roleVariable) == "enter" {
		var e *linux.Entered
		e, err = linux.Enter(func(c *exec.Cmd) {
			c.Env = append(os.Environ(), roleVariable+"=inside")
			c.Stdout, c.Stderr = os.Stdout, os.Stderr
		})
		if err == nil {
			var code int
			if code, err = e.Wait(); err == nil {
				os.Exit(code)
			}
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// apart runs f on a thread of its own in new network and mount namespaces.
func apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// ip runs the tool of that name in the calling thread's network.
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %q: %w: %s", args, err, out)
	}
	return nil
}

// answer listens in the calling thread's network and says the name to whoever asks,
// until the test ends.
func answer(t *testing.T, address, name string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				question, err := bufio.NewReader(c).ReadString('\n')
				if err == nil && question == "who\n" {
					_, _ = fmt.Fprintln(c, name)
				}
			}()
		}
	}()
	return nil
}

// onAHost runs f in a network that plays the host: it has a neighbour who plays the
// world, and a device for user-space networks that everybody may use.
func onAHost(t *testing.T, f func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes networks that play the host and the world")
	}
	dir := t.TempDir()
	err := apart(func() error {
		tun := filepath.Join(dir, "tun")
		if err := unix.Mknod(tun, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 200))); err != nil {
			return err
		}
		err := errors.Join(os.Chmod(tun, 0o666), unix.Mount(tun, "/dev/net/tun", "", unix.MS_BIND, ""))
		if err != nil {
			return err
		}
		host, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		defer host.Close()
		err = errors.Join(ip("link", "set", "lo", "up"), answer(t, "127.0.0.1:7001", "the host's own"), apart(func() error {
			world, err := os.Open("/proc/thread-self/ns/net")
			if err != nil {
				return err
			}
			defer world.Close()
			if err := unix.Setns(int(host.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			move := exec.Command("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", "/proc/self/fd/3")
			move.ExtraFiles = []*os.File{world}
			if out, err := move.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			if err := unix.Setns(int(world.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return errors.Join(ip("addr", "add", worldAddress+"/24", "dev", "eth0"), ip("link", "set", "eth0", "up"),
				answer(t, worldAddress+":7003", "the world"))
		}))
		if err != nil {
			return err
		}
		err = errors.Join(ip("addr", "add", hostAddress+"/24", "dev", "eth0"), ip("link", "set", "eth0", "up"), ip("route", "add", "default", "via", worldAddress),
			answer(t, hostAddress+":7002", "the host"))
		if err != nil {
			return err
		}
		return f()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnOrdinaryUsersEnvironmentsReachTheWorldAndNotTheHost(t *testing.T) {
	if os.Getenv(roleVariable) == "inside" {
		reach(t)
		return
	}
	for _, program := range []string{"pasta", "slirp4netns"} {
		t.Run(program, func(t *testing.T) {
			var out []byte
			c, _ := asOrdinaryUser(t, program)
			onAHost(t, func() (err error) {
				out, err = c.CombinedOutput()
				return err
			})
			if !strings.Contains(string(out), "--- PASS") || t.Failed() {
				t.Errorf("as user %d:\n%s", nobody, out)
			}
			t.Logf("%s", out)
		})
	}
}

// asOrdinaryUser gives the command that runs the calling test again as an ordinary user
// in a user namespace, with no program but the given one. dir is in the path of that.
func asOrdinaryUser(t *testing.T, program string) (_ *exec.Cmd, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: becomes an ordinary user")
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: install passt and slirp4netns", err)
	}
	home := t.TempDir()
	for dir := home; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := filepath.Join(home, "run")
	err = errors.Join(os.Symlink(path, filepath.Join(home, program)), os.Mkdir(run, 0o700), os.Chown(run, nobody, nobody))
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	c := exec.Command("/proc/self/exe", "-test.run=^"+name+"$", "-test.count=1", "-test.v")
	c.Env = append(os.Environ(), roleVariable+"=enter", "PATH="+home, "TMPDIR="+run, "HOME="+run, "KILN_TEST_PROGRAM="+program)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return c, home
}

// reach is the part of the test above that an ordinary user does.
func reach(t *testing.T) {
	began := time.Now()
	u, err := uplink.Open(slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s was ready after %v", u.Program, time.Since(began))
	if u.Program != os.Getenv("KILN_TEST_PROGRAM") {
		t.Errorf("got %s", u.Program)
	}
	n, err := network.Open(network.Options{Owner: "uplinktest", RunDir: os.Getenv("TMPDIR"), Outbound: true, Host: u.Host, Deny: u.Deny})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err = apart(func() error {
		if err := ipless(); err != nil {
			return err
		}
		ns, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		defer ns.Close()
		l, err := n.Attach(int(ns.Fd()), true)
		if err != nil {
			return err
		}
		for _, a := range []string{worldAddress + ":7003", hostAddress + ":7002", "127.0.0.1:7001", "10.0.2.2:7001", worldAddress + ":7001", "169.254.169.254:80"} {
			got[a] = hear(a)
		}
		return l.Close()
	})
	if err != nil {
		t.Error(err)
	}
	for a, said := range got {
		if want := map[string]string{worldAddress + ":7003": "the world\n"}[a]; said != want {
			t.Errorf("%s: got %q, want %q", a, said, want)
		}
	}
	// A packet of no connection must not be answered: a reset would end the connection
	// that it belongs to (pasta sends some that the kernel cannot assign).
	err = apart(func() error {
		if err := unix.Setns(int(u.Host.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		limit := unix.Timeval{Usec: 200_000}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 7009, Addr: [4]byte{127, 0, 0, 1}}); err != unix.EINPROGRESS {
			t.Errorf("a port of the namespace where nobody listens: got %v, want silence", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if list, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*.json")); err != nil || len(list) > 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

// ipless brings the loopback device of the calling thread's network up.
func ipless() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// hear connects in the calling thread's network, asks, and gives what is said, or "".
func hear(address string) string {
	to := netip.MustParseAddrPort(address)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	limit := unix.Timeval{Sec: 1}
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit) // it would only take longer
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return ""
	}
	if _, err := unix.Write(fd, []byte("who\n")); err != nil {
		return ""
	}
	buf := make([]byte, 100)
	k, _ := unix.Read(fd, buf)
	return string(buf[:max(0, k)])
}

func TestTheProgramEndsWithWhoStartedItHoweverThatEnds(t *testing.T) {
	if os.Getenv(roleVariable) == "inside" {
		if _, err := uplink.Open(slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("holding %d\n", os.Getpid())
		select {}
	}
	for _, program := range []string{"pasta", "slirp4netns"} {
		t.Run(program, func(t *testing.T) {
			c, dir := asOrdinaryUser(t, program)
			onAHost(t, func() error {
				out, err := c.StdoutPipe()
				if err != nil {
					return err
				}
				if err := c.Start(); err != nil {
					return err
				}
				pid := 0
				for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
					_, _ = fmt.Sscanf(lines.Text(), "holding %d", &pid) // or another line
				}
				if pid == 0 {
					return errors.Join(errors.New("it did not open an uplink"), c.Wait())
				}
				if processesNaming(t, filepath.Join(dir, program)) == 0 {
					t.Error("no process runs the program: this test proves nothing")
				}
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					return err
				}
				_ = c.Wait() // it was killed
				deadline := time.Now().Add(10 * time.Second)
				tick := time.NewTicker(5 * time.Millisecond)
				defer tick.Stop()
				for processesNaming(t, filepath.Join(dir, program)) > 0 {
					if time.Now().After(deadline) {
						return errors.New("the program outlives who started it")
					}
					<-tick.C
				}
				return nil
			})
		})
	}
}

// processesNaming counts the processes that have a word in their command line.
func processesNaming(t *testing.T, word string) (n int) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), word) {
			n++
		}
	}
	return n
}

func TestWithoutAProgramTheReasonIsSaid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: opens /dev/net/tun")
	}
	if tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	} else if err := tun.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	_, err := uplink.Open(slog.New(slog.DiscardHandler))
	if !errors.Is(err, uplink.ErrNone) || !strings.Contains(err.Error(), "pasta was not found") || !strings.Contains(err.Error(), "slirp4netns was not found") {
		t.Errorf("got %v, want that neither was found", err)
	}
}
