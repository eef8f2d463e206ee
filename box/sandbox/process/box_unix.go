//go:build unix

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"kiln/box/sandbox"
)

// box is a directory and the process groups of what was started for it.
type box struct {
	driver  *Driver
	spec    sandbox.Spec
	dir     string
	scratch string
	files   map[string]string // path inside → where the file really lies

	// turn is held by whoever changes the processes.
	turn   chan struct{}
	frozen bool         // under turn
	groups map[int]bool // process groups that may have a member; under turn

	gone chan struct{}

	mu         sync.Mutex
	destroying bool
	programs   map[*program]bool
	spent      time.Duration // processor time of programs that ended

	destroyed  chan struct{}
	destroyErr error
}

var (
	_ sandbox.Sandbox    = (*box)(nil)
	_ sandbox.HostPather = (*box)(nil)
	_ sandbox.Dialer     = (*box)(nil)
)

// newBox names the directories of a box and makes none of them.
func newBox(d *Driver, spec sandbox.Spec) *box {
	dir := filepath.Join(d.dir, spec.ID)
	return &box{
		driver: d, spec: spec, dir: dir, scratch: filepath.Join(dir, "tmp"),
		files: map[string]string{}, turn: make(chan struct{}, 1), groups: map[int]bool{},
		gone: make(chan struct{}), programs: map[*program]bool{}, destroyed: make(chan struct{}),
	}
}

// make creates the directories and files of the box.
func (x *box) make() error {
	if err := os.Mkdir(x.dir, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(x.scratch, 0o700); err != nil {
		return err
	}
	empty := filepath.Join(x.dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		return err
	}
	for i, f := range x.spec.Files {
		path := filepath.Join(x.dir, "file-"+strconv.Itoa(i))
		contents := bytes.ReplaceAll(f.Contents, []byte("${UID}"), []byte(strconv.Itoa(os.Getuid())))
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			return err
		}
		x.files[filepath.Clean(f.Path)] = path
	}
	return nil
}

// HostPath says where a path of the box lies on the host: its file, its scratch
// directory, or below the source of the mount with the longest matching target. A
// mount without a source is an empty directory, except at "/", where the host's
// own root stands for it.
func (x *box) HostPath(inside string) string {
	inside = filepath.Clean(inside)
	if path, ok := x.files[inside]; ok {
		return path
	}
	if rest, ok := below(inside, "/tmp"); ok {
		return filepath.Join(x.scratch, rest)
	}
	source, tail, longest := "/", inside, -1
	for _, m := range x.spec.Mounts {
		target := filepath.Clean(m.Target)
		rest, ok := below(inside, target)
		if !ok || len(target) < longest {
			continue
		}
		source, tail, longest = m.Source, rest, len(target)
		if m.Source == "" {
			source = filepath.Join(x.dir, "empty")
			if target == "/" {
				source = "/"
			}
		}
	}
	return filepath.Join(source, tail)
}

// below gives the part of path that lies below dir.
func below(path, dir string) (string, bool) {
	if dir == "/" {
		return path, true
	}
	rest, ok := strings.CutPrefix(path, dir)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// ID is the name that the spec gave.
func (x *box) ID() string { return x.spec.ID }

// UserID is the server's own user.
func (x *box) UserID() int { return os.Getuid() }

// Gone is closed by Destroy.
func (x *box) Gone() <-chan struct{} { return x.gone }

// over says whether the box was destroyed.
func (x *box) over() bool {
	select {
	case <-x.gone:
		return true
	default:
		return false
	}
}

// takeTurn waits for the right to change the box's processes.
func (x *box) takeTurn(ctx context.Context) (giveBack func(), err error) {
	select {
	case <-x.gone:
		return nil, sandbox.ErrGone
	case <-ctx.Done():
		return nil, ctx.Err()
	case x.turn <- struct{}{}:
	}
	if x.over() {
		<-x.turn
		return nil, sandbox.ErrGone
	}
	return func() { <-x.turn }, nil
}

// Listen opens a listener on a free port of the host's loopback device, whatever
// the address asks for: boxes share one network here. The listener's Addr says
// which.
func (x *box) Listen(string) (net.Listener, error) {
	if x.over() {
		return nil, sandbox.ErrGone
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// Dial connects to a process of the box, or to whoever else listens there: boxes share
// one network here.
func (x *box) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if x.over() {
		return nil, sandbox.ErrGone
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// Freeze stops the processes of all groups with SIGSTOP, and waits until they have
// stopped where the system tells.
func (x *box) Freeze() error {
	giveBack, err := x.takeTurn(context.Background())
	if err != nil {
		return err
	}
	defer giveBack()
	if x.frozen {
		return nil
	}
	x.frozen = true
	deadline := time.Now().Add(2 * time.Second)
	for {
		x.signalGroups(syscall.SIGSTOP) // again, for what was forked meanwhile
		if allStopped(x.groups) {
			return nil
		}
		if time.Now().After(deadline) {
			x.thaw()
			return fmt.Errorf("freeze sandbox %s: its processes do not stop", x.spec.ID)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// Thaw lets them go on with SIGCONT.
func (x *box) Thaw() error {
	giveBack, err := x.takeTurn(context.Background())
	if err != nil {
		return err
	}
	defer giveBack()
	x.thaw()
	return nil
}

// thaw needs the turn.
func (x *box) thaw() {
	if x.frozen {
		x.signalGroups(syscall.SIGCONT)
		x.frozen = false
	}
}

// signalGroups sends a signal to every group and forgets those that are empty. It
// needs the turn.
func (x *box) signalGroups(s syscall.Signal) {
	for g := range x.groups {
		if errors.Is(syscall.Kill(-g, s), syscall.ESRCH) {
			delete(x.groups, g)
		}
	}
}

// Limit has no effect: Capabilities says that there is no CPU limit.
func (x *box) Limit(int64) error {
	if x.over() {
		return sandbox.ErrGone
	}
	return nil
}

// Usage tells the processor time of programs that have ended, how many have not,
// and the size of the scratch directory. Memory is not measured.
func (x *box) Usage() (sandbox.Usage, error) {
	if x.over() {
		return sandbox.Usage{}, sandbox.ErrGone
	}
	var u sandbox.Usage
	x.mu.Lock()
	u.PIDs, u.CPU = int64(len(x.programs)), x.spent
	x.mu.Unlock()
	err := filepath.WalkDir(x.scratch, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return ignoreMissing(err)
		}
		info, err := e.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		u.ScratchBytes += info.Size()
		return nil
	})
	return u, err
}

// ignoreMissing passes over what was removed during a walk.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// KillAll ends every process that stayed in its program's group.
func (x *box) KillAll() error {
	giveBack, err := x.takeTurn(context.Background())
	if err != nil {
		return err
	}
	defer giveBack()
	return x.kill()
}

// kill needs the turn. A stopped process dies of SIGKILL without being continued.
func (x *box) kill() error {
	deadline := time.Now().Add(10 * time.Second)
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 10*time.Millisecond) {
		x.signalGroups(syscall.SIGKILL)
		if len(x.groups) == 0 || allDead(x.groups) {
			clear(x.groups)
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill sandbox %s: %d process groups do not die", x.spec.ID, len(x.groups))
		}
		time.Sleep(wait)
	}
	for _, p := range x.living() {
		<-p.exited
	}
	x.frozen = false
	return nil
}

// living lists the programs that have not ended.
func (x *box) living() []*program {
	x.mu.Lock()
	defer x.mu.Unlock()
	var list []*program
	for p := range x.programs {
		list = append(list, p)
	}
	return list
}

// Destroy ends the processes and removes the directory; see sandbox.Sandbox.
func (x *box) Destroy() error {
	x.mu.Lock()
	first := !x.destroying
	x.destroying = true
	x.mu.Unlock()
	if !first {
		<-x.destroyed
		return x.destroyErr
	}
	close(x.gone)
	x.turn <- struct{}{} // whoever is at work finishes first; nobody follows
	x.destroyErr = errors.Join(x.kill(), os.RemoveAll(x.dir))
	x.driver.forget(x)
	close(x.destroyed)
	return x.destroyErr
}
