package kiln

import (
	"strconv"
	"time"
)

// Version is code + configuration. $LATEST is the only one that changes; numbered
// ones never do.
type Version struct {
	Function FunctionID
	Number   int // 0 is $LATEST
	Config   Config
	Package  Package
	Status   Status
	// RevisionID changes with every change of this version, its state included.
	RevisionID   string
	LastModified time.Time
	// Updates says when another release of the runtime may serve the version. It is not
	// part of what the version is: published ones can be given another.
	Updates RuntimeUpdates
}

// Name gives "$LATEST" or the number.
func (v *Version) Name() string {
	if v.Number == 0 {
		return Latest
	}
	return strconv.Itoa(v.Number)
}

// Config is what a caller can set of a version. The zero value of an optional
// member means that it was never sent.
type Config struct {
	Description  string
	Runtime      string
	Handler      string
	Role         string
	Timeout      time.Duration
	MemoryMB     int
	StorageMB    int               // of /tmp
	Architecture string            // "x86_64" or "arm64"
	Environment  map[string]string // nil: absent; empty: sent as {}
	LogGroup     string            // "" is /aws/lambda/<name>
	Logging      Logging
	Layers       []LayerUse // in their order; later ones over earlier ones
	// NoOutbound keeps the function from opening connections to the outside.
	NoOutbound bool
	// SigTERM has the runtime told of its end by SIGTERM, also when no extension has
	// registered for that.
	SigTERM bool
	// Debug gives each environment an address of this machine for the debugger of its
	// language, and lets the timeout stand still while one is attached.
	Debug bool
	// PackageType is what the code is: PackageTypeImage, or "" for a zip.
	PackageType string
	Image       ImageConfig // of an image alone
	// CPUMode is how the processor is divided while the function runs: CPUStrict,
	// CPUBurst, or "" for what the server does with all.
	CPUMode string
	// KMSKey is the key that the caller named for the variables. What is stored is encrypted
	// with the server's own key, whatever it says.
	KMSKey string
	// FileSystem is a directory that environments share, to read and to write.
	FileSystem FileSystemUse
	// VPC has the network of the server that the function is in.
	VPC VPCUse
	// DeadLetters is the ARN of the queue that events go to which were given up; "" is none.
	// That of $LATEST counts for all versions.
	DeadLetters string
	// PerTenant keeps tenants apart: every call names one, and no environment ever serves
	// two. It is set when the function is made and never changes.
	PerTenant bool
}

// Package is the code of a version: a zip kept by its digest, or a container image
// known by the digest of its manifest.
type Package struct {
	SHA256       string // lower-case hex; also the name of the blob and of its directory
	Size         int64  // of the zip
	UnzippedSize int64
	// Directory is a host directory whose files run instead of the package's, while
	// the function is under development; "" otherwise. It is never stored.
	Directory string
	// Image is the reference of an image as the caller gave it, ImageResolved the same
	// place with the digest. Both are "" for a zip.
	Image, ImageResolved string
}

// State is the life of a version as clients see it.
type State string

// States of a version.
const (
	Pending  State = "Pending"
	Active   State = "Active"
	Inactive State = "Inactive"
	Failed   State = "Failed"
)

// UpdateStatus is how the last update of a version went.
type UpdateStatus string

// States of an update.
const (
	InProgress   UpdateStatus = "InProgress"
	Successful   UpdateStatus = "Successful"
	UpdateFailed UpdateStatus = "Failed"
)

// Status is where a version and its last update stand. Reason codes are those of
// the AWS model.
type Status struct {
	State            State
	Reason           string
	ReasonCode       string
	Update           UpdateStatus
	UpdateReason     string
	UpdateReasonCode string
}
