package kiln

// The package types of a version. "" is a zip.
const (
	PackageTypeZip   = "Zip"
	PackageTypeImage = "Image"
)

// ImageConfig replaces what the image of a version says of itself; what is empty
// does not.
type ImageConfig struct {
	EntryPoint       []string
	Command          []string
	WorkingDirectory string
}

// IsZero reports whether nothing is replaced.
func (i ImageConfig) IsZero() bool {
	return len(i.EntryPoint) == 0 && len(i.Command) == 0 && i.WorkingDirectory == ""
}

// FromImage reports whether a version's code is a container image.
func (c *Config) FromImage() bool { return c.PackageType == PackageTypeImage }
