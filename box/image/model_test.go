package image_test

import (
	"archive/tar"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kiln/box/image"
)

// model is a root directory as the specification of layers says it: paths with what
// files hold; directories hold "/".
type model map[string]string

// remove takes away a path and all below it.
func (m model) remove(name string) {
	maps.DeleteFunc(m, func(p, _ string) bool { return p == name || strings.HasPrefix(p, name+"/") })
}

// parents makes the directories above a path.
func (m model) parents(name string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		m[dir] = "/"
	}
}

// fits reports whether a path can be made: nothing above it is a file.
func (m model) fits(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if text, ok := m[dir]; ok && text != "/" {
			return false
		}
	}
	return true
}

// apply is what one layer does, or false when it does what no layer may.
func (m model) apply(layer []tar.Header) bool {
	for _, h := range layer {
		dir, base := path.Split(path.Clean(h.Name))
		dir = strings.TrimSuffix(dir, "/")
		switch {
		case base == ".wh..wh..opq":
			maps.DeleteFunc(m, func(p, _ string) bool { return dir == "" || strings.HasPrefix(p, dir+"/") })
		case strings.HasPrefix(base, ".wh."):
			m.remove(path.Join(dir, strings.TrimPrefix(base, ".wh.")))
		}
	}
	for _, h := range layer {
		name := path.Clean(h.Name)
		if strings.HasPrefix(path.Base(name), ".wh.") {
			continue
		}
		if !m.fits(name) {
			return false
		}
		m.parents(name)
		if h.Typeflag == tar.TypeDir {
			if m[name] != "/" {
				m[name] = "/"
			}
			continue
		}
		m.remove(name)
		m[name] = h.Uname
	}
	return true
}

// inMemory makes a directory where syncing costs nothing, if there is such a place.
func inMemory(t testing.TB) string {
	t.Helper()
	home, err := os.MkdirTemp("/dev/shm", "kiln-test-")
	if err != nil {
		home, err = os.MkdirTemp(t.TempDir(), "")
	}
	if err != nil {
		t.Fatal(err)
	}
	return home
}

var drawnNames = rapid.Custom(func(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3).Draw(t, "parts")
	return path.Join(parts...)
})

func TestLayersOverEachOtherAreWhatTheSpecificationSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, want := newImage(), model{}
		valid := true
		for range rapid.IntRange(1, 4).Draw(rt, "layers") {
			var layer []tar.Header
			seen := map[string]bool{}
			for range rapid.IntRange(0, 6).Draw(rt, "entries") {
				name := drawnNames.Draw(rt, "name")
				h := file(name, rapid.StringMatching("[a-z]{1,5}").Draw(rt, "text"))
				switch rapid.IntRange(0, 5).Draw(rt, "kind") {
				case 0, 1:
					h = dir(name + "/")
				case 2:
					h = file(path.Join(path.Dir(name), ".wh."+path.Base(name)), "")
				case 3:
					h = file(path.Join(name, ".wh..wh..opq"), "")
				}
				if seen[path.Clean(h.Name)] {
					continue
				}
				seen[path.Clean(h.Name)] = true
				layer = append(layer, h)
			}
			b.layer(t, "", layer...)
			valid = valid && want.apply(layer)
		}
		home := inMemory(t)
		defer os.RemoveAll(home)
		s, err := image.Open(home, image.Options{Boot: "this", Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		p, err := s.Resolve(t.Context(), "oci:"+b.layout(t), "x86_64")
		if err != nil {
			t.Fatal(err)
		}
		err = s.Pull(t.Context(), p, "x86_64")
		if !valid {
			if reason(err) != "InvalidImage" {
				rt.Fatalf("a layer with a file as a directory: %v", err)
			}
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		i, err := s.Image(t.Context(), p.SHA256)
		if err != nil {
			rt.Fatal(err)
		}
		if got := contents(t, i.Dir); !maps.Equal(got, want) {
			rt.Fatalf("got  %v\nwant %v", got, want)
		}
	})
}

// contents gives what is in a directory, without what kiln puts into every image.
func contents(t testing.TB, root string) model {
	t.Helper()
	m := model{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, p)
		first, _, _ := strings.Cut(name, "/")
		switch {
		case len(first) > 1 || name == ".":
			return nil
		case d.IsDir():
			m[name] = "/"
			return nil
		}
		text, err := os.ReadFile(p)
		m[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestNoLayerReachesWhatIsNotItsImages lets layers be anything that a tar file can hold,
// links of all kinds included, and looks at everything but the image afterwards.
func TestNoLayerReachesWhatIsNotItsImages(t *testing.T) {
	out := outside(t)
	names := append([]string{"a", "b", "a/b", "a/b/c", "./a", "/a", "a/../b", "..", "../x", "a/.wh.b", ".wh.a", "a/.wh..wh..opq", ".wh..wh..opq", "a/.wh...", ".wh..wh.plnk/1", "etc", "etc/hosts", "tmp", "proc/x", "."}, out[1:], out[1:]+"/canary")
	targets := append([]string{"a", "b", "/", ".", "..", "../../../../../../../..", "a/b", "../b", "/etc", "a/../../..", strings.Repeat("../", 30) + out[1:]}, out, out+"/canary")
	accepted := 0
	rapid.Check(t, func(rt *rapid.T) {
		b := newImage()
		for range rapid.IntRange(1, 3).Draw(rt, "layers") {
			var layer []tar.Header
			for range rapid.IntRange(0, 6).Draw(rt, "entries") {
				layer = append(layer, tar.Header{
					Name:     rapid.SampledFrom(names).Draw(rt, "name"),
					Typeflag: rapid.SampledFrom([]byte{tar.TypeReg, tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo}).Draw(rt, "kind"),
					Linkname: rapid.SampledFrom(targets).Draw(rt, "to"), Mode: 0o7777, Uname: "x",
				})
			}
			b.layer(t, "", layer...)
		}
		home := inMemory(t)
		defer os.RemoveAll(home)
		s, err := image.Open(home, image.Options{Boot: "this", Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		p, err := s.Resolve(t.Context(), "oci:"+b.layout(t), "x86_64")
		if err != nil {
			t.Fatal(err)
		}
		switch err := s.Pull(t.Context(), p, "x86_64"); {
		case err == nil:
			accepted++
		case reason(err) != "InvalidImage":
			rt.Fatalf("neither taken nor refused: %v", err)
		}
		text, err := os.ReadFile(filepath.Join(out, "canary"))
		entries, _ := os.ReadDir(out)
		if err != nil || string(text) != "untouched" || len(entries) != 1 {
			rt.Fatalf("what lies outside was touched: %q %v", text, entries)
		}
		left, _ := filepath.Glob(filepath.Join(home, "images/unpacked-this/*"))
		for _, l := range left {
			if base := filepath.Base(l); base != "tmp" && base != "layers" && base != "roots" {
				rt.Fatalf("something is beside the images: %s", l)
			}
		}
	})
	if accepted == 0 {
		t.Error("no image was taken, so nothing was tried")
	}
}
