package dispatch

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"kiln"
)

// throttleMessage is the text of every throttled answer, as AWS words it.
const throttleMessage = "Rate Exceeded."

// retryAfter is what a throttled caller is told to wait.
const retryAfter = time.Second

// Limits is what one invocation has to fit into.
type Limits struct {
	Account  int // all invocations of the scope
	Function int // those of the function; negative is no limit of its own
	Pool     int // those of all functions without reserved concurrency; negative: does not draw from it
}

// shares divides an account's concurrency for one function: with reserved
// concurrency it has exactly that, for itself; without, it shares what no function
// has reserved.
func shares(account, reservedTotal int, reserved *int) Limits {
	if reserved != nil {
		return Limits{Account: account, Function: *reserved, Pool: -1}
	}
	return Limits{Account: account, Function: -1, Pool: max(0, account-reservedTotal)}
}

// Usage is what the invocations of a scope hold.
type Usage struct {
	AccountLimit    int
	Reserved        int // sum over the functions
	UnreservedLimit int
	Running         int
	Unreserved      int // of Running, those that draw from the unreserved pool
}

// Ledger counts running invocations by scope and function and grants a permit only
// while every limit holds. Functions share no lock for longer than it takes to
// change a counter.
type Ledger struct {
	account int
	seed    maphash.Seed
	shards  [64]shard

	mu     sync.RWMutex
	scopes map[kiln.Scope]*scope
}

// scope holds the two counters that all functions of an account and region share.
type scope struct {
	running    atomic.Int64
	unreserved atomic.Int64
}

// shard holds the counters of some functions.
type shard struct {
	mu        sync.Mutex
	functions map[kiln.FunctionID]*function
	sweepAt   int
	_         [64]byte // keeps the locks of two shards off one cache line
}

// function counts the permits of one function. running is guarded by the shard; an
// entry may leave the map only while it is 0.
type function struct {
	running int
	scope   *scope
	shard   *shard
}

// NewLedger makes a ledger that allows account invocations at once in each scope.
func NewLedger(account int) *Ledger {
	return &Ledger{account: account, seed: maphash.MakeSeed(), scopes: map[kiln.Scope]*scope{}}
}

// Acquire gives a permit, or a Throttled error with the reason. No counter ever
// stands above its limit, not even for a moment: a permit that does not fit the
// last limit is taken back from the others before anybody can have used it.
func (l *Ledger) Acquire(id kiln.FunctionID, limits Limits) (kiln.Permit, error) {
	f := l.enter(id, limits.Function)
	if f == nil {
		return nil, throttled(kiln.ReasonReservedConcurrency)
	}
	pooled := limits.Pool >= 0
	if pooled && !addBelow(&f.scope.unreserved, limits.Pool) {
		f.leave()
		return nil, throttled(kiln.ReasonAccountConcurrency)
	}
	// Reserved concurrency and the pool add up to the account's limit; this one
	// matters only while invocations that began under other reservations still run.
	if !addBelow(&f.scope.running, limits.Account) {
		if pooled {
			f.scope.unreserved.Add(-1)
		}
		f.leave()
		return nil, throttled(kiln.ReasonAccountConcurrency)
	}
	return &permit{function: f, pooled: pooled}, nil
}

// Provisioned gives a permit for one of the environments that are kept for a call, or
// nil when all are in use. It counts against no limit: what is provisioned was taken
// off the limits when it was set.
func (l *Ledger) Provisioned(id kiln.Scope, p *kiln.Provision) kiln.Permit {
	if !p.Acquire() {
		return nil
	}
	s := l.scope(id)
	s.running.Add(1)
	return &provisioned{provision: p, scope: s}
}

// provisioned is one environment of those that are kept.
type provisioned struct {
	provision *kiln.Provision
	scope     *scope
	released  atomic.Bool
}

// Release gives the permit back. Only the first call counts.
func (p *provisioned) Release() {
	if p.released.Swap(true) {
		return
	}
	p.scope.running.Add(-1)
	p.provision.Release()
}

// Usage tells what is held in a scope.
func (l *Ledger) Usage(id kiln.Scope) Usage {
	s := l.scope(id)
	return Usage{AccountLimit: l.account, Running: int(s.running.Load()), Unreserved: int(s.unreserved.Load())}
}

// Running tells how many permits a function holds.
func (l *Ledger) Running(id kiln.FunctionID) int {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.functions[id]; f != nil {
		return f.running
	}
	return 0
}

// enter counts one more invocation of a function, unless that would be more than
// limit; then it gives nil.
func (l *Ledger) enter(id kiln.FunctionID, limit int) *function {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.functions[id]
	if f == nil {
		if limit == 0 {
			return nil
		}
		f = &function{scope: l.scope(id.Scope), shard: s}
		s.sweep()
		s.functions[id] = f
	}
	if limit >= 0 && f.running >= limit {
		return nil
	}
	f.running++
	return f
}

// shard gives the shard that counts a function, always the same one.
func (l *Ledger) shard(id kiln.FunctionID) *shard {
	return &l.shards[maphash.String(l.seed, id.Name)%uint64(len(l.shards))]
}

// scope gives the counters of a scope. They stay: there are as many as accounts
// with functions.
func (l *Ledger) scope(id kiln.Scope) *scope {
	l.mu.RLock()
	s := l.scopes[id]
	l.mu.RUnlock()
	if s != nil {
		return s
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s = l.scopes[id]; s == nil {
		s = &scope{}
		l.scopes[id] = s
	}
	return s
}

// sweep forgets functions that run nothing each time the shard has doubled, so
// that functions that come and go leave nothing behind. It needs the lock.
func (s *shard) sweep() {
	if s.functions == nil {
		s.functions, s.sweepAt = map[kiln.FunctionID]*function{}, 64
	}
	if len(s.functions) < s.sweepAt {
		return
	}
	for id, f := range s.functions {
		if f.running == 0 {
			delete(s.functions, id)
		}
	}
	s.sweepAt = max(64, 2*len(s.functions))
}

// leave takes back one enter.
func (f *function) leave() {
	f.shard.mu.Lock()
	f.running--
	f.shard.mu.Unlock()
}

// permit is one running invocation in the counters it was entered in, whatever the
// limits are when it ends.
type permit struct {
	function *function
	pooled   bool
	released atomic.Bool
}

var _ kiln.Permit = (*permit)(nil)

// Release gives the permit back. Only the first call counts, so that no mistake
// can raise a limit.
func (p *permit) Release() {
	if p.released.Swap(true) {
		return
	}
	p.function.scope.running.Add(-1)
	if p.pooled {
		p.function.scope.unreserved.Add(-1)
	}
	p.function.leave()
}

// addBelow adds one to a counter unless that would exceed limit.
func addBelow(c *atomic.Int64, limit int) bool {
	for {
		n := c.Load()
		if n >= int64(limit) {
			return false
		}
		if c.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// throttled is the refusal for a reason.
func throttled(reason string) error {
	return &kiln.Error{Code: kiln.Throttled, Message: throttleMessage, Reason: reason, RetryAfter: retryAfter}
}
