package console

import (
	"fmt"
	"time"
)

// shown is how many environments the page lists; the figures have all.
const shown = 200

// view is what the template sees.
type view struct {
	Status
	Now time.Time
}

// Uptime says how long the server runs.
func (v view) Uptime() string { return agoText(v.Now, v.Started) }

// Rows gives the environments that the page lists.
func (v view) Rows() []Environment { return v.Environments[:min(shown, len(v.Environments))] }

// Hidden says how many environments the page leaves out.
func (v view) Hidden() int { return max(0, len(v.Environments)-shown) }

// MemoryShare gives how much of the memory budget is used, in percent.
func (v view) MemoryShare() int {
	if v.Load.MemoryBytes <= 0 {
		return 0
	}
	return int(min(100, 100*v.Load.MemoryUsedBytes/v.Load.MemoryBytes))
}

// bytesText gives a size for people.
func bytesText(n int64) string {
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	switch {
	case n >= 10*gib:
		return fmt.Sprintf("%d GiB", n/gib)
	case n >= gib:
		return fmt.Sprintf("%.1f GiB", float64(n)/gib)
	case n >= mib:
		return fmt.Sprintf("%d MiB", n/mib)
	case n >= kib:
		return fmt.Sprintf("%d KiB", n/kib)
	}
	return fmt.Sprintf("%d B", n)
}

// agoText gives the time between two moments for people, in one or two units.
func agoText(now, then time.Time) string {
	d := max(0, now.Sub(then)).Truncate(time.Second)
	days, d := d/(24*time.Hour), d%(24*time.Hour)
	hours, minutes, seconds := d/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min %d s", minutes, seconds)
	}
	return fmt.Sprintf("%d s", seconds)
}
