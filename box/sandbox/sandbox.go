// Package sandbox is the contract of a box of processes with limits: what a
// driver can do, what a box is made of, and what may be asked of it. It knows
// nothing of Lambda, of functions or of invocations, and it never imports the
// nouns of the house, so that no driver can learn them.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Driver makes sandboxes of one kind. A driver is safe for concurrent use.
type Driver interface {
	// Name is the word by which configuration asks for this driver.
	Name() string
	// Capabilities says what a box of this driver really does; sandboxtest holds
	// the driver to every claim.
	Capabilities() Capabilities
	// Create returns an empty, limited box: its init runs, its filesystem is in
	// place, no other process is in it. Whatever Create made is gone again when
	// it returns an error.
	Create(ctx context.Context, spec Spec) (Sandbox, error)
	// Close destroys every box that is left and everything the driver made ahead,
	// and waits until no kernel object of it exists.
	Close() error
}

// Capabilities is what a driver enforces. A false field is said to the user;
// isolation is never lowered in silence.
type Capabilities struct {
	PrivateFilesystem bool // the box sees its mounts and nothing else of the host
	PrivateProcesses  bool // own process ids, own init that reaps
	PrivateNetwork    bool // own network namespace: only what Listen opened is reachable
	PrivateUser       bool // a user id that no other living box has
	UserLimits        bool // what the kernel counts for each user, one box cannot use up for another
	MemoryLimit       bool
	CPULimit          bool
	PIDLimit          bool
	ScratchLimit      bool // the byte cap of the scratch directory holds
	ScratchOnDisk     bool // what is in the scratch directory does not count as memory
	Freeze            bool // Freeze stops every thread and Thaw resumes them
	SyscallFilter     bool
	OutboundNetwork   bool // processes may open connections to the outside
	Shares            bool // host directories can be shared with a box
}

// Spec is one box to be made.
type Spec struct {
	// ID is unique among the living boxes of a driver: [a-z0-9-]{1,64}.
	ID string
	// Mounts are put in place in order, each read-only, nosuid and nodev. The
	// first one's Target is "/". A later one may lie inside an earlier one, when
	// its target exists there; inside a mount whose Source is "" a missing target
	// is made. A source that is "/" itself must hold the directories dev, proc and
	// tmp.
	Mounts []Mount
	// Shares are put in place after the mounts, their targets as those of mounts are.
	Shares []Share
	// Files are written into the box before its root becomes read-only: the few
	// files of /etc that differ from box to box. A file that exists at Path is
	// covered; one that does not is made, which works inside a mount whose Source
	// is "". The text ${UID} in Contents becomes the box's user id.
	Files []File
	// MemoryBytes, MilliCPU, CPUWeight and PIDs limit all processes of the box
	// together; 0 is no limit. MilliCPU 1000 is one processor.
	MemoryBytes int64
	MilliCPU    int64
	CPUWeight   int64 // 1..10000, as cgroup v2 counts it
	PIDs        int64
	// OpenFiles limits the descriptors of each process.
	OpenFiles uint64
	// ScratchBytes is the size of the writable scratch directory at /tmp, which is
	// disk-backed where the driver can, so that it does not count as memory. 0 is
	// no scratch directory: /tmp is then as read-only as the rest.
	ScratchBytes int64
	Hostname     string
	// Outbound lets the processes of the box open connections to the outside where the
	// driver's capabilities have it. Without it a box with a network of its own reaches
	// what Listen opened, and nothing else.
	Outbound bool
}

// Mount shows a host file or directory, read-only, at Target inside the box.
type Mount struct {
	Source string // absolute host path; "" is an empty directory
	Target string // absolute path inside
}

// Share shows a host directory at Target inside the box, to read and to write, nosuid
// and nodev. What belongs to the directory's owner and group on the host belongs to the
// user of the box inside, and what the box makes there belongs to them on the host. Of
// what is mounted below the directory on the host nothing is seen.
type Share struct {
	Source string // absolute host path of a directory
	Target string // absolute path inside
}

// Sharer is an optional power of a driver: to tell before a box is made whether a host
// directory can be shared with one, and if not, why.
type Sharer interface {
	CheckShare(source string) error
}

// CheckShare tells whether boxes of a driver can have a host directory as a Share.
func CheckShare(d Driver, source string) error {
	if s, ok := d.(Sharer); ok {
		return s.CheckShare(source)
	}
	return fmt.Errorf("%w: sandboxes of the driver %s share none", ErrShare, d.Name())
}

// File is a small file written into the box.
type File struct {
	Path     string
	Contents []byte
	Mode     os.FileMode
}

// Sandbox is one living box. Its methods may be called from several goroutines.
type Sandbox interface {
	ID() string
	// UserID is the numeric user that the processes of the box run as.
	UserID() int
	// Listen opens a TCP listener inside the box's network. The address is one
	// that the processes of the box can connect to; nobody else can.
	Listen(address string) (net.Listener, error)
	// Start runs one program in the box and returns when it was executed. An error
	// of execve itself (no such file, not executable) is a *StartError. A frozen
	// box answers ErrFrozen.
	Start(ctx context.Context, p Program) (Process, error)
	// Freeze stops every process of the box; it returns when none runs. Thaw lets
	// them go on. Both are idempotent. Killing a frozen box works.
	Freeze() error
	Thaw() error
	// Limit changes CPU while processes run: the quota is off during init and on
	// afterwards. milliCPU 0 takes the quota away.
	Limit(milliCPU int64) error
	// Usage measures the box now.
	Usage() (Usage, error)
	// KillAll ends every process but the box's own init and returns when they are
	// gone; the scratch directory keeps its files and Start works again.
	KillAll() error
	// Destroy ends everything and removes every kernel object of the box. It is
	// idempotent, and a second call waits for the first.
	Destroy() error
	// Gone is closed when the box ended, by Destroy or because its init died.
	Gone() <-chan struct{}
}

// Program is what Start executes.
type Program struct {
	Path string // inside the box
	Args []string
	Env  []string
	Dir  string
	// Stdout and Stderr are the write ends of pipes. Start does not close them.
	Stdout, Stderr *os.File
	// Files are more of them, by the number that they have in the program: 4 to 63.
	// Every other descriptor is closed.
	Files map[int]*os.File
}

// Process is one program that Start ran. Its children are not it.
type Process interface {
	// Exited is closed when the program ended; Status is valid from then on.
	Exited() <-chan struct{}
	Status() ExitStatus
	// Signal sends a signal number to this program alone.
	Signal(number int) error
}

// ExitStatus says how a program ended: by code, or by signal when Signal > 0.
type ExitStatus struct {
	Code      int
	Signal    int
	OutOfTurn bool // the box itself went away first and the true status is unknown
}

// Usage is what a box has consumed.
type Usage struct {
	MemoryBytes     int64 // anonymous, shared and kernel memory charged now; clean page cache is not counted
	PeakMemoryBytes int64 // highest value known, at most the limit
	CPU             time.Duration
	PIDs            int64
	OOMKills        int64 // since the box was made
	ScratchBytes    int64 // used in the scratch directory
}

// HostPather is an optional power of a sandbox whose processes see the host's own
// file system: HostPath says where a path inside the box really lies, so that
// the environment can rewrite what it hands to the program.
type HostPather interface {
	HostPath(inside string) string
}

// StartError is a program that could not be executed at all.
type StartError struct {
	Path string
	Err  error // a syscall.Errno such as ENOENT or EACCES
}

// Error says which program could not be executed and why.
func (e *StartError) Error() string { return "execute " + e.Path + ": " + e.Err.Error() }

// Unwrap gives the kernel's answer.
func (e *StartError) Unwrap() error { return e.Err }

// ErrGone is returned by every method of a box that was destroyed or died.
var ErrGone = errors.New("sandbox is gone")

// ErrShare is returned by Create when a directory cannot be shared with the box.
var ErrShare = errors.New("the directory cannot be shared")

// ErrFrozen is returned by Start while the box is frozen: a program that starts
// there would stop before its first instruction.
var ErrFrozen = errors.New("sandbox is frozen")
