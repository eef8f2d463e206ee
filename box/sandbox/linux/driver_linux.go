package linux

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

// Driver makes boxes on this machine. Close it, or its boxes end with the process.
type Driver struct {
	options     Options
	standing    standing
	log         *slog.Logger
	cgroups     *cgroups
	scratches   *scratches
	stage       *stage
	confinement *confinement
	threads     *threads
	uids        *uids
	program     int // the init, in a sealed memory file
	null        int // /dev/null
	pool        *pool
	slots       chan struct{} // one token for each box that may be made or entered now
	blanks      atomic.Int64

	mu     sync.Mutex
	boxes  map[string]*box // nil once closed
	making sync.WaitGroup  // Create calls under way

	closing  sync.Once
	closeErr error
}

var _ sandbox.Driver = (*Driver)(nil)

// New checks that this host can do it, removes what an earlier driver with the
// same owner left behind, and begins to fill the pool.
func New(options Options) (*Driver, error) {
	if err := options.check(runtime.NumCPU()); err != nil {
		return nil, fmt.Errorf("sandbox driver linux: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it needs to be root, of the host or of a user namespace", ErrUnsupported)
	}
	standing, err := findStanding()
	if err == nil {
		options.UIDs, err = standing.choose(options.UIDs, options.Owner)
	}
	if err != nil {
		return nil, fmt.Errorf("sandbox driver linux: %w", err)
	}
	d := &Driver{
		options:  options,
		standing: standing,
		log:      options.Logger.With("driver", "linux", "owner", options.Owner),
		uids:     newUIDs(options.UIDs),
		program:  -1,
		null:     -1,
		slots:    make(chan struct{}, options.Concurrency),
		boxes:    map[string]*box{},
	}
	if err := d.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnsupported, err), d.release())
	}
	d.pool = newPool(d)
	return d, nil
}

// open makes what all boxes share.
func (d *Driver) open() (err error) {
	if err := os.MkdirAll(d.options.StateDir, 0o700); err != nil {
		return err
	}
	// The kernel names the files of loop devices by their true path.
	if d.options.StateDir, err = filepath.EvalSymlinks(d.options.StateDir); err != nil {
		return err
	}
	if err := sweep(d.options.Owner, d.options.StateDir, d.log); err != nil {
		return fmt.Errorf("remove leftovers: %w", err)
	}
	if d.confinement, err = newConfinement(d.standing); err != nil {
		return err
	}
	if d.cgroups, err = openCgroups(d.options.Owner, d.options.version1, d.standing.rootless); err != nil {
		return err
	}
	inMemory := d.options.inMemory || d.standing.rootless // no file of a user's may be mounted as a disk
	if d.scratches, err = newScratches(filepath.Join(d.options.StateDir, "scratch"), d.options.Owner, inMemory); err != nil {
		return err
	}
	if d.program, err = initMemfd(); err != nil {
		return err
	}
	if d.null, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open /dev/null: %w", err)
	}
	ground := filepath.Join(d.options.StateDir, "stage")
	if err := os.MkdirAll(ground, 0o700); err != nil {
		return err
	}
	if d.stage, err = openStage(ground, d.standing.rootless); err != nil {
		return err
	}
	d.threads = newThreads(d.options.Concurrency+2, d.confinement.leave)
	if d.standing.rootless {
		return d.rehearse()
	}
	return nil
}

// rehearse makes one blank and takes it away again. In a user namespace much may be
// forbidden that the kernel tells only when it is tried.
func (d *Driver) rehearse() error {
	b, err := d.makeBlank(false)
	if err != nil {
		return err
	}
	return d.destroyBlank(b)
}

// Name is the word by which configuration asks for this driver.
func (d *Driver) Name() string { return "linux" }

// Tier says in a few words how far boxes are kept apart here.
func (d *Driver) Tier() string { return d.standing.tier() }

// Capabilities says what this host lets a box be.
func (d *Driver) Capabilities() sandbox.Capabilities {
	has := func(controller string) bool { return d.cgroups.at[controller] != nil }
	return sandbox.Capabilities{
		PrivateFilesystem: true,
		PrivateProcesses:  true,
		PrivateNetwork:    true,
		PrivateUser:       !d.standing.shared(),
		UserLimits:        !d.standing.rootless,
		MemoryLimit:       has("memory"),
		CPULimit:          has("cpu"),
		PIDLimit:          has("pids") || d.confinement.limitsProcesses,
		ScratchLimit:      true,
		ScratchOnDisk:     d.scratches.onDisk(),
		Freeze:            true,
		SyscallFilter:     true,
		OutboundNetwork:   d.outbound(),
		Shares:            d.shares() == nil,
	}
}

// outbound says whether boxes can have a way out.
func (d *Driver) outbound() bool { return d.options.Network != nil && d.options.Network.Outbound() }

var idPattern = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// Create makes a box; see sandbox.Driver.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := checkSpec(spec); err != nil {
		return nil, err
	}
	x := &box{driver: d, id: spec.ID, spec: spec, turn: make(chan struct{}, 1), gone: make(chan struct{}), destroyed: make(chan struct{})}
	if err := d.register(x); err != nil {
		return nil, err
	}
	defer d.making.Done()
	if err := x.make(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("create sandbox %s: %w", spec.ID, err), x.Destroy())
	}
	return x, nil
}

// checkSpec refuses a spec that no box can be made of.
func checkSpec(spec sandbox.Spec) error {
	if !idPattern.MatchString(spec.ID) {
		return fmt.Errorf("sandbox id %q: want [a-z0-9-]{1,64}", spec.ID)
	}
	if len(spec.Mounts) == 0 || spec.Mounts[0].Target != "/" {
		return fmt.Errorf("sandbox %s: the first mount must have the target /", spec.ID)
	}
	for _, m := range spec.Mounts {
		if m.Source != "" && !filepath.IsAbs(m.Source) || !filepath.IsAbs(m.Target) {
			return fmt.Errorf("sandbox %s: mount %q at %q: want absolute paths", spec.ID, m.Source, m.Target)
		}
	}
	for _, s := range spec.Shares {
		if !filepath.IsAbs(s.Source) || !filepath.IsAbs(s.Target) || filepath.Clean(s.Target) == "/" {
			return fmt.Errorf("sandbox %s: share %q at %q: want absolute paths, and none of them at /", spec.ID, s.Source, s.Target)
		}
	}
	for _, f := range spec.Files {
		if !filepath.IsAbs(f.Path) {
			return fmt.Errorf("sandbox %s: file %q: want an absolute path", spec.ID, f.Path)
		}
	}
	if spec.MemoryBytes < 0 || spec.MilliCPU < 0 || spec.PIDs < 0 || spec.ScratchBytes < 0 || spec.CPUWeight < 0 || spec.CPUWeight > 10000 {
		return fmt.Errorf("sandbox %s: a limit is out of range", spec.ID)
	}
	return nil
}

// register takes the box's name, and counts its Create among those under way.
func (d *Driver) register(x *box) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.boxes == nil {
		return errors.New("sandbox driver linux is closed")
	}
	if d.boxes[x.id] != nil {
		return fmt.Errorf("sandbox %s exists already", x.id)
	}
	d.boxes[x.id] = x
	d.making.Add(1)
	return nil
}

// forget gives the box's name free.
func (d *Driver) forget(x *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.boxes[x.id] == x {
		delete(d.boxes, x.id)
	}
}

// slot waits for the right to make or enter a box now; release gives it back.
func (d *Driver) slot(ctx context.Context) (release func(), err error) {
	select {
	case d.slots <- struct{}{}:
		return func() { <-d.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close destroys every box and all that was made ahead, and waits. A second call
// waits for the first.
func (d *Driver) Close() error {
	d.closing.Do(func() {
		d.mu.Lock()
		boxes := d.boxes
		d.boxes = nil
		d.mu.Unlock()
		d.making.Wait()
		var errs []error
		for _, x := range boxes {
			errs = append(errs, x.Destroy())
		}
		errs = append(errs, d.pool.close(), d.release())
		d.closeErr = errors.Join(errs...)
	})
	return d.closeErr
}

// release undoes open.
func (d *Driver) release() error {
	var errs []error
	if d.threads != nil {
		d.threads.close()
	}
	if d.stage != nil {
		errs = append(errs, d.stage.close())
	}
	for _, fd := range []int{d.program, d.null} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	if d.scratches != nil {
		errs = append(errs, d.scratches.close())
	}
	if d.cgroups != nil {
		errs = append(errs, d.cgroups.close())
	}
	return errors.Join(errs...)
}
