package hostile_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"kiln/test/harness"
)

// Group C: the package is hostile. Those that are made by hand, bit by bit, are in
// packages_test.go.

// unzipped is the most that a package may hold.
const unzipped = 262144000

// kept lists everything that the server keeps of packages, with its size.
func (p *place) kept(t testing.TB) string {
	t.Helper()
	var all []string
	for _, dir := range []string{"packages", "rootfs"} {
		err := filepath.WalkDir(filepath.Join(p.server.Data, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && !e.IsDir() {
				all = append(all, fmt.Sprint(path, " ", info.Size()))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(all, "\n")
}

// refuses holds the server to refuse a package, at creation and at an update of a
// function that is there, and to keep nothing of it.
func (x *trial) refuses(t testing.TB, existing, what string, code []byte) {
	t.Helper()
	before := x.kept(t)
	ctx := harness.Within(t, 2*time.Minute)
	_, err := x.client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("never"), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Role: aws.String(harness.Role),
		Code: &types.FunctionCode{ZipFile: code},
	})
	if err == nil {
		t.Errorf("%s: the package was taken", what)
		if _, err := x.client.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String("never")}); err != nil {
			t.Error(err)
		}
		return
	}
	if code, message := harness.APIError(t, err); code != "InvalidParameterValueException" || message == "" {
		t.Errorf("%s: got %s: %s", what, code, message)
	}
	if _, err := x.client.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String(existing), ZipFile: code}); err == nil {
		t.Errorf("%s: the package was taken by an update", what)
	}
	if after := x.kept(t); after != before {
		t.Errorf("%s: the server kept something of it:\n%s\nbefore:\n%s", what, after, before)
	}
}

// unhurt checks that a function whose update was refused runs its old code.
func (x *trial) unhurt(t testing.TB, existing string) {
	t.Helper()
	if err := x.ping(existing); err != nil {
		t.Errorf("after refused updates: %v", err)
	}
}

// good is an entry that makes a package complete.
var good = harness.File{Name: "bootstrap", Text: "#!/bin/sh\n", Mode: 0o755}

func TestC01NamesThatLeadElsewhereAreRefused(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	door := filepath.Join(x.canaries.dir, "open")
	up := strings.Repeat("../", 30)
	for _, bad := range []string{
		"../x", "a/../../x", up + strings.TrimPrefix(x.canaries.marker(), "/"), up + strings.TrimPrefix(door, "/") + "/new", x.canaries.marker(), door + "/new",
		`C:\x`, `C:/x`, `..\..\x`, `a\b`, "a\x00b", ".", "..", "", "/", "//x", "a//b", "a/./../../x",
	} {
		if !strings.HasSuffix(bad, "/") { // a folder has no text
			x.refuses(t, name, fmt.Sprintf("an entry %q", bad), harness.Zip(t, good, harness.File{Name: bad, Text: "evil"}))
		}
		x.refuses(t, name, fmt.Sprintf("a raw entry %q", bad), assemble(stored("bootstrap", []byte("#!/bin/sh\n")), stored(bad, []byte("evil"))))
	}
	x.unhurt(t, name)
}

func TestC02NothingIsWrittenThroughALink(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	door := filepath.Join(x.canaries.dir, "open")
	up := strings.Repeat("../", 30)
	link := func(name, to string) harness.File {
		return harness.File{Name: name, Text: to, Mode: fs.ModeSymlink | 0o777}
	}
	evil := func(name string) harness.File { return harness.File{Name: name, Text: "evil"} }
	for what, entries := range map[string][]harness.File{
		"a link and a file below it":              {link("a", door), evil("a/new")},
		"a file and a link above it":              {evil("a/new"), link("a", door)},
		"a relative link and a file below it":     {link("a", up+strings.TrimPrefix(door, "/")), evil("a/new")},
		"a link and a file of its name":           {link("a", filepath.Join(door, "new")), evil("a")},
		"a link to the canary and a file":         {link("a", x.canaries.marker()), evil("a")},
		"a chain of links":                        {link("a", "b"), link("b", door), evil("a/new")},
		"a link to the parent and a file below":   {link("a", ".."), evil("a/new")},
		"a link that leads to the host's folders": {link("a", "/etc")},
		"a link up and out":                       {link("d/a", "../../etc")},
		"a circle":                                {link("a", "b"), link("b", "a")},
	} {
		x.refuses(t, name, what, harness.Zip(t, append([]harness.File{good}, entries...)...))
	}
	x.unhurt(t, name)
}

func TestC03ATarWithAHardLinkIsNoPackage(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{{Typeflag: tar.TypeLink, Name: "a", Linkname: x.canaries.marker(), Mode: 0o644}, {Typeflag: tar.TypeReg, Name: "b", Mode: 0o644}} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	x.refuses(t, name, "a tar", b.Bytes())
	x.unhurt(t, name)
}

func TestC04BombsAreCountedWhileTheyAreInflated(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	whole := zeros(10 << 30)
	if n := inflated(t, whole, 1<<30); n < 1<<30 {
		t.Fatalf("the bomb gave %d bytes: it is none", n)
	}
	x.ask(t, name, event{Do: "ping"})
	before := x.resident(t)
	peak := x.peak(t)
	part := zeros(64 << 20)
	var parts []member
	for i := range 160 {
		parts = append(parts, member{name: fmt.Sprint("part", i), method: zip.Deflate, data: part, size: 64 << 20})
	}
	for what, code := range map[string][]byte{
		"10 GB in one file":                     assemble(member{name: "a", method: zip.Deflate, data: whole, size: 1<<32 - 2}),
		"10 GB in one file that claims 10":      assemble(member{name: "a", method: zip.Deflate, data: whole, size: 10}),
		"10 GB in one file that claims nothing": assemble(member{name: "a", method: zip.Deflate, data: whole}),
		"10 GB in 160 files":                    assemble(parts...),
	} {
		x.refuses(t, name, fmt.Sprintf("%s, packed to %d KB", what, len(code)>>10), code)
	}
	// The packages themselves are in memory, a few times over, and nothing of what is
	// in them.
	if grown := peak() - before; grown > unzipped {
		t.Errorf("the server grew by %d MB", grown/mega)
	} else {
		t.Logf("the server grew by %d MB", grown/mega)
	}
	x.unhurt(t, name)
}

func TestC05EntriesThatShareTheirBytesAreRefused(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	bomb, out := fifield(t, 30, 20<<20)
	if out <= unzipped {
		t.Fatalf("the bomb gives %d bytes: it is none", out)
	}
	x.refuses(t, name, fmt.Sprintf("%d KB that give %d MB", len(bomb)>>10, out>>20), bomb)
	small, out := fifield(t, 3, 1000)
	x.refuses(t, name, fmt.Sprintf("a small one that gives %d bytes", out), small)
	x.unhurt(t, name)
}

func TestC07NoTwoEntriesOfOneNameAndNoTwoHeaders(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	twice := harness.Zip(t, good, harness.File{Name: "a", Text: "1"}, harness.File{Name: "a", Text: "2"})
	x.refuses(t, name, "a name twice", twice)
	x.refuses(t, name, "a name in two spellings", harness.Zip(t, good, harness.File{Name: "a", Text: "1"}, harness.File{Name: "./a", Text: "2"}))
	x.refuses(t, name, "a file and a folder", harness.Zip(t, good, harness.File{Name: "a", Text: "1"}, harness.File{Name: "a/b", Text: "2"}))
	x.refuses(t, name, "another name before the data", assemble(member{name: "good", localName: "evil", data: []byte("1"), size: 1}))
	x.refuses(t, name, "another size before the data", assemble(member{name: "good", localSize: 7, data: []byte("1"), size: 1}))
	x.unhurt(t, name)

	// Names that only some file systems take for one are two here, as on AWS.
	folded := x.name(t, "folded")
	files := map[string]string{"a.txt": "1", "A.txt": "2", "\u00e9.txt": "3", "e\u0301.txt": "4"}
	var more []harness.File
	var paths []string
	for n, text := range files {
		more = append(more, harness.File{Name: n, Text: text})
		paths = append(paths, "/var/task/"+n)
	}
	harness.Create(t, x.client, folded, "provided.al2023", "bootstrap", attackerZip(t, more...))
	r := x.ask(t, folded, event{Do: "show", Paths: paths})
	for n, text := range files {
		if got := r.Texts["/var/task/"+n]; got != text {
			t.Errorf("%q holds %q, want %q", n, got, text)
		}
	}
}

func TestC08OnlyFilesFoldersAndLinks(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	for what, mode := range map[string]fs.FileMode{
		"a pipe": fs.ModeNamedPipe | 0o644, "a block device": fs.ModeDevice | 0o644, "a character device": fs.ModeDevice | fs.ModeCharDevice | 0o644, "a socket": fs.ModeSocket | 0o644,
	} {
		x.refuses(t, name, what, harness.Zip(t, good, harness.File{Name: "node", Mode: mode}))
	}
	x.unhurt(t, name)

	// An owner that no user can be, and bits that lend rights.
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range []struct {
		name string
		mode fs.FileMode
		text []byte
	}{{"bootstrap", 0o755, kiln.GoProgram(t, "testdata/attacker")}, {"owned", 0o777 | fs.ModeSetuid | fs.ModeSticky, []byte("x")}} {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Extra: []byte{0x75, 0x78, 11, 0, 1, 4, 0xff, 0xff, 0xff, 0xff, 4, 0xff, 0xff, 0xff, 0xff}}
		h.SetMode(f.mode)
		e, err := w.CreateHeader(h)
		if err == nil {
			_, err = e.Write(f.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	owned := x.name(t, "owned")
	harness.Create(t, x.client, owned, "provided.al2023", "bootstrap", b.Bytes())
	if r := x.ask(t, owned, event{Do: "show", Paths: []string{"/var/task/owned"}}); r.Numbers["/var/task/owned"] != 0 || r.Texts["/var/task/owned"] != "x" {
		t.Errorf("the file is owned by %d and holds %q, want root's", r.Numbers["/var/task/owned"], r.Texts["/var/task/owned"])
	}
	found, err := filepath.Glob(filepath.Join(x.server.Data, "rootfs", "code*", "*", "owned"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	if st, err := os.Stat(found[0]); err != nil || st.Mode() != 0o755 {
		t.Errorf("on the host the file has mode %v, want 0755: %v", st.Mode(), err)
	}
}

func TestC09HandlersThatAreNoneFailAtOnce(t *testing.T) {
	x := common(t).trial(t)
	link := func(name, to string) harness.File {
		return harness.File{Name: name, Text: to, Mode: fs.ModeSymlink | 0o777}
	}
	python, node := needPython(t), needNode(t)
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		// A pipe at the place of the handler: who opens it waits for ever.
		name := x.name(t, "pipe")
		wrapper := harness.File{Name: "wrap", Text: "#!/bin/sh\n[ -p /tmp/app.py ] || mkfifo /tmp/app.py\necho there is a pipe\nexec \"$@\"\n", Mode: 0o755}
		harness.Create(t, x.client, name, python, "app.handler", harness.Zip(t, wrapper, link("app.py", "/tmp/app.py")), harness.Timeout(2),
			harness.Variables(map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"}))
		out := x.call(t, name, event{})
		kind, message := harness.FailureOf(t, name, out)
		if kind != "Runtime.ImportModuleError" && kind != "Runtime.HandlerNotFound" && kind != "Sandbox.Timedout" {
			t.Errorf("a pipe as handler: got %s: %s", kind, message)
		}
		if log := x.logOf(t, name); !strings.Contains(log, "there is a pipe") {
			t.Errorf("the pipe was not made:\n%s", log)
		}
	})
	app := harness.File{Name: "app.py", Text: "def handler(e, c): return 1\n"}
	index := harness.File{Name: "index.js", Text: "exports.handler = async () => 1;\n"}
	for i, c := range []struct {
		runtime, handler string
		files            []harness.File
		kinds            string
	}{
		{python, "../../x.y", []harness.File{app}, "Runtime.HandlerNotFound Runtime.ImportModuleError Runtime.MalformedHandlerName"},
		{python, "../../../../etc/passwd.handler", []harness.File{app}, "Runtime.HandlerNotFound Runtime.ImportModuleError Runtime.MalformedHandlerName"},
		{python, "dangling.handler", []harness.File{app, link("dangling.py", "/tmp/none.py")}, "Runtime.HandlerNotFound Runtime.ImportModuleError"},
		{node, "../../x.y", []harness.File{index}, "Runtime.HandlerNotFound Runtime.ImportModuleError Runtime.MalformedHandlerName"},
		{node, "dangling.handler", []harness.File{index, link("dangling.js", "/tmp/none.js")}, "Runtime.HandlerNotFound Runtime.ImportModuleError"},
		{"provided.al2023", "x", []harness.File{link("bootstrap", "/tmp/none")}, "Runtime.InvalidEntrypoint"},
		{"provided.al2023", "x", []harness.File{{Name: "bootstrap/x", Text: "x"}}, "Runtime.InvalidEntrypoint"},
		{"provided.al2023", "x", []harness.File{{Name: "bootstrap", Text: "no program", Mode: 0o755}}, "Runtime.InvalidEntrypoint"},
	} {
		name := x.name(t, fmt.Sprint(i))
		harness.Create(t, x.client, name, c.runtime, c.handler, harness.Zip(t, c.files...), harness.Timeout(5))
		began := time.Now()
		kind, message := harness.Failure(t, x.client, name, `{}`)
		if !strings.Contains(" "+c.kinds+" ", " "+kind+" ") || strings.Contains(message, "root:") {
			t.Errorf("%s %s: got %s: %s, want one of %s", c.runtime, c.handler, kind, message, c.kinds)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s %s: the answer took %v", c.runtime, c.handler, took)
		}
	}
}

// order is the byte order of zips.
var order = binary.LittleEndian
