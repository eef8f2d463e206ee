package rootfs_test

import (
	"bytes"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln"
	"kiln/box/rootfs"
)

// mustRefuse holds a zip to be refused at upload and, should it ever be stored, when
// it is unpacked; and to leave nothing anywhere.
func mustRefuse(t *testing.T, name string, text []byte, message string) {
	t.Helper()
	_, err := inspect(text)
	if kiln.CodeOf(err) != kiln.Invalid {
		t.Errorf("%s: inspect gave %v, want Invalid", name, err)
		return
	}
	if !strings.Contains(err.Error(), message) {
		t.Errorf("%s: inspect said %q, want %q in it", name, err, message)
	}
	b := &blobs{}
	c, dir := openCache(t, b)
	canary := filepath.Join(dir, "..", "..", "canary-"+filepath.Base(t.TempDir()))
	_, err = prepare(t, c, b.add(text))
	if kiln.CodeOf(err) != kiln.BadPackage {
		t.Errorf("%s: prepare gave %v, want BadPackage", name, err)
	}
	if left := slices.Concat(names(t, filepath.Join(dir, "tmp")), names(t, filepath.Join(dir, "code-1"))); len(left) > 0 {
		t.Errorf("%s: %q was left", name, left)
	}
	if got := names(t, filepath.Join(dir, "..")); !slices.Equal(got, []string{"rootfs"}) {
		t.Errorf("%s: the data directory holds %q", name, got)
	}
	if _, err := os.Lstat(canary); err == nil {
		t.Errorf("%s: wrote beside the data directory", name)
	}
}

func TestC01NamesThatLeadElsewhereAreRefused(t *testing.T) {
	for _, name := range []string{
		"../x", "../../../../../../../../tmp/x", "a/../../x", "a/..", "a/../b", "..", "../", "/etc/x", "/", "//x", "a//b",
		`C:\x`, `C:/x`, "c:x", `a\b`, `..\x`, `\\host\share`, "a\x00b", "\x00", "", ".",
		strings.Repeat("a", 256), strings.Repeat("a/", 2100) + "x",
	} {
		mustRefuse(t, "entry "+name, zipOf(t, item{name: "index.py", body: "x"}, item{name: name, body: "evil"}), "Could not unzip uploaded file")
		// as writers that do not look at names make it
		mustRefuse(t, "raw entry "+name, rawZip(stored("index.py", "x"), stored(name, "evil")), "Could not unzip uploaded file")
	}
}

func TestC01NamesThatLookOddButStayInsideAreTaken(t *testing.T) {
	b := &blobs{}
	c, _ := openCache(t, b)
	odd := []string{"..a", "a..", "...", "a/...b", "-rf", " ", "ü", "\xff\xfe", "a b/c", "CON", "xx:y", "a\nb"}
	var items []item
	for _, name := range odd {
		items = append(items, item{name: name, body: "1"})
	}
	items = append(items, item{name: "./", mode: fs.ModeDir | 0o755}, item{name: "./dotted", body: "1"})
	dir, err := prepare(t, c, b.add(zipOf(t, items...)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(odd, "dotted") {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != "1" {
			t.Errorf("%q holds %q, %v", name, text, err)
		}
	}
}

func TestC02NothingIsWrittenThroughALink(t *testing.T) {
	outside := t.TempDir()
	for name, items := range map[string][]item{
		"a file below a link":               {link("a", outside), {name: "a/passwd", body: "evil"}},
		"a file below a link, other order":  {{name: "a/passwd", body: "evil"}, link("a", outside)},
		"a file below a link to a sibling":  {{name: "d/", mode: fs.ModeDir | 0o755}, link("a", "d"), {name: "a/x", body: "evil"}},
		"a file over a link":                {link("a", outside+"/x"), {name: "a", body: "evil"}},
		"a directory over a link":           {link("a", outside), {name: "a/", mode: fs.ModeDir | 0o755}},
		"a directory in a link":             {link("a", outside), {name: "a/b/", mode: fs.ModeDir | 0o755}},
		"a link in a link":                  {link("a", outside), link("a/b", "c")},
		"a file in a file":                  {{name: "a", body: "1"}, {name: "a/b", body: "2"}},
		"a file over an implied directory":  {{name: "a/b", body: "1"}, {name: "a", body: "2"}},
		"a link over an implied directory":  {{name: "a/b", body: "1"}, link("a", "c")},
		"two links of one name, safe first": {link("a", "b"), link("a", outside)},
	} {
		mustRefuse(t, name, zipOf(t, items...), "Could not unzip uploaded file")
	}
	if got := names(t, outside); len(got) > 0 {
		t.Errorf("%q was written outside", got)
	}
}

func TestC02LinksThatLeadOutAreRefused(t *testing.T) {
	for name, items := range map[string][]item{
		"absolute":                     {link("a", "/etc/passwd")},
		"absolute to the root":         {link("a", "/")},
		"absolute, like a own one":     {link("a", "/tmpfoo/x")},
		"absolute, climbing":           {link("a", "/tmp/../etc/passwd")},
		"up":                           {link("a", "..")},
		"up and away":                  {link("d/a", "../../etc")},
		"by the task directory":        {link("a", "/var/task/../../etc")},
		"over another link":            {{name: "d/e/f", body: "1"}, link("x", "d/e"), link("a", "x/../../..")},
		"over a link to the directory": {link("d/here", "."), link("a", "d/here/../..")},
		"by links that lift each other": {
			link("d/up", ".."), link("a", "d/up/d/up/.."),
		},
		"a circle":        {link("a", "b"), link("b", "a")},
		"itself":          {link("a", "a")},
		"nowhere":         {link("a", "")},
		"with a zero":     {link("a", "b\x00c")},
		"longer than any": {link("a", strings.Repeat("b/", 3000))},
	} {
		mustRefuse(t, name, zipOf(t, append(items, item{name: "index.py", body: "1"})...), "Could not unzip uploaded file: link")
	}
}

func TestC02LinksInsideAreKept(t *testing.T) {
	b := &blobs{}
	c, _ := openCache(t, b)
	want := map[string]string{
		"lib/libx.so": "libx.so.1", "bin": "lib", "up": "lib/../lib/libx.so.1", "lib/self": "../lib", "dangling": "not/there",
		"cache": "/tmp/cache", "layer": "/opt/lib", "own": "/var/task/lib/libx.so.1", "deep/er/x": "../../lib",
	}
	items := []item{{name: "lib/libx.so.1", body: "so"}}
	for name, to := range want {
		items = append(items, link(name, to))
	}
	dir, err := prepare(t, c, b.add(zipOf(t, items...)))
	if err != nil {
		t.Fatal(err)
	}
	for name, to := range want {
		if got, err := os.Readlink(filepath.Join(dir, name)); got != to || err != nil {
			t.Errorf("%s leads to %q, %v, want %q", name, got, err, to)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "bin", "libx.so")); string(text) != "so" {
		t.Errorf("through the links there is %q, %v", text, err)
	}
}

func TestC04ABombIsCountedWhileItIsInflated(t *testing.T) {
	const limit = kiln.MaxUnzippedSize
	big := zeros(t, limit+1<<20)
	bomb := func(name string, claims uint32) raw {
		return raw{name: name, method: 8, data: big, plain: claims, at: -1}
	}
	mustRefuse(t, "an honest one", rawZip(bomb("a", limit+1<<20)), "Unzipped size must be smaller than 262144000 bytes")
	half := zeros(t, limit/2+1)
	sum := crc32.ChecksumIEEE(make([]byte, limit/2+1))
	part := func(name string) raw {
		return raw{name: name, method: 8, data: half, plain: limit/2 + 1, sum: sum, at: -1}
	}
	for name, text := range map[string][]byte{
		"one that claims little":  rawZip(bomb("a", 10)),
		"one that claims nothing": rawZip(bomb("a", 0)),
		"one in two halves":       rawZip(part("a"), part("b")),
	} {
		if _, err := inspect(text); kiln.CodeOf(err) != kiln.Invalid {
			t.Errorf("%s: inspect gave %v, want Invalid", name, err)
		}
	}
	if n, err := inspect(rawZip(part("a"))); n != limit/2+1 || err != nil {
		t.Errorf("one half alone gave %d, %v", n, err)
	}
}

// countingReader counts how much of a zip is read.
type countingReader struct {
	*bytes.Reader
	n int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

func TestC04ABombStopsAtTheLimitAndNotAtItsEnd(t *testing.T) {
	text := rawZip(raw{name: "a", method: 8, data: zeros(t, 4*kiln.MaxUnzippedSize), plain: 4 * kiln.MaxUnzippedSize, at: -1})
	r := &countingReader{Reader: bytes.NewReader(text)}
	if _, err := rootfs.Inspect(r, int64(len(text))); kiln.CodeOf(err) != kiln.Invalid {
		t.Errorf("inspect gave %v, want Invalid", err)
	}
	if most := int64(len(text)) / 3; r.n > most {
		t.Errorf("%d of %d bytes were read, want about a quarter", r.n, len(text))
	}
	b := &blobs{}
	c, _ := openCache(t, b)
	writes := 0
	c.Fail(func(op, _ string) error {
		if op == "write" {
			writes++
		}
		return nil
	})
	if _, err := prepare(t, c, b.add(text)); kiln.CodeOf(err) != kiln.BadPackage {
		t.Errorf("prepare gave %v, want BadPackage", err)
	}
	const block = 32 << 10 // of one write, at most
	if most := (kiln.MaxUnzippedSize + 64<<10) / block; writes > most {
		t.Errorf("%d blocks were written, want at most %d", writes, most)
	}
}

func TestC05EntriesThatShareBytesAreRefused(t *testing.T) {
	inner := stored("b", strings.Repeat("b", 100))
	quoted := append(inner.localHeader(), inner.data...)
	outer := stored("a", string(quoted))
	shared := inner
	shared.at = len(outer.localHeader())
	mustRefuse(t, "an entry quoted in another", rawZip(outer, shared), "entries overlap")
	same := stored("a", "x")
	again := same
	again.at = 0
	mustRefuse(t, "one entry named twice", rawZip(same, again), "Could not unzip uploaded file")
}

func TestC07TwoOfOneNameAndTwoHeadersAreRefused(t *testing.T) {
	mustRefuse(t, "two files", zipOf(t, item{name: "a", body: "1"}, item{name: "a", body: "2"}), "twice")
	mustRefuse(t, "two spellings", zipOf(t, item{name: "a", body: "1"}, item{name: "./a", body: "2"}), "twice")
	mustRefuse(t, "file and directory", zipOf(t, item{name: "a", body: "1"}, item{name: "a/", mode: fs.ModeDir | 0o755}), "Could not unzip")
	twofold := stored("good.py", "x")
	twofold.localName = "evil.py"
	mustRefuse(t, "another name before the data", rawZip(twofold), "two different headers")
	shorter := stored("good.py", "x")
	shorter.localName = "good.p"
	mustRefuse(t, "a shorter name before the data", rawZip(shorter), "")
	text := rawZip(stored("good.py", "x"))
	text[8] = 8 // the method before the data
	mustRefuse(t, "another method before the data", text, "two different headers")
	text = rawZip(stored("good.py", "x"))
	text[18]++ // the size before the data
	mustRefuse(t, "another size before the data", text, "")
	text = rawZip(stored("good.py", "x"))
	text[6] |= 1
	mustRefuse(t, "encrypted", text, "encrypted")
}

func TestC07TheSameDirectoryTwiceIsOneDirectory(t *testing.T) {
	b := &blobs{}
	c, _ := openCache(t, b)
	dir, err := prepare(t, c, b.add(zipOf(t, item{name: "a/b/x", body: "1"}, item{name: "a/", mode: fs.ModeDir | 0o700}, item{name: "a/b/", mode: fs.ModeDir | 0o750})))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"a": 0o700, "a/b": 0o750} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestC08OnlyFilesDirectoriesAndLinks(t *testing.T) {
	for name, mode := range map[string]fs.FileMode{
		"a pipe": fs.ModeNamedPipe | 0o644, "a device": fs.ModeDevice | 0o644, "a terminal": fs.ModeDevice | fs.ModeCharDevice | 0o644, "a socket": fs.ModeSocket | 0o644,
	} {
		mustRefuse(t, name, zipOf(t, item{name: "index.py", body: "x"}, item{name: "handler", mode: mode}), "neither a file nor a directory")
	}
}

func TestC08PermissionsAreKeptAndPrivilegesAreNot(t *testing.T) {
	b := &blobs{}
	c, _ := openCache(t, b)
	for _, x := range []struct{ in, want fs.FileMode }{
		{0o644, 0o644}, {0o755, 0o755}, {0o777, 0o755}, {0o666, 0o644}, {0o600, 0o600}, {0o400, 0o400}, {0o444, 0o444}, {0o500, 0o500}, {0o111, 0o511},
		{0o4755, 0o755}, {0o755 | fs.ModeSetuid, 0o755}, {0o755 | fs.ModeSetgid | fs.ModeSticky, 0o755}, {0, 0o644},
	} {
		dir, err := prepare(t, c, b.add(zipOf(t, item{"f", "1", x.in})))
		if err != nil {
			t.Errorf("%v: %v", x.in, err)
			continue
		}
		info, err := os.Stat(filepath.Join(dir, "f"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != x.want {
			t.Errorf("%v became %v, want %v", x.in, info.Mode(), x.want)
		}
		if top, err := os.Stat(dir); err != nil || top.Mode().Perm() != 0o755 {
			t.Errorf("the directory has mode %v, %v", top.Mode(), err)
		}
	}
}

func TestC18ACutUploadIsRefusedWhereverItIsCut(t *testing.T) {
	text := zipOf(t, item{name: "a/index.py", body: strings.Repeat("print(1)\n", 100)}, item{name: "b", body: "2"})
	for n := range len(text) {
		_, err := inspect(text[:n])
		want := "Could not unzip uploaded file. Please check your file, then try to upload again."
		if n == 0 {
			want = "Uploaded file must be a non-empty zip"
		}
		if kiln.CodeOf(err) != kiln.Invalid || err.(*kiln.Error).Message != want {
			t.Fatalf("cut to %d of %d: %v, want %q", n, len(text), err, want)
		}
	}
}

func TestBrokenZipsGetTheTextThatAWSAnswers(t *testing.T) {
	good := zipOf(t, item{name: "index.py", body: strings.Repeat("print(1)\n", 100)})
	flipped := slices.Clone(good)
	flipped[60] ^= 0x55 // in the deflated data
	for name, text := range map[string][]byte{
		"text":             []byte("not a zip at all"),
		"a damaged member": flipped,
		"a tar":            append(make([]byte, 257), "ustar\x00"...),
	} {
		_, err := inspect(text)
		if want := "Could not unzip uploaded file. Please check your file, then try to upload again."; kiln.CodeOf(err) != kiln.Invalid || err.(*kiln.Error).Message != want {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	for name, text := range map[string][]byte{"nothing": nil, "no entries": zipOf(t)} {
		if _, err := inspect(text); err == nil || err.Error() != "Uploaded file must be a non-empty zip" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTooManyEntriesAreRefused(t *testing.T) {
	var files []raw
	for i := range 60_000 {
		files = append(files, raw{name: "f" + itoa(i), at: -1})
	}
	if _, err := inspect(rawZip(files...)); err != nil {
		t.Errorf("60000 entries: %v", err)
	}
	// each entry implies one directory: more than there may be
	for i := range files {
		files[i].name = "d" + itoa(i) + "/f"
	}
	if _, err := inspect(rawZip(files...)); kiln.CodeOf(err) != kiln.Invalid {
		t.Errorf("60000 entries in 60000 directories: %v", err)
	}
	// few entries that imply many directories
	var deep []raw
	for i := range 90 {
		deep = append(deep, raw{name: strings.Repeat(itoa(i)+"/", 1300) + "x", at: -1})
	}
	_, err := inspect(rawZip(deep...))
	if kiln.CodeOf(err) != kiln.Invalid {
		t.Errorf("90 entries with %d directories: %v", 90*1300, err)
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func TestAZipThatIsTooLargeIsRefusedUnread(t *testing.T) {
	_, err := rootfs.Inspect(unreadable{t}, kiln.MaxUnzippedSize+1)
	if kiln.CodeOf(err) != kiln.Invalid || err.Error() != "Unzipped size must be smaller than 262144000 bytes" {
		t.Errorf("inspect gave %v", err)
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) ReadAt([]byte, int64) (int, error) {
	u.t.Error("it was read")
	return 0, io.EOF
}
