package api

import (
	"net/http"
	"sync"

	"kiln/door/lambda"
)

// largeAnswer is from how many bytes on an answer is counted. What is smaller is bounded
// by the number of connections, and no refusal is ever cut.
const largeAnswer = 64 << 10

// pot is memory that purses are filled from, in bytes. Each purse has a part of its
// own, so that whatever others do it can go on; what it holds beyond that, up to most,
// comes out of what all share.
type pot struct {
	own, most, shared int64

	mu   sync.Mutex
	used int64 // of what is shared
}

// purse is what one environment holds of a pot.
type purse struct {
	pot  *pot
	held int64 // under the pot's lock
}

// take puts n bytes into the purse, or reports that there is no room for them.
func (p *purse) take(n int64) bool {
	p.pot.mu.Lock()
	defer p.pot.mu.Unlock()
	after := p.held + n
	more := p.pot.beyond(after) - p.pot.beyond(p.held)
	if after > p.pot.most || more > 0 && p.pot.used+more > p.pot.shared {
		return false
	}
	p.held, p.pot.used = after, p.pot.used+more
	return true
}

// give takes n bytes out again.
func (p *purse) give(n int64) {
	p.pot.mu.Lock()
	defer p.pot.mu.Unlock()
	p.pot.used -= p.pot.beyond(p.held) - p.pot.beyond(p.held-n)
	p.held -= n
}

// beyond says how much of what a purse holds is not its own.
func (p *pot) beyond(held int64) int64 { return max(0, held-p.own) }

// bodySize says how much memory the body of a request may take: what it announces, but
// no more than any operation reads, which is also what an unannounced one may take.
func bodySize(r *http.Request) int64 {
	if r.ContentLength < 0 {
		return lambda.DefaultMaxCode
	}
	return min(r.ContentLength, lambda.DefaultMaxCode)
}

// crowded is the answer to a request whose body does not fit in beside what the
// environment's other requests hold. Clients try it again.
func crowded() error {
	return &lambda.Error{Code: lambda.TooManyRequestsException, Reason: "CallerRateLimitExceeded", RetryAfter: "1",
		Message: "The requests that this execution environment has open hold too much of the server's memory; try again when some are answered."}
}
