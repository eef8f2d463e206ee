package blobdir

// Fail makes the operations for which fault gives an error fail.
func (d *Dir) Fail(fault func(op, name string) error) { d.fault = fault }
