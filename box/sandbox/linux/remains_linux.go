package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// clearRemains removes what outlives the processes of a box and still counts as its
// memory: System V objects, message queues and the files of /dev/shm. Without it a
// box whose programs left much there could start none again. It needs the turn, and
// that no program runs.
func (x *box) clearRemains() error {
	return x.driver.threads.run(func() error {
		if err := unix.Setns(x.blank.init.pidfd, unix.CLONE_NEWIPC); err != nil {
			return fmt.Errorf("enter namespaces: %w", err)
		}
		// The host's /proc is still in sight and shows the namespace of who reads it.
		if err := errors.Join(removeSystemV(), removeQueues()); err != nil {
			return err
		}
		if err := unix.Setns(x.blank.init.pidfd, unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("enter namespaces: %w", err)
		}
		if err := unix.Unmount("/dev/shm", unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount /dev/shm: %w", err)
		}
		return mountShared()
	})
}

// mountShared puts an empty file system at /dev/shm of the calling thread.
func mountShared() error {
	shm, err := newFilesystem("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "size=64m", "nr_inodes=4096", "mode=1777")
	if err != nil {
		return err
	}
	defer unix.Close(shm)
	return attach(shm, "/dev/shm")
}

// removeSystemV removes all shared memory, semaphores and message queues of the calling
// thread's namespace.
func removeSystemV() error {
	for name, call := range map[string]uintptr{"shm": unix.SYS_SHMCTL, "sem": unix.SYS_SEMCTL, "msg": unix.SYS_MSGCTL} {
		table, err := os.ReadFile("/proc/sysvipc/" + name)
		if errors.Is(err, fs.ErrNotExist) { // the kernel has none of them
			continue
		} else if err != nil {
			return err
		}
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) < 2 {
				continue
			}
			id, err := strconv.Atoi(f[1])
			if err != nil {
				continue // the headline
			}
			// IPC_RMID is 0, as is what the calls have between and behind it.
			if _, _, errno := unix.Syscall6(call, uintptr(id), 0, 0, 0, 0, 0); errno != 0 && errno != unix.EINVAL && errno != unix.EIDRM {
				return fmt.Errorf("remove %s %d: %w", name, id, errno)
			}
		}
	}
	return nil
}

// removeQueues removes all POSIX message queues of the calling thread's namespace.
func removeQueues() error {
	mount, err := newFilesystem("mqueue", 0)
	if err != nil {
		if errors.Is(err, unix.ENODEV) { // the kernel has none
			return nil
		}
		return err
	}
	defer unix.Close(mount)
	root, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open message queues: %w", err)
	}
	dir := os.NewFile(uintptr(root), "mqueue")
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("list message queues: %w", err)
	}
	for _, name := range names {
		if err := unix.Unlinkat(root, name, 0); err != nil && err != unix.ENOENT {
			return fmt.Errorf("remove message queue %s: %w", name, err)
		}
	}
	return nil
}
