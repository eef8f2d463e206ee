package linux

// Version1 makes options as on a host without unified control groups.
func Version1(o Options) Options {
	o.version1 = true
	return o
}
