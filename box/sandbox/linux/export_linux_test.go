package linux

// Apart runs f on a thread of its own, which may change what belongs to it.
func Apart(f func() error) error { return apart(f) }
