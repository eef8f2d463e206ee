package kiln

import "time"

// Limits that AWS documents and that clients can see. Sizes are in bytes unless
// the name says otherwise; a "MB" of a function's memory is 1 MiB.
const (
	MaxSyncPayload     = 6291456 // request of a RequestResponse invocation
	MaxAsyncPayload    = 1048576 // request of an Event invocation
	MaxResponsePayload = 6291556 // 6 MiB + 100, as AWS's runtime interface answers it
	MaxClientContext   = 3583    // of the base64 text
	MaxZipSize         = 52428800
	MaxUnzippedSize    = 262144000
	MaxRequestBody     = 70167211 // CreateFunction and UpdateFunctionCode
	MaxEnvironmentSize = 4096     // of the serialised map
	MaxLayers          = 5        // of a function

	MinMemoryMB      = 128
	MaxMemoryMB      = 10240
	DefaultMemoryMB  = 128
	MinStorageMB     = 512 // of /tmp
	MaxStorageMB     = 10240
	DefaultStorageMB = 512

	DefaultTimeout = 3 * time.Second
	MaxTimeout     = 900 * time.Second
	InitTimeout    = 10 * time.Second

	DefaultAccountConcurrency = 1000
	MinUnreservedConcurrency  = 100

	LogTailSize = 4096

	MaxExtensions = 10 // in one environment, internal ones included

	// MemoryMBPerCPU is the memory size at which a function has one whole
	// processor; below and above it the share is linear.
	MemoryMBPerCPU = 1769
)

// DefaultAccount and DefaultRegion are used where a request names none.
const (
	DefaultAccount = "000000000000"
	DefaultRegion  = "us-east-1"
)
