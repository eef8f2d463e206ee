package kiln

// Load is what a worker has and what of it is used; placement decides on it.
type Load struct {
	MemoryBytes     int64 // budget for environments
	MemoryUsedBytes int64 // measured working sets plus headroom
	Environments    int
	Running         int // invocations
	Waiting         int // callers in the queue
}
