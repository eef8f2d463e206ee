package worker

// Environments are charged for what they use, measured, and some headroom; never
// for their configured size, which most functions never reach.
const (
	// firstEstimate is charged for an environment of which nothing is known yet.
	firstEstimate = 32 << 20
	// smallest is charged at least: page tables, the box's init, kernel objects.
	smallest = 2 << 20
)

// budget counts a machine's environments and their memory. It only counts; whoever
// calls it holds a lock.
type budget struct {
	limit        int64 // 0: memory is not counted
	used         int64
	most         int // environments
	environments int
	// pressed is set while the host itself is short of memory.
	pressed bool
}

// take charges bytes for one more environment if they fit. The first environment
// always fits: a budget that is too small must not stop a machine altogether.
func (b *budget) take(bytes int64) bool {
	if lack := b.lack(bytes); b.environments > 0 && (b.pressed || lack != shortage{}) {
		return false
	}
	b.used += bytes
	b.environments++
	return true
}

// give takes an environment and its charge off the budget.
func (b *budget) give(bytes int64) {
	b.used -= bytes
	b.environments--
}

// shortage is what must become free before one more environment fits.
type shortage struct {
	bytes        int64
	environments int
}

// lack says what is missing for one more environment of some size; nothing when it
// fits the budget now.
func (b *budget) lack(bytes int64) shortage {
	s := shortage{environments: max(0, b.environments+1-b.most)}
	if b.limit > 0 {
		s.bytes = max(0, b.used+bytes-b.limit)
	}
	return s
}

// metBy reports whether so many environments with so many bytes make up for it.
func (s shortage) metBy(bytes int64, environments int) bool {
	return bytes >= s.bytes && environments >= s.environments
}

// charge gives what an environment costs that was measured at some bytes: a
// headroom more, and never more than its limit.
func charge(measured, limit int64, headroom float64) int64 {
	return clamp(measured+int64(float64(measured)*headroom), limit)
}

// estimate gives what a new environment is charged before it was measured: what
// its like were found to cost, else a guess.
func estimate(learned, limit int64) int64 {
	if learned == 0 {
		learned = firstEstimate
	}
	return clamp(learned, limit)
}

// learn moves the experience of a revision to what one of its environments was
// found to cost: at once upwards, slowly downwards, so that one small environment
// does not make the next twenty look small.
func learn(learned, found int64) int64 {
	if found >= learned {
		return found
	}
	return learned - (learned-found)/8
}

// clamp keeps a charge between the smallest and an environment's limit; a limit of 0
// is none.
func clamp(bytes, limit int64) int64 {
	bytes = max(bytes, smallest)
	if limit > 0 {
		bytes = min(bytes, limit)
	}
	return bytes
}
