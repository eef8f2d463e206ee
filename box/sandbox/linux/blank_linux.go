package linux

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/network"
)

// blank is a box without a file system: namespaces, a running init, control groups
// and a user id. It does not depend on what will run in it, so it can be made
// ahead. It is used once.
type blank struct {
	name  string // of its kernel objects
	uid   int
	init  child
	line  int           // the init ends when this is closed, by us or by our death
	user  int           // user namespace of its programs where all boxes share one user; -1 else
	link  *network.Link // name server and way out; nil without a network
	group *group
	dead  chan struct{} // closed when the init has been reaped
	pidfd *os.File      // owns the init's descriptor; nil until it is to be watched

	watched bool // somebody reaps the init
}

// initMemfd puts the init program into a sealed file in memory that anybody may
// execute and nobody may read or write.
func initMemfd() (int, error) {
	program := initFor(runtime.GOARCH)
	if program == nil {
		return -1, fmt.Errorf("no init program for %s", runtime.GOARCH)
	}
	fd, err := unix.MemfdCreate("kiln-init", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // older than Linux 6.3, where every memory file may be executed
		fd, err = unix.MemfdCreate("kiln-init", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd for init: %w", err)
	}
	err = func() error {
		if _, err := unix.Write(fd, program); err != nil {
			return err
		}
		if err := unix.Fchmod(fd, 0o111); err != nil {
			return err
		}
		_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
		return err
	}()
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("memfd for init: %w", err)
	}
	return fd, nil
}

// makeBlank makes one blank, with or without a way out. Nothing of it is left when it
// returns an error.
func (d *Driver) makeBlank(outbound bool) (b *blank, err error) {
	b = &blank{name: fmt.Sprintf("b%d", d.blanks.Add(1)), dead: make(chan struct{}), line: -1, user: -1}
	if b.uid, err = d.uids.take(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.destroyBlank(b))
			b = nil
		}
	}()
	if b.group, err = d.cgroups.makeGroup(b.name); err != nil {
		return b, fmt.Errorf("make control groups: %w", err)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return b, fmt.Errorf("pipe to init: %w", err)
	}
	b.line = pipe[1]
	defer unix.Close(pipe[0])
	inits := -1
	if d.cgroups.inits != "" {
		if inits, err = unix.Open(d.cgroups.inits, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return b, fmt.Errorf("open %s: %w", d.cgroups.inits, err)
		}
		defer unix.Close(inits)
	}
	thaw, err := b.group.openThaw()
	if err != nil {
		return b, err
	}
	if thaw >= 0 {
		defer unix.Close(thaw)
	}
	s := d.initScript(b, pipe[0], thaw)
	defer s.close()
	err = d.threads.run(func() error {
		if err := d.enterFreshNamespaces(); err != nil {
			return err
		}
		if b.init, err = spawn(unix.CLONE_NEWPID, inits, s); err != nil {
			return fmt.Errorf("start init: %w", err)
		}
		if err := d.hold(b); err != nil {
			return err
		}
		return d.stage.maskProc()
	})
	if err != nil {
		return b, err
	}
	if d.options.Network != nil {
		if b.link, err = d.options.attach(b.init.pid, outbound); err != nil {
			return b, err
		}
	}
	if b.pidfd, err = watchable(b.init); err == nil {
		err = reapWhenDone(b.init, b.pidfd, func(unix.WaitStatus, time.Duration, error) { close(b.dead) })
	}
	if err != nil {
		return b, fmt.Errorf("watch init: %w", err)
	}
	b.watched = true
	return b, nil
}

// hold keeps what a box is entered and held by besides its init: its user namespace,
// and its /proc where there are no control groups. The calling thread is in its mount
// namespace.
func (d *Driver) hold(b *blank) (err error) {
	if d.standing.shared() {
		if b.user, err = unix.Open("/proc/1/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("open user namespace: %w", err)
		}
	}
	if b.group.anchor() == "" {
		proc, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /proc of the box: %w", err)
		}
		b.group.gather(&crowd{proc: os.NewFile(uintptr(proc), "/proc of the box"), init: b.init.pidfd, threads: d.threads})
	}
	return nil
}

// attach gives the network of a process, which nobody has reaped, its name server and,
// with outbound, a way out.
func (o *Options) attach(pid int, outbound bool) (*network.Link, error) {
	ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open network of init: %w", err)
	}
	defer unix.Close(ns)
	return o.Network.Attach(ns, outbound)
}

// enterFreshNamespaces puts the calling thread into new namespaces whose only file
// system is a copy of the stage, with a loopback device that is up.
func (d *Driver) enterFreshNamespaces() error {
	if err := unix.Setns(d.stage.ns, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter stage: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("new namespaces: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	dev, err := detach("/dev", unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(dev)
	if err := attach(dev, "/dev"); err != nil {
		return err
	}
	return mountShared()
}

// loopbackUp brings the loopback device of the calling thread's network up.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	return nil
}

// initScript is what the child does before it becomes the init: mount /proc, which
// only a process of the new pid namespace can, and give up everything.
func (d *Driver) initScript(b *blank, line, thaw int) *script {
	s := &script{}
	program := s.source(d.program)
	s.add("new session", unix.SYS_SETSID)
	s.add("mount /proc", unix.SYS_MOUNT, s.text("proc"), s.text("/proc"), s.text("proc"),
		unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, s.text("hidepid=2"))
	s.add("umask", unix.SYS_UMASK, 0o022)
	s.redirect(0, d.null)
	s.redirect(1, d.null)
	s.redirect(2, d.null)
	s.redirect(3, line)
	rest := uintptr(4)
	if thaw >= 0 {
		s.redirect(4, thaw)
		rest = 5
	}
	s.add("close descriptors", unix.SYS_CLOSE_RANGE, rest, uintptr(^uint32(0)), unix.CLOSE_RANGE_CLOEXEC)
	if d.standing.shared() {
		d.confinement.isolateUser(s, b.uid)
		s.redirect(2, d.null)
	}
	d.confinement.signals(s)
	d.confinement.surrender(s, b.uid)
	s.add("execute", unix.SYS_EXECVEAT, program, s.text(""),
		s.texts([]string{"kiln-init", d.options.Owner, b.name}), s.texts(nil), unix.AT_EMPTY_PATH)
	return s
}

// destroyBlank ends every process of a blank and removes all that it is made of.
// It goes on after an error, and the user id is free again only when all is gone.
func (d *Driver) destroyBlank(b *blank) error {
	var errs []error
	if b.line >= 0 {
		errs = append(errs, unix.Close(b.line))
		b.line = -1
	}
	if b.init.pid > 0 {
		if err := unix.PidfdSendSignal(b.init.pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
			errs = append(errs, fmt.Errorf("kill init: %w", err))
		}
	}
	if b.group != nil && b.group.legacy != "" {
		errs = append(errs, b.group.kill()) // a frozen v1 process dies only when thawed
	}
	if b.init.pid > 0 {
		if !b.watched {
			reap(b.init.pid)
			close(b.dead)
		}
		timer := time.NewTimer(30 * time.Second)
		select {
		case <-b.dead:
			timer.Stop()
			b.letInitGo()
		case <-timer.C: // something in the box hangs in the kernel
			errs = append(errs, errors.New("its processes do not end"))
		}
	}
	if b.link != nil {
		errs = append(errs, b.link.Close())
	}
	if b.user >= 0 {
		errs = append(errs, unix.Close(b.user))
		b.user = -1
	}
	if b.group != nil {
		errs = append(errs, b.group.remove())
	}
	err := errors.Join(errs...)
	if err == nil {
		d.uids.give(b.uid)
	}
	return err
}

// letInitGo closes the init's descriptor.
func (b *blank) letInitGo() {
	if b.pidfd != nil {
		_ = b.pidfd.Close() // nothing was written
		return
	}
	unix.Close(b.init.pidfd)
}
