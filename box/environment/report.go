package environment

import (
	"time"

	"kiln"
	"kiln/box/sandbox"
)

// measureEvery is how often a busy environment asks the kernel how much memory it
// uses; between two times the last answer stands.
const measureEvery = 100 * time.Millisecond

// meter keeps the highest memory use known.
type meter struct {
	limitMB  int
	peakMB   int // 0: not measured yet
	last     time.Time
	oomKills int64
}

// due reports whether it is time to measure again.
func (m *meter) due(now time.Time) bool { return m.peakMB == 0 || now.Sub(m.last) >= measureEvery }

// see takes a measurement. A process that the kernel killed for its memory had used
// all of it, even when the last peak seen was lower.
func (m *meter) see(u sandbox.Usage, now time.Time) {
	m.last = now
	const mb = 1 << 20
	m.peakMB = max(m.peakMB, 1, min(m.limitMB, int((max(u.PeakMemoryBytes, u.MemoryBytes)+mb-1)/mb)))
	if u.OOMKills > m.oomKills {
		m.oomKills = u.OOMKills
		m.peakMB = m.limitMB
	}
}

// newReport makes the report of an invocation that took so long. init is the time of
// a first init that it is the first to follow, or 0: that time is billed as well.
func newReport(duration, init time.Duration, m *meter) kiln.Report {
	billed := duration + init
	if rest := billed % time.Millisecond; rest > 0 {
		billed += time.Millisecond - rest
	}
	return kiln.Report{
		Duration:    duration,
		Billed:      billed,
		Init:        init,
		MemoryMB:    m.limitMB,
		MaxMemoryMB: m.peakMB,
		Status:      kiln.StatusSuccess,
	}
}
