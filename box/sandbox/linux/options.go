package linux

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"

	"kiln/box/sandbox/network"
)

// Options is what a driver needs to know. Owner and StateDir are required.
type Options struct {
	// Owner is the data directory's owner id, [a-z0-9]{4,32}. It is part of every
	// kernel object's name; the sweep at start touches only what carries it. Two
	// living drivers must not share one.
	Owner string
	// StateDir is a directory of this driver alone, absolute, made when missing. It
	// holds the templates of scratch images.
	StateDir string
	// UIDs is the range of host user ids for boxes. The zero value picks a range
	// from the owner, high above what distributions hand out; in a user namespace, what
	// it has.
	UIDs UIDRange
	// PoolSize is how many blanks are kept ready; 0 means 4, negative means none.
	PoolSize int
	// Concurrency is how many boxes are made or entered at once; 0 means as many as
	// processors, at least 2. More are slower for all.
	Concurrency int
	// Network gives boxes a name server, and those that ask for it a way out; nil gives
	// neither. It is closed by whoever opened it, after the driver.
	Network *network.Network
	// Logger hears what the driver does beside the calls: refills, sweeps, leaks.
	Logger *slog.Logger

	// Tests of what other hosts have: no unified control groups, no loop devices.
	version1, inMemory bool
}

// UIDRange is Count user ids beginning with First.
type UIDRange struct {
	First int
	Count int
}

// ErrUnsupported is what New answers where this driver cannot work at all.
var ErrUnsupported = errors.New("sandbox driver linux is not possible here")

var ownerPattern = regexp.MustCompile(`^[a-z0-9]{4,32}$`)

// check fills in defaults and says which option is wrong.
func (o *Options) check(processors int) error {
	if !ownerPattern.MatchString(o.Owner) {
		return fmt.Errorf("owner %q: want [a-z0-9]{4,32}", o.Owner)
	}
	if !filepath.IsAbs(o.StateDir) {
		return fmt.Errorf("state directory %q: want an absolute path", o.StateDir)
	}
	if o.UIDs != (UIDRange{}) && (o.UIDs.First < 1000 || o.UIDs.Count < 1 || o.UIDs.First+o.UIDs.Count > 1<<31-1) {
		return fmt.Errorf("uid range %d+%d: want ids from 1000 to 2147483646", o.UIDs.First, o.UIDs.Count)
	}
	if o.PoolSize == 0 {
		o.PoolSize = 4
	}
	if o.Concurrency <= 0 {
		o.Concurrency = max(2, processors)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// defaultUIDs spreads owners over blocks of 100,000 ids between 2,001,000,000 and
// 2,100,999,999, which no distribution, container tool or directory service hands
// out by default; two data directories on one host then rarely share users.
func defaultUIDs(owner string) UIDRange {
	block := uint32(2166136261)
	for i := range len(owner) {
		block = (block ^ uint32(owner[i])) * 16777619
	}
	return UIDRange{First: 2_001_000_000 + int(block%1000)*100_000, Count: 100_000}
}
