package kiln

// The ways in which the processor is divided while functions run. In both a function
// weighs as much as it has memory, and its init may use all there is.
const (
	// CPUBurst lets a function use what others leave over.
	CPUBurst = "burst"
	// CPUStrict gives a function the share that its memory stands for and no more, as
	// AWS does: one processor at 1,769 MB.
	CPUStrict = "strict"
)
