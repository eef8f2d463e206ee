package kiln

// FileSystemUse is a shared file system as a version has it: the ARN of its access point
// and the place below /mnt. The zero value is none.
type FileSystemUse struct{ ARN, Path string }

// FileSystems are the file systems of a server: the directory of this machine for each
// access point, by its ARN.
type FileSystems map[string]string

// Directory gives the directory of what a version uses.
func (f FileSystems) Directory(use FileSystemUse) (string, error) {
	if dir, ok := f[use.ARN]; ok {
		return dir, nil
	}
	return "", Errorf(BadMount, "The function couldn't mount the file system: the server has no access point %s.", use.ARN)
}
