package catalog

import (
	"math"
	"math/rand/v2"

	"kiln"
)

// Resolve gives the one version that a call of a function with a qualifier runs
// now. It is on the path of every call: memory only, no lock, and no allocation
// unless it refuses. A weighted alias draws a version each time.
func (c *Catalog) Resolve(id kiln.FunctionID, q kiln.Qualifier) (kiln.Target, error) {
	p := c.book.page(id)
	if p == nil {
		return kiln.Target{}, notFound(id, q)
	}
	e := p.find(q, c.o.Draw)
	if e == nil {
		return kiln.Target{}, notFound(id, q)
	}
	if e.serving == nil {
		if e.version.Status.State == kiln.Inactive && e.version.Config.FromImage() {
			c.Lost(e.version) // this call finds out, and a later one that it is back
		}
		return kiln.Target{}, wrongState(e.version.Status.State)
	}
	version, runs := e.serving, e.runs
	if e == p.latest {
		if b := c.live.of(id); b != nil {
			version, runs = b.target(p.fn, version, runs)
		}
	}
	t := kiln.Target{Version: version, Revision: runs, Reserved: p.fn.Reserved, Loops: p.fn.Loops}
	if len(p.provisions) > 0 {
		t.Provisioned = p.provisioned()
		if pr := p.provisions[q]; pr != nil {
			t.Provision = pr.part(e.version.Number)
		}
	}
	return t, nil
}

// find gives the version that a qualifier names, or nil. With draw a weighted
// alias gives its second version as often as its weight says.
func (p *page) find(q kiln.Qualifier, draw func() float64) *edition {
	if n, ok := number(q); ok {
		return p.edition(n)
	}
	a := p.aliases[string(q)]
	if a == nil {
		return nil
	}
	if a.other >= 0 && draw != nil && draw() < a.weight {
		return p.edition(a.other)
	}
	return p.edition(a.main)
}

// number reads the number of a version; $LATEST and nothing are 0. A name of
// digits that no version can have is not a number.
func number(q kiln.Qualifier) (int, bool) {
	if q == "" || q == kiln.Latest {
		return 0, true
	}
	if q[0] == '0' {
		return 0, false
	}
	n := 0
	for i := 0; i < len(q); i++ {
		d := q[i] - '0'
		if d > 9 || n > (math.MaxInt32-9)/10 {
			return 0, false
		}
		n = n*10 + int(d)
	}
	return n, true
}

func uniform() float64 { return rand.Float64() }
