//go:build !(linux || darwin || freebsd)

package sqlite

import (
	"runtime"

	"kiln"
)

// Lock is refused where a data directory cannot be locked.
func Lock(dir string) (release func() error, err error) {
	return nil, kiln.Errorf(kiln.Unsupported, "kiln serve does not run on %s: a data directory cannot be locked", runtime.GOOS)
}
