package linux

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

var _ sandbox.Sharer = (*Driver)(nil)

// shares says why no directory can be shared with boxes of this driver, nil when it can.
// Where boxes have ids of a user namespace, the directories are another's: only who
// rules the file system may show a directory with other owners.
func (d *Driver) shares() error {
	if d.standing.rootless && !d.standing.shared() {
		return errors.New("without root, directories are shared only where environments are the server's own user: there the kernel does not show a directory with other owners")
	}
	return nil
}

// CheckShare tries to show a directory as the user of a box would have it.
func (d *Driver) CheckShare(source string) error {
	if !filepath.IsAbs(source) {
		return fmt.Errorf("%w: %q: want an absolute path", sandbox.ErrShare, source)
	}
	fd, err := d.openShare(source, d.options.UIDs.First)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", sandbox.ErrShare, source, err)
	}
	return unix.Close(fd)
}

// openShare gives a mount of a host directory whose owner and group are shown as the
// user id of a box. It is seen nowhere until it is attached, and closing it undoes it.
func (d *Driver) openShare(dir string, uid int) (int, error) {
	if err := d.shares(); err != nil {
		return -1, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if err := d.cede(fd, uid); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// cede makes a detached mount of a directory writable by a user of a box.
func (d *Driver) cede(fd, uid int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if d.standing.shared() {
		// The user of every box is this one, which in its namespace is 0.
		if st.Uid != 0 {
			return errors.New("it belongs to another user than the server's")
		}
		return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr)
	}
	// What a box makes would be root's on the host, setuid programs included.
	if st.Uid == 0 || st.Gid == 0 {
		return fmt.Errorf("it belongs to user %d and group %d: what is written there would be root's; give it to others with chown", st.Uid, st.Gid)
	}
	ns, err := d.translation(int(st.Uid), int(st.Gid), uid)
	if err != nil {
		return fmt.Errorf("make a user namespace: %w", err)
	}
	defer ns.Close()
	attr.Attr_set |= unix.MOUNT_ATTR_IDMAP
	attr.Userns_fd = uint64(ns.Fd())
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("show it with another owner, which needs Linux 5.12 and a file system that can be shown so (ext4, XFS, Btrfs, tmpfs since 6.3): %w", err)
	}
	return nil
}

// translation gives a user namespace that has one user and one group: seen through it, a
// file of owner and group belongs to a user id of a box. A process that does nothing
// holds it until it is open.
func (d *Driver) translation(owner, group, uid int) (ns *os.File, err error) {
	line, held, err := os.Pipe() // the program ends when held is closed, also by our death
	if err != nil {
		return nil, err
	}
	defer held.Close()
	defer line.Close()
	c := exec.Command("/proc/self/fd/" + strconv.Itoa(d.program))
	c.Env, c.ExtraFiles = []string{}, []*os.File{line}
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: owner, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: group, HostID: uid, Size: 1}},
	}
	if err := c.Start(); err != nil {
		return nil, cause(err)
	}
	ns, err = os.Open(fmt.Sprintf("/proc/%d/ns/user", c.Process.Pid))
	if killed := errors.Join(c.Process.Kill(), ignoreExit(c.Wait())); killed != nil {
		if err == nil {
			err = ns.Close()
		}
		return nil, errors.Join(killed, err)
	}
	return ns, err
}
