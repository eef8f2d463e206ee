package kiln

// Rootfs is the ordered list of read-only directories of an environment: base,
// runtime, code, layers. It is shared by all environments of a revision.
type Rootfs struct {
	Mounts []RuntimeMount
	Files  []RootfsFile
	// Extensions are the names of the files of /opt/extensions, sorted.
	Extensions []string
}

// RootfsFile is a small file that is written for each box; ${UID} in it becomes
// the box's user id.
type RootfsFile struct {
	Path     string
	Contents []byte
}
