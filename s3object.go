package kiln

// S3Object names an object of S3 that holds a package.
type S3Object struct {
	Bucket  string
	Key     string
	Version string // "" is the latest
}
