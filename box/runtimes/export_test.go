package runtimes

// Environment gives the variables that a descriptor sets, for tests.
func Environment(identifier string) (map[string]string, bool) {
	d, ok := readDescriptors()[identifier]
	if !ok {
		return nil, false
	}
	return d.Env, true
}

// Pin replaces the packages of an SDK, for tests that make some themselves.
func (b *Book) Pin(name, packages string) {
	for _, s := range b.sdks {
		if s.Name == name {
			s.pinned = []byte(packages)
		}
	}
}

// Pins gives the packages of an SDK.
func (b *Book) Pins(name string) string {
	for _, s := range b.sdks {
		if s.Name == name {
			return string(s.pinned)
		}
	}
	return ""
}

// KeyStore gives a bundle of certificates as a store of Java, for tests.
var KeyStore = keyStore

// UnpackDotnet takes the runtime out of an SDK, for tests.
var UnpackDotnet = unpackDotnet

// UnpackLibraries takes libraries out of a wheel that must have a digest, for tests.
func UnpackLibraries(wheel, root, digest string, libraries map[string]string) error {
	return (&fromWheel{Libraries: libraries}).unpack(wheel, root, map[string]bool{digest: true})
}
