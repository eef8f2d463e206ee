package rootfs

// Fail makes the operations for which fault gives an error fail.
func (c *Cache) Fail(fault func(op, name string) error) { c.fault = fault }
