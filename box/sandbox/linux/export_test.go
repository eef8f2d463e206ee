package linux

// Version1 makes options as on a host without unified control groups.
func Version1(o Options) Options {
	o.version1 = true
	return o
}

// Apart runs f on a thread of its own, which may change what belongs to it.
func Apart(f func() error) error { return apart(f) }
