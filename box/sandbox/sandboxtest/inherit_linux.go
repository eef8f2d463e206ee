package sandboxtest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// inheritable takes the close-on-exec mark off a file.
func inheritable(t testing.TB, f *os.File) {
	t.Helper()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
}
