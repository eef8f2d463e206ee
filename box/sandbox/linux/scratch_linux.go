package linux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// scratch is the writable directory of one box, mounted and attached nowhere yet.
type scratch struct {
	mount *os.File    // the detached mount
	loop  *loopDevice // nil for a tmpfs
	empty int64       // bytes used when nothing is in it
	bytes int64
}

// scratches makes scratch directories: an ext4 image behind a loop device, or
// a tmpfs where the host has neither loop devices nor mkfs.ext4.
type scratches struct {
	dir   string // of images, templates and device nodes; all ours
	owner string
	mkfs  string // path of mkfs.ext4; "" means tmpfs
	next  atomic.Int64

	mu        sync.Mutex
	templates map[int64]*template
}

// template is the formatted image of one size, made once and copied.
type template struct {
	ready chan struct{} // closed when file or err is set
	file  *os.File
	err   error
}

// newScratches works in dir, which is emptied of images of an earlier life. With
// inMemory it makes tmpfs even where it need not.
func newScratches(dir, owner string, inMemory bool) (*scratches, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &scratches{dir: dir, owner: owner, templates: map[int64]*template{}}
	if !inMemory && loopsWork() == nil {
		s.mkfs = findMkfs()
	}
	return s, nil
}

// onDisk says whether scratch directories are disk and not memory.
func (s *scratches) onDisk() bool { return s.mkfs != "" }

// loopsWork says why loop devices cannot be used here, or nil.
func loopsWork() error {
	fd, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/loop-control: %w", err)
	}
	return unix.Close(fd)
}

// findMkfs gives the path of mkfs.ext4, which lies where a plain PATH may not look.
func findMkfs() string {
	for _, name := range []string{"mkfs.ext4", "/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4", "/usr/local/sbin/mkfs.ext4"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// make gives a fresh, empty scratch directory of a size.
func (s *scratches) make(ctx context.Context, bytes int64) (*scratch, error) {
	if !s.onDisk() {
		mount, err := newFilesystem("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV,
			fmt.Sprintf("size=%d", bytes), fmt.Sprintf("nr_inodes=%d", inodes(bytes)), "mode=700")
		if err != nil {
			return nil, err
		}
		return &scratch{mount: os.NewFile(uintptr(mount), "scratch"), bytes: bytes}, nil
	}
	t, err := s.template(ctx, bytes)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.dir, fmt.Sprintf("%s-%d.img", homeName(s.owner), s.next.Add(1)))
	image, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	// The name goes at once: the device keeps the file, and the mount the device.
	defer os.Remove(path)
	if err := copySparse(image, t); err != nil {
		return nil, fmt.Errorf("copy scratch template: %w", err)
	}
	return s.mount(image, bytes)
}

// mount binds an image to a loop device and mounts it, attached nowhere.
func (s *scratches) mount(image *os.File, bytes int64) (*scratch, error) {
	loop, err := newLoop(image, filepath.Base(image.Name()), s.dir)
	if err != nil {
		return nil, err
	}
	defer loop.release()
	mount, err := newFilesystem("ext4", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOATIME,
		"source="+loop.path, "noinit_itable", "nobarrier")
	if err != nil {
		return nil, err
	}
	c := &scratch{mount: os.NewFile(uintptr(mount), "scratch"), loop: loop, bytes: bytes}
	if c.empty, err = c.usedBlocks(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// inodes is how many files a scratch directory may hold: one for 16 KiB.
func inodes(bytes int64) int64 { return max(4096, bytes/16384) }

// template gives the formatted image of a size; the first caller makes it.
func (s *scratches) template(ctx context.Context, bytes int64) (*os.File, error) {
	s.mu.Lock()
	t := s.templates[bytes]
	first := t == nil
	if first {
		t = &template{ready: make(chan struct{})}
		s.templates[bytes] = t
	}
	s.mu.Unlock()
	if first {
		t.file, t.err = s.format(bytes)
		if t.err != nil { // let the next one try again
			s.mu.Lock()
			delete(s.templates, bytes)
			s.mu.Unlock()
		}
		close(t.ready)
	}
	select {
	case <-t.ready:
		return t.file, t.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// format makes an image whose free space for a plain user is exactly bytes: it is
// larger by what ext4 keeps for itself, and the rest is reserved for root.
func (s *scratches) format(bytes int64) (file *os.File, err error) {
	const block = 4096
	count := inodes(bytes)
	size := bytes + count*256 + bytes/32 + 24<<20
	size -= size % block
	path := filepath.Join(s.dir, fmt.Sprintf("%s-template-%d.img", homeName(s.owner), bytes))
	file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	defer func() {
		if err != nil {
			_ = file.Close() // the first error counts
		}
	}()
	if err := file.Truncate(size); err != nil {
		return nil, err
	}
	// uninit_bg leaves the inode tables unwritten, so that a copy is a few blocks;
	// metadata_csum would put a checksum on the superblock that reserve writes to.
	const features = "^has_journal,^resize_inode,^metadata_csum,uninit_bg"
	mkfs := func(features string) (string, error) {
		out, err := exec.Command(s.mkfs, "-q", "-F", "-b", "4096", "-m", "0", "-N", fmt.Sprint(count),
			"-O", features, "-E", "lazy_itable_init=1,nodiscard", path).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	out, err := mkfs(features + ",^orphan_file")
	if err != nil && strings.Contains(out, "orphan_file") { // older than e2fsprogs 1.47, and without it anyway
		out, err = mkfs(features)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", s.mkfs, err, out)
	}
	available, err := s.prepare(file, bytes)
	if err != nil {
		return nil, err
	}
	excess := available - bytes/block
	if excess < 0 {
		return nil, fmt.Errorf("scratch image of %d bytes has room for %d blocks only", size, available)
	}
	return file, reserve(file, uint32(excess))
}

// prepare mounts a fresh image once, removes what mkfs left in it and tells how
// many blocks a plain user could fill.
func (s *scratches) prepare(image *os.File, bytes int64) (int64, error) {
	c, err := s.mount(image, bytes)
	if err != nil {
		return 0, err
	}
	var st unix.Statfs_t
	err = unix.Unlinkat(int(c.mount.Fd()), "lost+found", unix.AT_REMOVEDIR)
	if err == nil {
		err = unix.Fstatfs(int(c.mount.Fd()), &st)
	}
	return int64(st.Bavail), errors.Join(err, c.close(), c.loop.gone())
}

// reserve writes the number of blocks that only root may use into the superblock,
// which has no checksum in our images.
func reserve(image *os.File, blocks uint32) error {
	const superblock, reservedBlocks = 1024, 8
	_, err := image.WriteAt([]byte{byte(blocks), byte(blocks >> 8), byte(blocks >> 16), byte(blocks >> 24)}, superblock+reservedBlocks)
	return err
}

// copySparse makes dst a copy of src, holes included.
func copySparse(dst, src *os.File) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	from := int(src.Fd())
	if unix.IoctlSetInt(int(dst.Fd()), unix.FICLONE, from) == nil {
		return nil
	}
	if err := dst.Truncate(info.Size()); err != nil {
		return err
	}
	for at := int64(0); ; {
		begin, err := unix.Seek(from, at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return nil // only a hole is left
		} else if err != nil {
			return err
		}
		end, err := unix.Seek(from, begin, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(dst, begin), io.NewSectionReader(src, begin, end-begin)); err != nil {
			return err
		}
		at = end
	}
}

// give makes the directory the property of a user.
func (c *scratch) give(uid int) error {
	root, err := unix.Openat(int(c.mount.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if err := unix.Fchown(root, uid, uid); err != nil {
		return err
	}
	return unix.Fchmod(root, 0o700)
}

// used is the number of bytes that files take.
func (c *scratch) used() (int64, error) {
	n, err := c.usedBlocks()
	return max(0, n-c.empty), err
}

// usedBlocks is the number of bytes that files and the file system itself take.
func (c *scratch) usedBlocks() (int64, error) {
	var st unix.Statfs_t
	conn, err := c.mount.SyscallConn() // which holds off a close meanwhile
	if err == nil {
		var answer error
		err = conn.Control(func(fd uintptr) { answer = unix.Fstatfs(int(fd), &st) })
		err = cmp.Or(err, answer)
	}
	if err != nil {
		return 0, fmt.Errorf("measure scratch directory: %w", err)
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize, nil
}

// close drops the mount; the kernel clears the device when no namespace holds it.
func (c *scratch) close() error { return c.mount.Close() }

// close forgets the templates and removes the directory.
func (s *scratches) close() error {
	s.mu.Lock()
	templates := s.templates
	s.templates = map[int64]*template{}
	s.mu.Unlock()
	for _, t := range templates {
		<-t.ready
		if t.file != nil {
			_ = t.file.Close() // it is unlinked and was only read
		}
	}
	return os.RemoveAll(s.dir)
}
