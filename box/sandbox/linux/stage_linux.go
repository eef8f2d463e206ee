package linux

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stage is a mount namespace that holds nothing of the host: a small read-only
// tree of devices and empty directories. The namespaces of boxes are copies of
// it, which is cheaper than a copy of the host's, and leaves nothing to unmount.
type stage struct {
	ns       int      // the namespace
	masks    []string // what of /proc is covered in every box
	rootless bool     // devices are the host's own, and /proc is there twice
}

// The directories of a stage besides /dev and /proc: stageFiles is where a box's own
// small files come from.
const (
	stageFiles = "/files"
	stageEmpty = "/empty"
	// stageProc shows the host's /proc until a box has its own: in a user namespace the
	// kernel gives a new one only to who can see all of another.
	stageProc = "/host-proc"
)

// device is one node of /dev.
type device struct {
	name         string
	major, minor uint32
}

var devices = []device{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}}

// deviceLinks are the symbolic links of /dev.
var deviceLinks = [][2]string{
	{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
}

// maskable is what of /proc no box may see, where the host's kernel has it. The
// function's user could read or write little of it anyway.
var maskable = []string{
	"/proc/acpi", "/proc/asound", "/proc/bus", "/proc/driver", "/proc/dynamic_debug", "/proc/fs", "/proc/irq", "/proc/scsi", "/proc/sysvipc",
	"/proc/config.gz", "/proc/kallsyms", "/proc/kcore", "/proc/key-users", "/proc/keys", "/proc/kmsg", "/proc/kpagecgroup",
	"/proc/kpagecount", "/proc/kpageflags", "/proc/latency_stats", "/proc/mtrr", "/proc/sched_debug", "/proc/slabinfo",
	"/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats", "/proc/vmallocinfo",
}

// openStage builds the stage; dir is an empty directory to build it on, which is as
// before afterwards.
func openStage(dir string, rootless bool) (*stage, error) {
	s := &stage{ns: -1, rootless: rootless}
	for _, m := range maskable {
		if _, err := os.Lstat(m); err == nil {
			s.masks = append(s.masks, m)
		}
	}
	err := apart(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("new mount namespace: %w", err)
		}
		var err error
		if s.ns, err = unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("open mount namespace: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		return s.build(dir)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build stage: %w", err), s.close())
	}
	return s, nil
}

// build makes the tree and turns it into the root of the calling thread's mount
// namespace.
func (s *stage) build(dir string) error {
	if err := unix.Mount("kiln", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=64k,nr_inodes=64"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	unix.Umask(0) // of this thread alone: it left the process's CLONE_FS group with its namespace
	for _, d := range []string{"dev", "dev/shm", "proc", stageFiles[1:], stageEmpty[1:], stageProc[1:]} {
		if err := unix.Mkdir(d, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", d, err)
		}
	}
	for _, d := range devices {
		if err := s.device(d); err != nil {
			return fmt.Errorf("make device %s: %w", d.name, err)
		}
	}
	if s.rootless {
		if err := borrow("/proc", stageProc[1:], unix.MOUNT_ATTR_RDONLY); err != nil {
			return err
		}
	}
	for _, l := range deviceLinks {
		if err := unix.Symlink(l[1], "dev/"+l[0]); err != nil {
			return fmt.Errorf("link device %s: %w", l[0], err)
		}
	}
	if err := enterRoot(); err != nil {
		return err
	}
	return unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// device makes a node of /dev: in a user namespace, where none can be made, it is the
// host's.
func (s *stage) device(d device) error {
	if !s.rootless {
		return unix.Mknod("dev/"+d.name, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor)))
	}
	var st unix.Stat_t
	if err := unix.Stat("/dev/"+d.name, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(d.major, d.minor) {
		return fmt.Errorf("the host's /dev/%s is something else", d.name)
	}
	if err := unix.Mknod("dev/"+d.name, unix.S_IFREG|0o666, 0); err != nil {
		return err
	}
	return borrow("/dev/"+d.name, "dev/"+d.name, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC)
}

// borrow shows what the host has at source at target too.
func borrow(source, target string, attributes uint64) error {
	fd, err := detach(source, attributes)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return attach(fd, target)
}

// enterRoot makes the working directory the root of the mount namespace and lets
// go of everything else in it.
func enterRoot() error {
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount old root: %w", err)
	}
	return unix.Chdir("/")
}

// close lets the namespace go.
func (s *stage) close() error {
	if s.ns < 0 {
		return nil
	}
	err := unix.Close(s.ns)
	s.ns = -1
	return err
}

// maskProc covers the calling thread's /proc: what is masked reads as empty, and
// /proc/sys is read-only.
func (s *stage) maskProc() error {
	const sealed = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	if s.rootless { // it has served its purpose
		if err := unix.Unmount(stageProc, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount the host's /proc: %w", err)
		}
	}
	if err := borrow("/proc/sys", "/proc/sys", sealed); err != nil {
		return err
	}
	for _, m := range s.masks {
		var st unix.Stat_t
		if err := unix.Lstat(m, &st); err == unix.ENOENT {
			continue // there on the host and not in this instance
		} else if err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
		source, attributes := "/dev/null", uint64(sealed&^unix.MOUNT_ATTR_NODEV)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			source, attributes = stageEmpty, sealed
		}
		if err := borrow(source, m, attributes); err != nil {
			return err
		}
	}
	return nil
}
