package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hog takes and touches memory up to Limit bytes, saying how much it has.
func hog(e *event, r *report) {
	const step = 4 << 20
	var all [][]byte
	for n := int64(0); n < e.Limit; n += step {
		b, err := unix.Mmap(-1, 0, step, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			r.tried("map", err)
			break
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
		r.Numbers["bytes"] = n + step
		if e.Text == "" {
			fmt.Println("holding", (n+step)>>20, "MB")
		}
	}
	time.Sleep(time.Duration(e.Millis) * time.Millisecond)
	for _, b := range all {
		_ = unix.Munmap(b) // it was mapped above
	}
}

// fill writes a file until there is no room, at most Limit bytes, and removes it
// again. Reads Dir, Limit.
func fill(e *event, r *report) {
	f, err := os.Create(filepath.Join(e.Dir, "fill"))
	r.tried("create", err)
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := bytes.Repeat([]byte("kiln"), 64<<10)
	for r.Numbers["bytes"] < e.Limit {
		n, err := f.Write(block)
		r.Numbers["bytes"] += int64(n)
		if err != nil {
			r.tried("write", err)
			break
		}
	}
	var st unix.Statfs_t
	r.tried("statfs", unix.Fstatfs(int(f.Fd()), &st))
	r.Numbers["block"] = st.Bsize
}

// leave writes a file until there is no room, at most Limit bytes, and leaves it there.
// Reads Dir, Limit.
func leave(e *event, r *report) {
	f, err := os.Create(filepath.Join(e.Dir, "left"))
	r.tried("create", err)
	if err != nil {
		return
	}
	defer f.Close()
	block := bytes.Repeat([]byte("kiln"), 64<<10)
	for r.Numbers["bytes"] < e.Limit {
		n, err := f.Write(block)
		r.Numbers["bytes"] += int64(n)
		if err != nil {
			r.tried("write", err)
			return
		}
	}
}

// inodes makes empty files until there is no room, at most Limit, and removes them.
// Reads Dir, Limit.
func inodes(e *event, r *report) {
	dir := filepath.Join(e.Dir, "inodes")
	r.tried("mkdir", os.Mkdir(dir, 0o700))
	for i := range e.Limit {
		fd, err := unix.Open(filepath.Join(dir, strconv.FormatInt(i, 10)), unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			r.tried("create", err)
			break
		}
		_ = unix.Close(fd) // nothing was written
		r.Numbers["files"]++
	}
	r.tried("remove", os.RemoveAll(dir))
}

// sparse makes files that claim to be larger than anything. Reads Dir, Limit (of the
// size to claim).
func sparse(e *event, r *report) {
	signal.Ignore(unix.SIGXFSZ)
	p := filepath.Join(e.Dir, "sparse")
	f, err := os.Create(p)
	r.tried("wanted create", err)
	if err != nil {
		return
	}
	defer os.Remove(p)
	defer f.Close()
	r.tried("truncate", f.Truncate(e.Limit))
	_, err = f.WriteAt([]byte("x"), e.Limit-1)
	r.tried("write at the end", err)
	r.tried("fallocate", unix.Fallocate(int(f.Fd()), 0, 0, e.Limit))
	r.tried("keep size", unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, e.Limit))
	st, err := f.Stat()
	r.tried("wanted stat", err)
	r.Numbers["size"] = st.Size()
	r.Numbers["blocks"] = st.Sys().(*syscall.Stat_t).Blocks
}

// openMany opens descriptors until there are no more, at most Limit, and closes them.
func openMany(e *event, r *report) {
	var fds []int
	for range e.Limit {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			r.tried("open", err)
			break
		}
		fds = append(fds, fd)
	}
	r.Numbers["opened"] = int64(len(fds))
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// inotify makes instances until there are no more, at most Limit, and keeps them
// until the program ends.
func inotify(e *event, r *report) {
	for range e.Limit {
		_, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		r.tried("inotify", err)
		if err != nil {
			r.Results["then"] = word(err)
			return
		}
		r.Numbers["instances"]++
	}
}

// keys adds keys to a keyring of this process, at most Limit, and lets go of it.
func keys(e *event, r *report) {
	_, err := unix.KeyctlJoinSessionKeyring("kiln-hostile")
	r.tried("keyring", err)
	for i := range e.Limit {
		_, err := unix.AddKey("user", fmt.Sprintf("kiln-hostile:%d", i), []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
		r.tried("add_key", err)
		if err != nil {
			r.Results["then"] = word(err)
			break
		}
		r.Numbers["keys"]++
	}
}

// sharedMemory makes and touches System V segments, at most Limit bytes together,
// and leaves them behind. Reads Limit.
func sharedMemory(e *event, r *report) {
	const step = 1 << 20
	for n := int64(0); n < e.Limit; n += step {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, step, unix.IPC_CREAT|0o600)
		if err != nil {
			r.tried("shmget", err)
			return
		}
		b, err := unix.SysvShmAttach(id, 0, 0)
		if err != nil {
			r.tried("shmat", err)
			return
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		r.tried("shmdt", unix.SysvShmDetach(b))
		r.Numbers["bytes"] += step
		fmt.Println("segments of", r.Numbers["bytes"]>>20, "MB")
	}
}

// messageQueues makes POSIX queues until there are no more, at most Limit, and
// leaves them behind.
func messageQueues(e *event, r *report) {
	for i := range e.Limit {
		fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, cstring(fmt.Sprintf("kiln-%d", i)), unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o600, 0, 0, 0)
		if errno != 0 {
			r.tried("mq_open", errno)
			return
		}
		_ = unix.Close(int(fd))
		r.Numbers["queues"]++
	}
}

// semaphores makes System V sets until there are no more, at most Limit, and leaves
// them behind.
func semaphores(e *event, r *report) {
	for range e.Limit {
		if err := raw(unix.SYS_SEMGET, 0, 100, unix.IPC_CREAT|0o600); err != nil {
			r.tried("semget", err)
			return
		}
		r.Numbers["sets"]++
	}
}

// storm makes pages dirty and has them written, for Millis. Reads Dir, Millis.
func storm(e *event, r *report) {
	f, err := os.Create(filepath.Join(e.Dir, "storm"))
	r.tried("create", err)
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := bytes.Repeat([]byte("kiln"), 256<<10)
	for end := time.Now().Add(time.Duration(e.Millis) * time.Millisecond); time.Now().Before(end); {
		n, err := f.WriteAt(block, r.Numbers["bytes"]%(64<<20))
		r.Numbers["bytes"] += int64(n)
		if err == nil {
			err = f.Sync()
		}
		r.tried("write", err)
		r.Numbers["syncs"]++
	}
}

// flood prints Limit bytes: as lines, or with Text "one" as one line without an end.
func flood(e *event, r *report) {
	line := bytes.Repeat([]byte("f"), 1000)
	if e.Text != "one" {
		line[len(line)-1] = '\n'
	}
	w := bufio.NewWriterSize(os.Stdout, 1<<20)
	for r.Numbers["bytes"] < e.Limit {
		n, err := w.Write(line)
		r.Numbers["bytes"] += int64(n)
		if err != nil {
			r.tried("write", err)
			return
		}
	}
	if e.Text == "one" {
		_ = w.WriteByte('\n') // Flush tells
	}
	_, _ = w.WriteString("the flood is over\n")
	r.tried("write", w.Flush())
}

// connections opens connections to the Runtime API, or with Text "api" to kiln's own,
// and keeps them for Millis, at most Limit. It counts those that still live then.
func connections(e *event, r *report) {
	var conns []net.Conn
	target := host
	if e.Text == "api" {
		target = strings.TrimPrefix(os.Getenv("AWS_ENDPOINT_URL"), "http://")
	}
	for range e.Limit {
		c, err := net.DialTimeout("tcp", target, time.Second)
		if err != nil {
			r.Numbers["refused"]++
			r.tried("dial", err)
			continue
		}
		conns = append(conns, c)
	}
	r.Numbers["opened"] = int64(len(conns))
	time.Sleep(time.Duration(e.Millis) * time.Millisecond) // time to close what is too much
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond)) // a connection that cannot have one is closed
		_, err := c.Read(make([]byte, 1))
		if t, ok := err.(net.Error); ok && t.Timeout() {
			r.Numbers["alive"]++
		} else {
			r.Numbers["closed"]++
		}
	}
	for _, c := range conns {
		_ = c.Close() // nothing was written
	}
}

// extensions registers Limit extensions and counts the answers by status.
func extensions(e *event, r *report) {
	for i := range e.Limit {
		q, err := http.NewRequest(http.MethodPost, "http://"+host+"/2020-01-01/extension/register", strings.NewReader(`{"events":["INVOKE"]}`))
		if err != nil {
			r.tried("request", err)
			return
		}
		q.Header.Set("Lambda-Extension-Name", fmt.Sprint("extension-", i))
		a, err := client.Do(q)
		if err != nil {
			r.Numbers["no answer"]++
			continue
		}
		_, _ = io.Copy(io.Discard, a.Body) // only the status counts
		_ = a.Body.Close()
		r.Numbers[fmt.Sprint("status ", a.StatusCode)]++
	}
}

// stay goes on for ever, after it has made itself hard to end: deaf to signals, with
// children that are stopped and a thread that the kernel does not let go. Reads
// Text (which of them).
func stay(e *event, _ *report) {
	if strings.Contains(e.Text, "deaf") {
		signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	}
	if strings.Contains(e.Text, "stopped") {
		for range 3 {
			c := exec.Command("/proc/self/exe", "sleep")
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if _, err := c.StdinPipe(); err == nil && c.Start() == nil {
				_ = unix.Kill(c.Process.Pid, unix.SIGSTOP) // it is ours and lives
				fmt.Println("a stopped child")
			}
		}
	}
	if strings.Contains(e.Text, "uninterruptible") {
		go func() {
			fmt.Println("a thread that waits without a signal reaching it")
			waitForStoppedChild()
		}()
	}
	fmt.Println("staying")
	select {}
}

// waitForStoppedChild makes a child that stops at once and waits for it as vfork
// does, which no signal but SIGKILL ends.
func waitForStoppedChild() {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_VFORK|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		own, _, _ := unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		for {
			unix.RawSyscall(unix.SYS_KILL, own, uintptr(unix.SIGSTOP), 0)
		}
	}
}

// work is a slow call that says from when to when it ran, by a clock that all
// processes of the machine share. Reads Millis, Limit (memory to hold meanwhile).
func work(e *event, r *report) {
	r.Numbers["from"] = monotonic()
	quiet := *e
	quiet.Text = "quiet"
	hog(&quiet, r)
	r.Numbers["to"] = monotonic()
}

// spin keeps one processor busy until the process has used Millis of its time, and says
// how long that took.
func spin(e *event, r *report) {
	used := func() int64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			r.Results["attack"] = err.Error()
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	began, start := monotonic(), used()
	for used()-start < e.Millis*1e6 {
	}
	r.Numbers["nanoseconds"] = monotonic() - began
}

// released is told by SIGUSR1; it is open from the start, so that the signal never
// ends the program.
var released = make(chan os.Signal, 1)

func init() { signal.Notify(released, unix.SIGUSR1) }

// await lasts until somebody outside sends SIGUSR1, at most Millis.
func await(e *event, r *report) {
	select {
	case <-released:
		r.Results["await"] = "ok"
	case <-time.After(time.Duration(e.Millis) * time.Millisecond):
		r.Results["await"] = "timeout"
	}
}

// monotonic is the machine's clock in nanoseconds.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

// memory of this process from one call to the next.
var calledBefore atomic.Int64

// remember says how often this process was called and whose environment it is.
func remember(_ *event, r *report) {
	r.Numbers["calls"] = calledBefore.Add(1)
	for _, name := range []string{"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"} {
		r.Texts[name] = os.Getenv(name)
	}
}
