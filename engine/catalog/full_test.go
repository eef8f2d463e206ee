package catalog_test

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"kiln"
	"kiln/engine/catalog"
)

func TestAFullDiskIsSaidLosesNothingAndPasses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small file system")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	s, err := openServer(t.Context(), dir, false)
	if err != nil {
		t.Fatal(err)
	}
	full := func(err error) bool {
		return err != nil && kiln.CodeOf(err) == kiln.Unavailable && strings.Contains(err.Error(), "no space")
	}
	made, inPlace := 0, 0
	for ; made < 100; made++ {
		_, err := s.CreateFunction(t.Context(), catalog.New{ID: named(fmt.Sprint("f", made)), Config: config(), Zip: noise(t, 200_000)})
		if err != nil {
			if !full(err) {
				t.Errorf("create gave %v, want Unavailable that names the cause", err)
			}
			break
		}
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		v, err := s.Version(named(fmt.Sprint("f", made)), "")
		switch {
		case err != nil:
			t.Fatal(err)
		case v.Status.State == kiln.Active:
			inPlace++
		case v.Status.State != kiln.Failed || !strings.Contains(v.Status.Reason, "no space left on device"):
			t.Errorf("%s is %+v", v.Function.Name, v.Status)
		}
	}
	if made == 0 || made == 100 || inPlace == 0 {
		t.Fatalf("%d functions were made and %d are in place: the disk was never full", made, inPlace)
	}
	if got := len(s.Functions(home)); got != made {
		t.Errorf("there are %d functions, want %d", got, made)
	}
	// what is there works, also after a start
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if s, err = openServer(t.Context(), dir, false); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if got := len(s.Functions(home)); got != made {
		t.Errorf("after a start there are %d functions, want %d", got, made)
	}
	// space comes back
	for n := range made - 1 {
		if err := s.DeleteFunction(t.Context(), named(fmt.Sprint("f", n))); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	known := s.Packages()
	if err := s.rootfs.GC(func(sha string) bool { _, ok := known[sha]; return ok }); err != nil {
		t.Error(err)
	}
	if _, err := s.CreateFunction(t.Context(), catalog.New{ID: named("new"), Config: config(), Zip: noise(t, 200_000)}); err != nil {
		t.Fatalf("with space again create gave %v", err)
	}
	if err := s.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Version(named("new"), ""); err != nil || v.Status.State != kiln.Active {
		t.Errorf("the new function is %+v, %v", v.Status, err)
	}
}

// noise gives a package that cannot be made smaller.
func noise(t *testing.T, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	f, err := w.Create("data")
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, size)
	if _, err := rand.Read(text); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
