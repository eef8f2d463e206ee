package main

import (
	"kiln"
	"kiln/box/rootfs"
	"kiln/door/api"
	"kiln/engine/catalog"
)

var _ api.Developer = catalogDoor{}

// Bind is api.Developer.
func (d catalogDoor) Bind(id kiln.FunctionID, directory, proof string) (api.Binding, error) {
	dir, err := rootfs.OpenLive(directory, proof)
	if err != nil {
		return nil, err
	}
	b, err := d.Catalog.Bind(id, dir.Path())
	if err != nil {
		_ = dir.Close() // nothing was written
		return nil, err
	}
	return binding{b, dir}, nil
}

// binding is a function under development in the words of door/api.
type binding struct {
	*catalog.Binding
	dir *rootfs.Live
}

// Changed is api.Binding.
func (b binding) Changed(directory, proof string) (int, error) {
	if err := b.dir.Turn(directory, proof); err != nil {
		return 0, err
	}
	return b.Binding.Changed(b.dir.Path()), nil
}

// Release is api.Binding.
func (b binding) Release() {
	b.Binding.Release()
	_ = b.dir.Close() // nothing was written
}
