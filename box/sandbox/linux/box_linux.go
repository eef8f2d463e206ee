package linux

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox"
)

// box is one living sandbox.
type box struct {
	driver  *Driver
	id      string
	spec    sandbox.Spec
	blank   *blank
	scratch *scratch // nil without a scratch directory

	// turn is held by whoever changes the box's processes: Start, Freeze, Thaw,
	// KillAll. A program must not be born into a group that is being killed.
	turn   chan struct{}
	frozen bool // under turn

	gone chan struct{} // closed when the box ended

	mu         sync.Mutex
	ended      bool // gone is closed
	destroying bool
	programs   map[*process]bool // started and not ended

	destroyed  chan struct{} // closed when destroyErr is set
	destroyErr error

	meter *meter // nil until the box is made
}

var _ sandbox.Sandbox = (*box)(nil)

// make takes a blank and furnishes it. The caller destroys the box when it returns
// an error.
func (x *box) make(ctx context.Context) error {
	d := x.driver
	done := d.pool.hurry()
	defer done()
	var err error
	if x.spec.ScratchBytes > 0 {
		if x.scratch, err = d.pool.takeScratch(ctx, x.spec.ScratchBytes); err != nil {
			return fmt.Errorf("make scratch directory: %w", err)
		}
	}
	if x.blank, err = d.pool.takeBlank(ctx, x.spec.Outbound && d.outbound()); err != nil {
		return err
	}
	release, err := d.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	if x.scratch != nil {
		owner := x.blank.uid
		if d.standing.shared() { // as it is called where the directory was made
			owner = 0
		}
		if err := x.scratch.give(owner); err != nil {
			return fmt.Errorf("give scratch directory to %d: %w", owner, err)
		}
	}
	g := x.blank.group
	if err := g.limit(x.spec.MemoryBytes, x.spec.PIDs, x.spec.CPUWeight); err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	if x.spec.MilliCPU > 0 {
		if err := g.quota(x.spec.MilliCPU); err != nil {
			return fmt.Errorf("limit: %w", err)
		}
	}
	if err := x.furnish(); err != nil {
		return err
	}
	x.meter = newMeter(g)
	go x.attend()
	if g.watch != nil {
		go x.endWhenOutOfMemory(g.watch)
	}
	return nil
}

// attend closes gone when the init ends without being told to. It ends with the
// init, for which Destroy waits.
func (x *box) attend() {
	<-x.blank.dead
	x.end()
}

// endWhenOutOfMemory ends all processes of the box whenever its memory runs out. It
// ends with the group.
func (x *box) endWhenOutOfMemory(watch *oomWatch) {
	for watch.wait() {
		giveBack, err := x.takeTurn(context.Background())
		if err != nil {
			return
		}
		if err := x.clearAfterOOM(); err != nil {
			x.driver.log.Warn("end a box that is out of memory", "box", x.id, "error", err)
		}
		giveBack()
	}
}

// clearAfterOOM ends all processes if the memory ran out since the last time: what
// is left after the kernel has shot one of them is of no use. It needs the turn,
// so that it ends what was there and not what Start puts in its place.
func (x *box) clearAfterOOM() error {
	watch := x.blank.group.watch
	if watch == nil || !watch.take() {
		return nil
	}
	x.meter.outOfMemory() // before the kill: the kernel, coming late, may count none
	x.frozen = false
	return x.blank.group.kill()
}

// end closes gone, once.
func (x *box) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.ended {
		x.ended = true
		close(x.gone)
	}
}

// over says whether the box ended.
func (x *box) over() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ended
}

// ID is the name that the spec gave.
func (x *box) ID() string { return x.id }

// UserID is the host's and the box's number of the user.
func (x *box) UserID() int { return x.blank.uid }

// Gone is closed when the box ended.
func (x *box) Gone() <-chan struct{} { return x.gone }

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

// Freeze stops every program of the box; see sandbox.Sandbox.
func (x *box) Freeze() error {
	giveBack, err := x.takeTurn(context.Background())
	if err != nil {
		return err
	}
	defer giveBack()
	if x.frozen {
		return nil
	}
	x.holdAnswers()
	if err := x.blank.group.freezer.freeze(); err != nil {
		err = errors.Join(fmt.Errorf("freeze sandbox %s: %w", x.id, err), x.blank.group.freezer.thaw())
		x.giveAnswers()
		return err
	}
	x.frozen = true
	return nil
}

// Thaw lets the programs go on.
func (x *box) Thaw() error {
	giveBack, err := x.takeTurn(context.Background())
	if err != nil {
		return err
	}
	defer giveBack()
	return x.thaw()
}

// thaw needs the turn.
func (x *box) thaw() error {
	if !x.frozen {
		return nil
	}
	if err := x.blank.group.freezer.thaw(); err != nil {
		return fmt.Errorf("thaw sandbox %s: %w", x.id, err)
	}
	x.giveAnswers()
	x.frozen = false
	return nil
}

// holdAnswers makes the name server wait, since nobody is there to listen.
func (x *box) holdAnswers() {
	if x.blank.link != nil {
		x.blank.link.Freeze()
	}
}

// giveAnswers lets the name server go on.
func (x *box) giveAnswers() {
	if x.blank.link != nil {
		x.blank.link.Thaw()
	}
}

// Limit changes the CPU quota; 0 takes it away.
func (x *box) Limit(milliCPU int64) error {
	if x.over() {
		return sandbox.ErrGone
	}
	if milliCPU < 0 {
		return fmt.Errorf("limit sandbox %s: %d milliCPU is negative", x.id, milliCPU)
	}
	if err := x.blank.group.quota(milliCPU); err != nil {
		if x.over() { // it went away under our hands
			return sandbox.ErrGone
		}
		return fmt.Errorf("limit sandbox %s: %w", x.id, err)
	}
	return nil
}

// KillAll ends every program and returns when all are gone; see sandbox.Sandbox.
func (x *box) KillAll() error {
	giveBack, err := x.takeTurn(context.Background())
	if err != nil {
		return err
	}
	defer giveBack()
	if err := x.blank.group.kill(); err != nil {
		return fmt.Errorf("kill sandbox %s: %w", x.id, err)
	}
	for _, p := range x.living() {
		<-p.exited
	}
	x.giveAnswers()
	x.frozen = false
	if err := x.clearRemains(); err != nil {
		if x.over() { // it went away under our hands
			return sandbox.ErrGone
		}
		return fmt.Errorf("clear sandbox %s: %w", x.id, err)
	}
	return nil
}

// living lists the programs that have not ended.
func (x *box) living() []*process {
	x.mu.Lock()
	defer x.mu.Unlock()
	var list []*process
	for p := range x.programs {
		list = append(list, p)
	}
	return list
}

// Destroy ends and removes everything of the box; see sandbox.Sandbox.
func (x *box) Destroy() error {
	x.mu.Lock()
	first := !x.destroying
	x.destroying = true
	x.mu.Unlock()
	if !first {
		<-x.destroyed
		return x.destroyErr
	}
	x.end()
	x.destroyErr = x.destroy()
	x.driver.forget(x)
	close(x.destroyed)
	return x.destroyErr
}

// destroy does the work of Destroy: every step, whatever the others said.
func (x *box) destroy() error {
	x.turn <- struct{}{} // whoever is at work finishes first; nobody follows
	var errs []error
	if x.scratch != nil {
		errs = append(errs, x.scratch.close())
	}
	if x.blank != nil {
		errs = append(errs, x.driver.destroyBlank(x.blank))
		select {
		case <-x.blank.dead: // the init ends after all others
			for _, p := range x.living() {
				<-p.exited
			}
		default:
		}
	}
	if x.scratch != nil && x.scratch.loop != nil {
		errs = append(errs, x.scratch.loop.gone())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("destroy sandbox %s: %w", x.id, err)
	}
	return nil
}

// Start executes a program in the box; see sandbox.Sandbox.
func (x *box) Start(ctx context.Context, p sandbox.Program) (sandbox.Process, error) {
	giveBack, err := x.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	if x.frozen {
		return nil, sandbox.ErrFrozen
	}
	release, err := x.driver.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := x.clearAfterOOM(); err != nil {
		return nil, fmt.Errorf("start %s in sandbox %s: %w", p.Path, x.id, err)
	}
	s, err := x.programScript(p)
	if err != nil {
		return nil, fmt.Errorf("start %s in sandbox %s: %w", p.Path, x.id, err)
	}
	defer s.close()
	birthplace := x.blank.group.birthplace(s)
	var c child
	err = x.driver.threads.run(func() error {
		const all = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
		if err := unix.Setns(x.blank.init.pidfd, all); err != nil {
			return fmt.Errorf("enter namespaces: %w", err)
		}
		var err error
		c, err = spawn(0, birthplace, s)
		return err
	})
	runtime.KeepAlive(p) // its files
	if failed := (*stepError)(nil); errors.As(err, &failed) && failed.last {
		return nil, &sandbox.StartError{Path: p.Path, Err: failed.err}
	} else if err != nil {
		return nil, fmt.Errorf("start %s in sandbox %s: %w", p.Path, x.id, err)
	}
	return x.adopt(c)
}
