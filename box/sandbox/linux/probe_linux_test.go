package linux

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestACallThatIsForbiddenIsNoReasonToBlameTheKernelsAge(t *testing.T) {
	for err, want := range map[error]string{
		fmt.Errorf("fsopen tmpfs: %w", unix.EPERM): "or",
		unix.EACCES:                            "or",
		fmt.Errorf("openat2: %w", unix.ENOSYS): "too old",
		unix.EINVAL:                            "too old",
	} {
		if got := whyNoCall(err); !strings.Contains(got, want) || strings.Contains(got, "too old") != (want == "too old") {
			t.Errorf("%v: got %q", err, got)
		}
	}
}
