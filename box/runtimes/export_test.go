package runtimes

// Environment gives the variables that a descriptor sets, for tests.
func Environment(identifier string) (map[string]string, bool) {
	d, ok := readDescriptors()[identifier]
	if !ok {
		return nil, false
	}
	return d.Env, true
}
