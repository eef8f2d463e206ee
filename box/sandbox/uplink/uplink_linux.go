package uplink

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Uplink is a network namespace with a way out. Close it, or it ends with the process.
type Uplink struct {
	// Host is the namespace. It is open until Close.
	Host *os.File
	// Program is what carries its packets.
	Program string
	// Deny are addresses that the way leads to and should not: those of the host when the
	// uplink was opened, and the program's own.
	Deny []netip.Prefix

	keeper *exec.Cmd
	line   *os.File // the keeper ends when this is closed
	log    *slog.Logger

	mu    sync.Mutex
	words []string      // what the program said
	ready bool          // it has made the way out, and nobody wants its end
	ended chan struct{} // closed when the program has ended
}

// ErrNone is in the error of Open where there is no way out to be had.
var ErrNone = errors.New("neither pasta nor slirp4netns works here")

// program is one that can carry packets.
type program struct {
	name string
	args []string // with the namespace as descriptor 3
	own  []netip.Prefix
}

// namespace is how the programs find the namespace.
const namespace = "/proc/self/fd/3"

// programs are tried in order: pasta is faster and knows IPv6.
var programs = []program{
	{"pasta", []string{
		"--foreground", "--quiet", "--stderr", "--config-net", "--netns-only", "--netns", namespace,
		"--no-map-gw", "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none",
	}, nil},
	{"slirp4netns", []string{
		"--configure", "--mtu=65520", "--disable-host-loopback", "--disable-dns", "--enable-sandbox", "--enable-seccomp",
		"--netns-type=path", namespace, "uplink0",
	}, []netip.Prefix{netip.MustParsePrefix("10.0.2.0/24")}},
}

// keep is the first process of the program's process namespace: it starts the program,
// which alone has descriptor 4, and ends, and with it everybody, when its input does.
const keep = `"$@" 2>&4 4>&- & exec 3<&- 4>&-; read line`

// settling is how long a program may take to make its interface.
const settling = 10 * time.Second

// Open makes a network namespace and gives it a way out. It needs to be root of the user
// namespace that this process is in.
func Open(log *slog.Logger) (*Uplink, error) {
	if tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	} else if err := tun.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	tried := []error{ErrNone}
	for _, p := range programs {
		path, err := exec.LookPath(p.name)
		if err != nil {
			tried = append(tried, fmt.Errorf("%s was not found", p.name))
			continue
		}
		u, err := open(path, p, log)
		if err == nil {
			return u, nil
		}
		tried = append(tried, fmt.Errorf("%s: %w", p.name, err))
	}
	return nil, errors.Join(tried...)
}

// open does the work of Open with one program.
func open(path string, p program, log *slog.Logger) (_ *Uplink, err error) {
	u := &Uplink{Program: p.name, Deny: p.own, log: log, ended: make(chan struct{})}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this host: %w", err)
	}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			one := prefix.Addr().WithZone("")
			u.Deny = append(u.Deny, netip.PrefixFrom(one, one.BitLen()))
		}
	}
	if u.Host, err = newNamespace(); err != nil {
		return nil, err
	}
	if err := u.start(path, p.args); err != nil {
		return nil, errors.Join(err, u.Host.Close())
	}
	if err := u.settle(); err != nil {
		return nil, errors.Join(err, u.Close())
	}
	return u, nil
}

// newNamespace makes a network namespace whose loopback device is up.
func newNamespace() (*os.File, error) {
	var ns *os.File
	err := apart(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open network namespace: %w", err)
		}
		ns = os.NewFile(uintptr(fd), "network namespace")
		return raiseLoopback()
	})
	if err != nil && ns != nil {
		err = errors.Join(err, ns.Close())
	}
	return ns, err
}

// raiseLoopback brings the loopback device of the calling thread's network up.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
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

// start runs the program below a keeper.
func (u *Uplink) start(path string, args []string) error {
	theirs, line, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close()
	words, said, err := os.Pipe()
	if err != nil {
		return errors.Join(err, line.Close())
	}
	defer said.Close()
	u.line = line
	u.keeper = exec.Command("/bin/sh", append([]string{"-c", keep, "keeper", path}, args...)...)
	u.keeper.Stdin = theirs
	u.keeper.ExtraFiles = []*os.File{u.Host, said}
	u.keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Setsid: true}
	if err := u.keeper.Start(); err != nil {
		return errors.Join(fmt.Errorf("start: %w", err), line.Close(), words.Close())
	}
	go u.listen(words)
	return nil
}

// listen hears what the program says, until it has ended.
func (u *Uplink) listen(words io.ReadCloser) {
	defer close(u.ended)
	defer words.Close()
	lines := bufio.NewScanner(words)
	for lines.Scan() {
		u.mu.Lock()
		if len(u.words) < 8 && !strings.HasSuffix(lines.Text(), " to syslog") { // nobody has to have one
			u.words = append(u.words, strings.TrimSpace(lines.Text()))
		}
		u.mu.Unlock()
		u.log.Debug("uplink", "program", u.Program, "said", lines.Text())
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ready {
		u.log.Warn("the way out of functions is gone", "program", u.Program, "said", strings.Join(u.words, "; "))
	}
}

// settle waits until the namespace has a way out.
func (u *Uplink) settle() error {
	limit := time.NewTimer(settling)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-u.ended:
			return fmt.Errorf("it ended: %s", u.lastWords())
		case <-limit.C:
			return fmt.Errorf("it made no way out within %v: %s", settling, u.lastWords())
		case <-tick.C:
		}
		ready := false
		err := apart(func() error {
			if err := unix.Setns(int(u.Host.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter network namespace: %w", err)
			}
			ready = leadsOut()
			return nil
		})
		if ready {
			u.mu.Lock()
			u.ready = true
			u.mu.Unlock()
		}
		if err != nil || ready {
			return err
		}
	}
}

// leadsOut says whether the calling thread's network has a route to the outside. The
// address is one that nobody has; nothing is sent.
func leadsOut() bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 1}}) == nil
}

// lastWords is what the program said.
func (u *Uplink) lastWords() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.words) == 0 {
		return "it said nothing"
	}
	return strings.Join(u.words, "; ")
}

// Close ends the program and waits for it; what is left in the namespace has no way out
// any more.
func (u *Uplink) Close() error {
	u.mu.Lock()
	u.ready = false
	u.mu.Unlock()
	err := u.line.Close()
	waitErr := u.keeper.Wait()
	var exit *exec.ExitError
	if errors.As(waitErr, &exit) { // "read" has found the end of its input
		waitErr = nil
	}
	<-u.ended
	return errors.Join(err, waitErr, u.Host.Close())
}
