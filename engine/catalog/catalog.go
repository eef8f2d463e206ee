// Package catalog is the book of functions: it keeps functions, versions,
// aliases and reserved concurrency, drives their states, and resolves what a
// caller wrote into the one version that runs.
//
// What a write method reports as done is durable: it was committed by the Store
// before the method returned, and every read that begins afterwards sees it. Reads
// never leave memory. Every pointer that a method returns is a shared snapshot and
// must not be changed.
//
// The catalog never runs a function, never looks inside a package (Inspect and
// Preparer are given to it), and never does input or output while it answers a
// read.
package catalog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"kiln"
)

// Options is what a catalog stands on. Store, Blobs, Preparer and Inspect are
// required. The catalog uses them and closes none of them.
type Options struct {
	Store    Store
	Blobs    Blobs
	Preparer Preparer
	// Images finds container images; nil runs none.
	Images Images
	// Objects is where packages in S3 come from; nil refuses them.
	Objects Objects
	// Inspect judges a package and gives its unzipped size.
	Inspect func(r io.ReaderAt, size int64) (int64, error)
	// AccountConcurrency is the limit of each scope; 0 is
	// kiln.DefaultAccountConcurrency.
	AccountConcurrency int
	// Preparing is how many packages are put in place at once; 0 is 4.
	Preparing int
	// Patience is how long a preparation that the platform cannot do now (its disk is
	// full) is tried again before the version fails; 0 is a minute, negative is not
	// at all.
	Patience time.Duration
	// SweepEvery is the time between two removals of unreferenced packages; 0 is
	// an hour, negative is never.
	SweepEvery time.Duration
	Now        func() time.Time
	Draw       func() float64 // uniform in [0,1), for weighted aliases
	Logger     *slog.Logger
}

// Catalog is the book. Its methods are safe for concurrent use.
type Catalog struct {
	o       Options
	log     *slog.Logger
	book    *book
	turns   turns
	pins    pins
	jobs    *jobs
	pulls   *jobs // of images
	shelf   shelf
	orders  orders
	changes changes
	live    live
	inspect chan struct{} // a slot for each inspection that may run

	stop context.CancelFunc
	work sync.WaitGroup
}

// Open reads the whole book from the store into memory, takes up the
// preparations that an earlier process did not finish, and begins to remove
// packages that nothing refers to. A book that a newer kiln wrote, or one with a
// record that cannot be read, is refused.
func Open(ctx context.Context, o Options) (*Catalog, error) {
	if o.Store == nil || o.Blobs == nil || o.Preparer == nil || o.Inspect == nil {
		panic("catalog: Store, Blobs, Preparer and Inspect are required")
	}
	o.fill()
	c := &Catalog{o: o, log: o.Logger, book: newBook(), jobs: newJobs(), pulls: newJobs(), inspect: make(chan struct{}, runtime.GOMAXPROCS(0))}
	c.turns.m = map[kiln.FunctionID]*turn{}
	c.pins.n = map[string]int{}
	waiting, err := c.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	run, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.changes.open(run, &c.work)
	for _, v := range waiting {
		c.queue(v).add(job{id: v.Function, number: v.Number})
	}
	for range o.Preparing {
		c.work.Go(func() { c.prepare(run, c.jobs) })
		c.work.Go(func() { c.prepare(run, c.pulls) })
	}
	if o.SweepEvery > 0 {
		c.work.Go(func() { c.sweepNowAndThen(run) })
	}
	return c, nil
}

func (o *Options) fill() {
	if o.AccountConcurrency == 0 {
		o.AccountConcurrency = kiln.DefaultAccountConcurrency
	}
	if o.Preparing <= 0 {
		o.Preparing = 4
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Draw == nil {
		o.Draw = uniform
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// now gives the time that is written into records: no more precise than what comes
// back from them.
func (c *Catalog) now() time.Time { return c.o.Now().UTC().Round(time.Microsecond) }

// Close stops the preparations and waits for them; what was not finished is taken
// up by the next Open. Channels of Changes are closed. Reads still work.
func (c *Catalog) Close() error {
	c.changes.close(c.stop)
	c.jobs.close()
	c.pulls.close()
	c.work.Wait()
	return nil
}

// WaitIdle returns when no version waits for its package any more, or with the
// error of ctx.
func (c *Catalog) WaitIdle(ctx context.Context) error {
	if err := c.jobs.waitIdle(ctx); err != nil {
		return err
	}
	return c.pulls.waitIdle(ctx)
}
