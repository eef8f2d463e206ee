package linux_test

import (
	"os"
	"strings"
	"testing"

	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/sandboxtest"
)

func TestWhatIsNotFitToBeSharedIsRefusedWithItsReason(t *testing.T) {
	d := open(t, linux.Options{Owner: sandboxtest.Owner("shares"), PoolSize: -1})
	dir := t.TempDir()
	file := dir + "/file"
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	group := dir + "/group"
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(group, 4321, 0); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir: "what is written there would be root's", group: "group 0", file: "not a directory", dir + "/absent": "no such file", "relative": "absolute",
	} {
		if err := d.CheckShare(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if err := os.Chown(group, 4321, 4321); err != nil {
		t.Fatal(err)
	}
	if err := d.CheckShare(group); err != nil {
		t.Error(err)
	}
}
