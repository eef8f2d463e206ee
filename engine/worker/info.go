package worker

import (
	"cmp"
	"slices"
	"time"

	"kiln"
)

// Info is one environment as an operator sees it.
type Info struct {
	ID          string // "" while it is being made
	Function    kiln.FunctionID
	Version     string
	Package     string // digest of the code it runs, which may not be the version's any more
	Layers      string // kiln.LayersDigest of the layers it has, "" for none
	Key         kiln.EnvironmentKey
	State       string // starting, busy, settling, idle, closing
	Stale       bool
	Since       time.Time // of being idle; else of being made
	Invocations int
	MemoryBytes int64 // as it was measured last; 0 is not yet
}

var stateNames = [...]string{starting: "starting", busy: "busy", settling: "settling", slow: "settling", idle: "idle", leaving: "closing"}

// Environments lists what the worker has, by function and version.
func (w *Worker) Environments() []Info {
	var list []Info
	var environments []Environment
	for _, p := range w.all() {
		p.mu.Lock()
		for s := range p.slots {
			i := Info{
				Function: p.target.Version.Function, Version: p.target.Version.Name(), Package: p.target.Version.Package.SHA256, Layers: kiln.LayersDigest(p.target.Version.Config.Layers), Key: p.key, Stale: p.stale,
				State: stateNames[s.state], Since: s.since, Invocations: s.served, MemoryBytes: s.memory,
			}
			list, environments = append(list, i), append(environments, s.env)
		}
		p.mu.Unlock()
	}
	for i, env := range environments {
		if named, ok := env.(interface{ ID() string }); ok {
			list[i].ID = named.ID()
		}
	}
	slices.SortFunc(list, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.Function.String(), b.Function.String()), cmp.Compare(a.Version, b.Version), cmp.Compare(a.ID, b.ID))
	})
	return list
}
