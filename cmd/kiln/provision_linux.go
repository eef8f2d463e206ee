package main

import (
	"kiln"
	"kiln/door/api"
	"kiln/engine/catalog"
)

var _ api.ProvisionCatalog = catalogDoor{}

// provisions has the worker keep what the book says. It belongs to the goroutine that
// hears of changes.
type provisions struct {
	catalog *catalog.Catalog
	keep    func(kiln.Target) error
	kept    map[kiln.FunctionID][]kiln.Target
}

// all looks at every function.
func (p *provisions) all() { p.catalog.EachProvisioned(p.of) }

// of looks at one function.
func (p *provisions) of(id kiln.FunctionID) {
	targets := p.catalog.ProvisionTargets(id)
	for _, was := range p.kept[id] {
		_ = p.keep(was) // what is not wanted any more goes; the only error is that the server ends
	}
	for _, t := range targets {
		_ = p.keep(t)
	}
	if len(targets) == 0 {
		delete(p.kept, id)
		return
	}
	p.kept[id] = targets
}
