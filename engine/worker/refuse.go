package worker

import (
	"time"

	"kiln"
)

// fail tells the callers that a failed start leaves without hope, last comers
// first: those before them get what else is coming.
func (p *pool) fail(err error) {
	now := time.Now()
	var lost []*waiter
	p.mu.Lock()
	p.failures++
	p.failed, p.retryAt = err, now.Add(backOff(p.failures))
	for range losers(p.waiting.length, p.coming(), p.failures) {
		lost = append(lost, p.waiting.popLast())
	}
	failures, hold := p.failures, backOff(p.failures)
	p.tellKept()
	p.mu.Unlock()
	for _, wait := range lost {
		wait.granted <- grant{err: err}
	}
	p.w.log.Warn("an environment did not start", "function", p.target.Version.Function, "version", p.target.Version.Name(),
		"failures", failures, "hold", hold, "callers", len(lost), "error", err)
	p.consider()
}

// coming counts the environments that a caller may hope for. It needs the lock.
func (p *pool) coming() int {
	if p.w.o.IdleTimeout == 0 {
		return p.count[idle] + p.count[starting]
	}
	return len(p.slots) - p.count[leaving]
}

// hopeless gives the error of the last start when starts are held back and nothing
// else can serve one more caller. It needs the lock.
func (p *pool) hopeless(now time.Time) error {
	if now.Before(p.retryAt) && p.waiting.length >= p.coming() {
		return p.failed
	}
	return nil
}

// late is the answer to a caller who has waited for as long as anybody may: the
// reason why nothing could be started, if that is known, else a throttle.
func (p *pool) late() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return p.failed
	}
	return full()
}

// refuse ends the waiting of everybody.
func (p *pool) refuse(err error) {
	p.mu.Lock()
	var lost []*waiter
	for wait := p.waiting.pop(); wait != nil; wait = p.waiting.pop() {
		lost = append(lost, wait)
	}
	p.mu.Unlock()
	for _, wait := range lost {
		wait.granted <- grant{err: err}
	}
	p.w.tell()
}

// full is the answer when the machine can serve nobody else.
func full() error {
	return &kiln.Error{Code: kiln.Throttled, Message: "Rate Exceeded.", Reason: kiln.ReasonCapacity, RetryAfter: time.Second}
}
