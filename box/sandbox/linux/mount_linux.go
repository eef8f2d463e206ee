package linux

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// detach gives a descriptor of a private copy of the mount at path, with everything
// mounted below it and the given attributes everywhere. Nothing is visible until
// it is attached, and closing it undoes it.
func detach(path string, attributes uint64) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("open tree %s: %w", path, err)
	}
	if err := setAttributes(fd, attributes); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("mount attributes of %s: %w", path, err)
	}
	return fd, nil
}

// setAttributes adds mount attributes to the mount behind fd and all below it.
func setAttributes(fd int, attributes uint64) error {
	attr := unix.MountAttr{Attr_set: attributes}
	if attributes&unix.MOUNT_ATTR__ATIME != 0 {
		attr.Attr_clr = unix.MOUNT_ATTR__ATIME
	}
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
}

// newFilesystem makes a file system of a kind with options "key=value" or "flag",
// and gives a detached mount of it.
func newFilesystem(kind string, attributes int, options ...string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open file system %s: %w", kind, err)
	}
	defer unix.Close(fs)
	for _, o := range options {
		key, value, ok := strings.Cut(o, "=")
		if ok {
			err = unix.FsconfigSetString(fs, key, value)
		} else {
			err = unix.FsconfigSetFlag(fs, key)
		}
		if err != nil {
			return -1, fmt.Errorf("%s option %s: %w%s", kind, o, err, complaint(fs))
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("create file system %s: %w%s", kind, err, complaint(fs))
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, fmt.Errorf("mount file system %s: %w", kind, err)
	}
	return fd, nil
}

// complaint reads the kernel's own words on a failed mount, when it left some.
func complaint(fs int) string {
	buf := make([]byte, 256)
	n, err := unix.Read(fs, buf)
	if err != nil || n == 0 {
		return ""
	}
	return " (" + strings.TrimSpace(string(buf[:n])) + ")"
}

// attach puts a detached mount on a path.
func attach(fd int, path string) error {
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach mount at %s: %w", path, err)
	}
	return nil
}

// within opens a path below root, as if root were "/": no symbolic link, not even
// one that the contents of a package bring along, leads out of it.
func within(root int, path string, flags uint64, mode uint64) (int, error) {
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Mode:    mode,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	for tries := 0; err == unix.EAGAIN && tries < 100; tries++ { // a rename raced with the walk
		fd, err = unix.Openat2(root, path, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Mode: mode, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	}
	return fd, err
}
