package linux

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

// furniture is the file system of one box while it is put together. All paths of
// the spec are walked below root, never through the calling thread's "/".
type furniture struct {
	box    *box
	root   int   // the mount that is the box's "/"
	sealed []int // mounts that become read-only when everything is in place
	open   []int // descriptors to close at the end
	count  int   // of directories and files made in stageFiles
}

const sealedMount = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV

// furnish puts the box's file system in place and names the box.
func (x *box) furnish() error {
	// Sources are host paths: they are opened before the thread leaves the host.
	f := &furniture{box: x}
	defer f.close()
	sources := make([]int, len(x.spec.Mounts))
	for i, m := range x.spec.Mounts {
		sources[i] = -1
		if m.Source == "" {
			continue
		}
		fd, err := detach(m.Source, sealedMount)
		if err != nil {
			return err
		}
		f.open = append(f.open, fd)
		sources[i] = fd
	}
	shares := make([]int, len(x.spec.Shares))
	for i, share := range x.spec.Shares {
		fd, err := x.driver.openShare(share.Source, x.blank.uid)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", sandbox.ErrShare, share.Source, err)
		}
		f.open = append(f.open, fd)
		shares[i] = fd
	}
	return x.driver.threads.run(func() error {
		if err := unix.Setns(x.blank.init.pidfd, unix.CLONE_NEWNS|unix.CLONE_NEWUTS); err != nil {
			return fmt.Errorf("enter namespaces: %w", err)
		}
		if err := unix.Sethostname([]byte(x.spec.Hostname)); err != nil {
			return fmt.Errorf("set host name: %w", err)
		}
		unix.Umask(0) // of this thread alone
		return f.assemble(sources, shares)
	})
}

// assemble attaches the box's root over the stage's, and everything else below it.
// The calling thread stays at the stage's root; whoever enters the namespace later
// arrives at the topmost one and has no way below it, where in any case there is
// nothing but the stage. To pivot instead would visit every thread of the host.
func (f *furniture) assemble(sources, shares []int) error {
	spec := &f.box.spec
	if err := f.openFiles(); err != nil {
		return err
	}
	for i, m := range spec.Mounts {
		if err := f.mount(sources[i], m.Target); err != nil {
			return fmt.Errorf("mount %q at %s: %w", m.Source, m.Target, err)
		}
	}
	for i, share := range spec.Shares {
		if err := f.mount(shares[i], share.Target); err != nil {
			return fmt.Errorf("%w: %s at %s: %w", sandbox.ErrShare, share.Source, share.Target, err)
		}
	}
	for _, file := range spec.Files {
		contents := bytes.ReplaceAll(file.Contents, []byte("${UID}"), []byte(strconv.Itoa(f.box.blank.uid)))
		if err := f.file(file.Path, contents, uint32(file.Mode.Perm())); err != nil {
			return fmt.Errorf("file %s: %w", file.Path, err)
		}
	}
	if err := f.move("/proc", "/proc"); err != nil {
		return err
	}
	if err := f.move("/dev", "/dev"); err != nil {
		return err
	}
	if c := f.box.scratch; c != nil {
		target, err := f.directory("/tmp")
		if err != nil {
			return fmt.Errorf("scratch directory at /tmp: %w", err)
		}
		if err := f.attach(int(c.mount.Fd()), target); err != nil {
			return fmt.Errorf("scratch directory at /tmp: %w", err)
		}
	}
	for _, fd := range f.sealed {
		if err := seal(fd); err != nil {
			return fmt.Errorf("make read-only: %w", err)
		}
	}
	return nil
}

// seal makes a mount read-only. A child that another goroutine makes at this moment
// has copies of all descriptors until it executes, also of files that were just
// written; they keep the mount busy so long.
func seal(fd int) error {
	for p := patient(20*time.Microsecond, time.Millisecond, 5*time.Second); ; {
		err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: sealedMount})
		if err != unix.EBUSY || !p.nap() {
			return err
		}
	}
}

// openFiles attaches the small file system for what is the box's own: private
// directories and files. A box without any has none.
func (f *furniture) openFiles() error {
	need := len(f.box.spec.Files) > 0
	var size, nodes int
	for _, file := range f.box.spec.Files {
		size += len(file.Contents) + 8192
		nodes += 2 + strings.Count(file.Path, "/")
	}
	for _, m := range f.box.spec.Mounts {
		need = need || m.Source == ""
		nodes += 2 + strings.Count(m.Target, "/")
	}
	if !need {
		return nil
	}
	fd, err := newFilesystem("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV,
		fmt.Sprintf("size=%d", size+1<<20), fmt.Sprintf("nr_inodes=%d", nodes+64), "mode=755")
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return attach(fd, stageFiles)
}

// own gives a mount of a new empty directory or file (content not nil) in the box's
// own file system, which is sealed at the end.
func (f *furniture) own(directory bool, contents []byte, mode uint32) (int, error) {
	f.count++
	name := path.Join(stageFiles, strconv.Itoa(f.count))
	if directory {
		if err := unix.Mkdir(name, mode); err != nil {
			return -1, err
		}
	} else if err := writeFile(unix.AT_FDCWD, name, contents, mode); err != nil {
		return -1, err
	}
	fd, err := detach(name, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, err
	}
	f.open = append(f.open, fd)
	f.sealed = append(f.sealed, fd)
	return fd, nil
}

// mount attaches a source, or a new empty directory when it is -1.
func (f *furniture) mount(source int, target string) error {
	directory := true
	if source < 0 {
		var err error
		if source, err = f.own(true, nil, 0o755); err != nil {
			return err
		}
	} else {
		var st unix.Stat_t
		if err := unix.Fstat(source, &st); err != nil {
			return err
		}
		directory = st.Mode&unix.S_IFMT == unix.S_IFDIR
	}
	if path.Clean(target) == "/" {
		f.root = source
		return attach(source, "/")
	}
	var at int
	var err error
	if directory {
		at, err = f.directory(target)
	} else {
		at, err = f.regular(target)
	}
	if err != nil {
		return err
	}
	return f.attach(source, at)
}

// attach puts a mount on an open path of the box.
func (f *furniture) attach(mount, at int) error {
	return unix.MoveMount(mount, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// move takes a mount of the stage, with all below it, into the box.
func (f *furniture) move(from, to string) error {
	at, err := f.directory(to)
	if err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	if err := unix.MoveMount(unix.AT_FDCWD, from, at, "", unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return fmt.Errorf("move %s: %w", from, err)
	}
	return nil
}

// lookup opens a path of the box to mount on.
func (f *furniture) lookup(target string, flags uint64) (int, error) {
	fd, err := within(f.root, target, unix.O_PATH|flags, 0)
	if err == nil {
		f.open = append(f.open, fd)
	}
	return fd, err
}

// directory opens a directory of the box, and makes it and its parents where they
// are missing and may be made.
func (f *furniture) directory(target string) (int, error) {
	target = path.Clean(target)
	fd, err := f.lookup(target, unix.O_DIRECTORY)
	if err != unix.ENOENT || target == "/" {
		return fd, err
	}
	parent, err := f.directory(path.Dir(target))
	if err != nil {
		return -1, err
	}
	if err := unix.Mkdirat(parent, path.Base(target), 0o755); err != nil {
		return -1, missing(err)
	}
	return f.lookup(target, unix.O_DIRECTORY)
}

// regular opens a file of the box, and makes it where it is missing and may be made.
func (f *furniture) regular(target string) (int, error) {
	target = path.Clean(target)
	fd, err := f.lookup(target, 0)
	if err != unix.ENOENT {
		return fd, err
	}
	parent, err := f.directory(path.Dir(target))
	if err != nil {
		return -1, err
	}
	if err := writeFile(parent, path.Base(target), nil, 0o644); err != nil {
		return -1, missing(err)
	}
	return f.lookup(target, 0)
}

// missing says in words why a target could not be made.
func missing(err error) error {
	if err == unix.EROFS {
		return fmt.Errorf("it does not exist and its parent is a read-only mount: %w", unix.ENOENT)
	}
	return err
}

// file writes a file into the box: over the one that is there, or anew. A mode
// without bits means 0644.
func (f *furniture) file(target string, contents []byte, mode uint32) error {
	target = path.Clean(target)
	if mode == 0 {
		mode = 0o644
	}
	at, err := f.lookup(target, 0)
	if err == nil {
		own, err := f.own(false, contents, mode)
		if err != nil {
			return err
		}
		return f.attach(own, at)
	}
	if err != unix.ENOENT {
		return err
	}
	parent, err := f.directory(path.Dir(target))
	if err != nil {
		return err
	}
	return missing(writeFile(parent, path.Base(target), contents, mode))
}

// writeFile makes a new file with exactly these contents and mode.
func writeFile(dir int, name string, contents []byte, mode uint32) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for len(contents) > 0 {
		n, err := unix.Write(fd, contents)
		if err != nil {
			return err
		}
		contents = contents[n:]
	}
	return nil
}

// close closes what was opened on the way; what is attached stays.
func (f *furniture) close() {
	for _, fd := range f.open {
		unix.Close(fd)
	}
}
