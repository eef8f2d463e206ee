package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// overwrite opens programs for writing, again and again, as who waits for the moment
// in which the kernel lets him. It writes nothing. Reads Paths, Limit.
func overwrite(e *event, r *report) {
	for range e.Limit {
		for _, p := range e.Paths {
			for _, mode := range []int{unix.O_WRONLY, unix.O_RDWR, unix.O_WRONLY | unix.O_APPEND} {
				fd, err := unix.Open(p, mode|unix.O_CLOEXEC, 0)
				r.tried(p, err)
				if err == nil {
					_ = unix.Close(fd)
				}
			}
			// The way of those who got a path descriptor first.
			fd, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				r.tried(p+" reopened", err)
				continue
			}
			again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_WRONLY|unix.O_CLOEXEC, 0)
			r.tried(p+" reopened", err)
			if err == nil {
				_ = unix.Close(again)
			}
			_ = unix.Close(fd)
		}
		r.Numbers["rounds"]++
	}
}

// descriptors looks at what this program was given and walks out of every directory
// among it to the marker. Reads Marker.
func descriptors(e *event, r *report) {
	for fd := range 4096 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil {
			continue
		}
		link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if strings.HasPrefix(link, "anon_inode:") {
			continue // Go's own poller
		}
		r.Numbers["descriptors"]++
		kind := map[uint32]string{unix.S_IFDIR: "directory", unix.S_IFCHR: "character device", unix.S_IFIFO: "pipe", unix.S_IFSOCK: "socket", unix.S_IFREG: "file", unix.S_IFBLK: "block device"}[st.Mode&unix.S_IFMT]
		r.Texts[fmt.Sprint(fd)] = kind
		if kind == "directory" {
			r.Numbers["directories"]++
		}
		found, err := unix.Openat(fd, strings.Repeat("../", 30)+strings.TrimPrefix(e.Marker, "/"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		r.tried("marker by a descriptor", err)
		if err == nil {
			_ = unix.Close(found)
		}
	}
	_, err := os.Stat(e.Marker)
	r.tried("marker by its path", err)
}

// chroot is the classic: chroot below, then climb out with the old directory. Reads
// Dir (of the jail to be made), Marker.
func chroot(e *event, r *report) {
	jail := filepath.Join(e.Dir, "jail")
	r.tried("mkdir", os.MkdirAll(jail, 0o755))
	r.tried("chroot", unix.Chroot(jail))
	for range 50 {
		_ = unix.Chdir("..") // without a chroot it leads to the root at once
	}
	r.tried("chroot again", unix.Chroot("."))
	_, err := os.Stat(e.Marker)
	r.tried("marker", err)
	_, err = os.Stat("." + e.Marker)
	r.tried("marker from here", err)
}

// settings writes to kernel settings what they hold already, so that a success
// changes nothing. Reads Paths.
func settings(e *event, r *report) {
	for _, p := range e.Paths {
		value, err := os.ReadFile(p)
		if err != nil || len(value) == 0 {
			value = []byte("h") // to sysrq it asks for help
		}
		if strings.HasSuffix(p, "oom_score_adj") {
			value = []byte("-1000")
		}
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write(value)
			_ = f.Close() // the write counts
		}
		r.tried(p, err)
	}
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	r.tried("read own score", err)
	r.Texts["score"] = strings.TrimSpace(string(score))
}

// readFiles reads what tells about the host. Reads Paths.
func readFiles(e *event, r *report) {
	for _, p := range e.Paths {
		r.Results[p] = readOne(p)
	}
}

// readOne says what reading a file or listing a directory gives: an error, "empty"
// or "ok".
func readOne(p string) string {
	st, err := os.Stat(p)
	if err != nil {
		return word(err)
	}
	if st.IsDir() {
		list, err := os.ReadDir(p)
		if err == nil && len(list) == 0 {
			return "empty"
		}
		return word(err)
	}
	fd, err := unix.Open(p, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return word(err)
	}
	defer unix.Close(fd)
	buffer := make([]byte, 4096)
	n, err := unix.Read(fd, buffer)
	switch {
	case err != nil:
		return word(err)
	case n == 0:
		return "empty"
	}
	return "ok"
}

// setuid runs a program whose file lends rights, if its package could make it so.
// Reads Paths (one), Dir.
func setuid(e *event, r *report) {
	p := e.Paths[0]
	r.Numbers["uid"] = int64(os.Geteuid())
	st, err := os.Stat(p)
	r.tried("stat", err)
	if err == nil && st.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
		r.Results["setuid bit"] = "kept"
	}
	out, err := exec.Command(p, "whoami").Output()
	r.tried("run", err)
	var uid, gid int64
	if _, err := fmt.Sscan(string(out), &uid, &gid); err == nil {
		r.Numbers["uid of the program"], r.Numbers["gid of the program"] = uid, gid
	}
	r.tried("setuid 0", unix.Setuid(0))
	own := filepath.Join(e.Dir, "own")
	r.tried("make own program", os.WriteFile(own, []byte("#!/bin/sh\n"), 0o755))
	// The rights of a file: a version 2 capability set that lends everything.
	all := []byte{1, 0, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}
	r.tried("lend capabilities", unix.Setxattr(own, "security.capability", all, 0))
	r.tried("give away", os.Chown(own, 0, 0))
}

// changeFiles tries to change directories that are not its own. Reads Paths, Dir
// (one that it may change).
func changeFiles(e *event, r *report) {
	own := filepath.Join(e.Dir, "own")
	r.tried("wanted own file", os.WriteFile(own, []byte("x"), 0o600))
	for _, dir := range e.Paths {
		name := filepath.Join(dir, "made-by-attacker")
		r.tried("create in "+dir, os.WriteFile(name, nil, 0o600))
		r.tried("whiteout in "+dir, unix.Mknod(name+"-0", unix.S_IFCHR, 0))
		r.tried("mkdir in "+dir, os.Mkdir(name+"-1", 0o700))
		r.tried("symlink in "+dir, os.Symlink("/", name+"-2"))
		r.tried("link into "+dir, os.Link(own, name+"-3"))
		r.tried("rename to "+dir, os.Rename(own, name+"-4"))
		r.tried("opaque "+dir, unix.Setxattr(dir, "trusted.overlay.opaque", []byte("y"), 0))
		r.tried("chmod "+dir, os.Chmod(dir, 0o777))
		list, err := os.ReadDir(dir)
		if err != nil || len(list) == 0 {
			continue
		}
		first := filepath.Join(dir, list[0].Name())
		r.tried("remove from "+dir, func() error {
			err := os.Remove(first)
			if st, e := os.Lstat(first); err != nil && e == nil && st.IsDir() {
				return os.Rename(first, name+"-5")
			}
			return err
		}())
	}
}

// show gives what files hold and who owns them. Reads Paths.
func show(e *event, r *report) {
	for _, p := range e.Paths {
		text, err := os.ReadFile(p)
		r.tried(p, err)
		r.Texts[p] = string(text)
		var st unix.Stat_t
		if unix.Lstat(p, &st) == nil {
			r.Numbers[p] = int64(st.Uid)
		}
	}
}

// rewrite writes a line to an open file and then tries to undo it. Reads Limit, the
// file's number.
func rewrite(e *event, r *report) {
	fd := int(e.Limit)
	line := func(text string) { _, err := unix.Write(fd, []byte(text+"\n")); r.tried("wanted "+text, err) }
	line("the first line")
	_, err := unix.Pwrite(fd, []byte("overwritten"), 0)
	r.tried("pwrite", err)
	_, err = unix.Seek(fd, 0, 0)
	r.tried("seek", err)
	r.tried("truncate", unix.Ftruncate(fd, 0))
	line("the last line")
}
