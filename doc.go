// Package kiln is the ground that everything stands on: the nouns of running
// Lambda functions, their errors, their ARNs and their limits. It imports the
// standard library only and does nothing by itself: no goroutine, no input or
// output, no clock.
package kiln
