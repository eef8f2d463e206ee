package pack_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/internal/pack"
)

// folder writes files into a new folder; a text that starts with "->" is a link.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "fn")
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "->"); ok {
			if err := os.Symlink(target, p); err != nil {
				t.Fatal(err)
			}
			continue
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// entries gives the names in a zip with their modes, and their contents.
func entries(t *testing.T, z []byte) (names []string, contents map[string]string) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(z), int64(len(z)))
	if err != nil {
		t.Fatal(err)
	}
	contents = map[string]string{}
	for _, f := range r.File {
		names = append(names, f.Mode().String()+" "+f.Name)
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		contents[f.Name] = string(text)
	}
	return names, contents
}

func TestLookFindsLanguageAndHandler(t *testing.T) {
	tests := map[string]struct {
		files    map[string]string
		language pack.Language
		handler  string
	}{
		"AWS's own name for Python": {map[string]string{"lambda_function.py": "def lambda_handler(event, context): pass\n"}, pack.Python, "lambda_function.lambda_handler"},
		"handler.py":                {map[string]string{"handler.py": "import os\n\ndef handler (event, context):\n  pass\n"}, pack.Python, "handler.handler"},
		"an assigned handler":       {map[string]string{"app.py": "handler = Mangum(app)\n"}, pack.Python, "app.handler"},
		"not a comparison":          {map[string]string{"app.py": "handler == 1\n"}, pack.Python, ""},
		"the one file with a handler": {
			map[string]string{"orders.py": "def handler(e, c): pass\n", "helper.py": "x = 1\n"}, pack.Python, "orders.handler",
		},
		"two files with a handler":  {map[string]string{"a.py": "def handler(e, c): pass\n", "b.py": "def handler(e, c): pass\n"}, pack.Python, ""},
		"an indented one is none":   {map[string]string{"app.py": "class A:\n  def handler(self): pass\n"}, pack.Python, ""},
		"CommonJS":                  {map[string]string{"index.js": "exports.handler = async () => 1;\n"}, pack.Node, "index.handler"},
		"CommonJS as one object":    {map[string]string{"index.js": "const handler = () => 1;\nmodule.exports = { handler };\n"}, pack.Node, "index.handler"},
		"ES module with a constant": {map[string]string{"index.mjs": "export const handler = async (event) => event;\n"}, pack.Node, "index.handler"},
		"ES module with a function": {map[string]string{"app.mjs": "export async function handler(event) {}\n"}, pack.Node, "app.handler"},
		"ES module with a list":     {map[string]string{"index.mjs": "const handler = 1;\nexport { other, handler };\n"}, pack.Node, "index.handler"},
		"bootstrap before all":      {map[string]string{"bootstrap": "#!/bin/sh\n", "index.js": "exports.handler = 1"}, pack.Provided, "bootstrap"},
		"Go":                        {map[string]string{"go.mod": "module x\n", "main.go": "package main\n\nfunc main() {}\n"}, pack.Go, "bootstrap"},
		"Go in a folder of a module": {
			map[string]string{"main.go": "// Doc.\npackage main\n"}, pack.Go, "bootstrap",
		},
		"two languages": {map[string]string{"a.py": "", "b.js": ""}, "", ""},
		"nothing known": {map[string]string{"README": "hello"}, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := pack.Look(folder(t, tt.files))
			if err != nil {
				t.Fatal(err)
			}
			if s.Language != tt.language || s.Handler != tt.handler {
				t.Errorf("got %q %q, want %q %q", s.Language, s.Handler, tt.language, tt.handler)
			}
			if s.Language == pack.Go {
				return
			}
			z, err := s.Pack(t.Context(), pack.Options{})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "fn.zip")
			if err := os.WriteFile(path, z, 0o644); err != nil {
				t.Fatal(err)
			}
			again, err := pack.Look(path)
			if err != nil {
				t.Fatal(err)
			}
			if again.Kind != pack.Zip || again.Language != tt.language || again.Handler != tt.handler {
				t.Errorf("its zip: got %q %q, want %q %q", again.Language, again.Handler, tt.language, tt.handler)
			}
		})
	}
}

func TestLookRefusesWhatCannotBeAFunction(t *testing.T) {
	tests := map[string]struct{ name, text, want string }{
		"a program for macOS":   {"a", "\xcf\xfa\xed\xfe____", "GOOS=linux"},
		"a program for Windows": {"a.exe", "MZ______", "GOOS=linux"},
		"an empty file":         {"a", "", "is empty"},
		"some text":             {"a.txt", "hello", "neither a zip, nor a Linux program"},
		"a broken zip":          {"a.zip", "PK\x03\x04broken", "cannot be read as a zip"},
		"a broken program":      {"a", "\x7fELF____", "not a program that can be read"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.name)
			if err := os.WriteFile(path, []byte(tt.text), 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := pack.Look(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that says %q", err, tt.want)
			}
		})
	}
	t.Run("a library of Go without a program", func(t *testing.T) {
		dir := folder(t, map[string]string{"go.mod": "module x\n", "x.go": "package x\n", "cmd/fn/main.go": "package main\n"})
		_, err := pack.Look(dir)
		if err == nil || !strings.Contains(err.Error(), filepath.Join("cmd", "fn")) {
			t.Errorf("got %v, want an error that names cmd/fn", err)
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		if _, err := pack.Look(filepath.Join(t.TempDir(), "no")); !os.IsNotExist(err) {
			t.Errorf("got %v, want that it does not exist", err)
		}
	})
}

func TestAFolderIsPackedTheSameWhateverItsDates(t *testing.T) {
	files := map[string]string{
		"index.js": "exports.handler = 1", "lib/a.js": "a", "bin/run": "#!/bin/sh\n", "node_modules/.bin/x": "->../x/x.js", "node_modules/x/x.js": "x",
		".git/HEAD": "x", "lib/__pycache__/a.pyc": "x", "lib/b.pyc": "x", "node_modules/.cache/y": "x", "function.yaml": "memory: 128\n", "event.json": "{}", "docs/a.md": "x",
	}
	var packed [2][]byte
	for i := range packed {
		dir := folder(t, files)
		if i == 1 {
			old := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
			if err := os.Chtimes(filepath.Join(dir, "index.js"), old, old); err != nil {
				t.Fatal(err)
			}
		}
		s, err := pack.Look(dir)
		if err != nil {
			t.Fatal(err)
		}
		if packed[i], err = s.Pack(t.Context(), pack.Options{Exclude: []string{"event.json", "docs/"}}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(packed[0], packed[1]) {
		t.Error("two packages of the same files differ")
	}
	got, contents := entries(t, packed[0])
	want := []string{
		"-rwxr-xr-x bin/run", "-rw-r--r-- index.js", "-rw-r--r-- lib/a.js",
		"Lrwxrwxrwx node_modules/.bin/x", "-rw-r--r-- node_modules/x/x.js",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if contents["node_modules/.bin/x"] != "../x/x.js" || contents["lib/a.js"] != "a" {
		t.Errorf("contents are wrong: %q", contents)
	}
}

func TestALinkThatLeavesTheFolderIsRefused(t *testing.T) {
	for _, target := range []string{"/etc/passwd", "../../secret", "lib/../../x"} {
		s, err := pack.Look(folder(t, map[string]string{"index.js": "exports.handler = 1", "a": "->" + target}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Pack(t.Context(), pack.Options{}); err == nil || !strings.Contains(err.Error(), "outside the folder") {
			t.Errorf("%s: got %v, want a refusal", target, err)
		}
	}
}

func TestAnEmptyFolderHasNothingToPack(t *testing.T) {
	s, err := pack.Look(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pack(t.Context(), pack.Options{}); err == nil || !strings.Contains(err.Error(), "no files to pack") {
		t.Errorf("got %v", err)
	}
}

func TestAScriptBecomesTheBootstrap(t *testing.T) {
	path := filepath.Join(folder(t, map[string]string{"hello.sh": "#!/bin/sh\necho\n"}), "hello.sh")
	s, err := pack.Look(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := s.Pack(t.Context(), pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := entries(t, z); !slices.Equal(got, []string{"-rwxr-xr-x bootstrap"}) || s.Name() != "hello" {
		t.Errorf("got %q named %q", got, s.Name())
	}
}

func TestOneSourceFileIsAPackage(t *testing.T) {
	path := filepath.Join(folder(t, map[string]string{"greet.py": "def handler(e, c): pass\n"}), "greet.py")
	s, err := pack.Look(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := s.Pack(t.Context(), pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := entries(t, z); !slices.Equal(got, []string{"-rw-r--r-- greet.py"}) || s.Handler != "greet.handler" {
		t.Errorf("got %q with handler %q", got, s.Handler)
	}
}

func TestGoIsBuiltForTheArchitectureAskedFor(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go tool on the PATH")
	}
	dir := folder(t, map[string]string{"go.mod": "module x\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() {}\n"})
	s, err := pack.Look(dir)
	if err != nil {
		t.Fatal(err)
	}
	z, err := s.Pack(t.Context(), pack.Options{Architecture: "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := entries(t, z); !slices.Equal(got, []string{"-rwxr-xr-x bootstrap"}) {
		t.Errorf("got %q", got)
	}
	path := filepath.Join(t.TempDir(), "fn.zip")
	if err := os.WriteFile(path, z, 0o644); err != nil {
		t.Fatal(err)
	}
	built, err := pack.Look(path)
	if err != nil {
		t.Fatal(err)
	}
	if built.Architecture != "arm64" {
		t.Errorf("got architecture %q, want arm64", built.Architecture)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "bootstrap")); left != nil {
		t.Error("the build left a program in the user's folder")
	}
}

func TestABrokenGoProgramShowsTheCompilersWords(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go tool on the PATH")
	}
	s, err := pack.Look(folder(t, map[string]string{"go.mod": "module x\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() { nope() }\n"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pack(t.Context(), pack.Options{Architecture: "x86_64"}); err == nil || !strings.Contains(err.Error(), "undefined: nope") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Pack(ctx, pack.Options{Architecture: "x86_64"}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: got %v", err)
	}
}

func TestNamesComeFromThePath(t *testing.T) {
	for path, want := range map[string]string{
		"hello.zip": "hello", "my function": "my-function", "a.b.zip": "a-b", "-x-": "x", strings.Repeat("n", 80): strings.Repeat("n", 64),
	} {
		s := pack.Source{Path: path, Kind: pack.Zip}
		if !strings.HasSuffix(path, ".zip") {
			s.Kind = pack.Folder
		}
		if got := s.Name(); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

func TestStartersAreUnderstoodAndNeverOverwrite(t *testing.T) {
	languages := map[string]pack.Language{"go": pack.Go, "python": pack.Python, "node": pack.Node, "shell": pack.Provided, "ruby": pack.Ruby, "java": pack.Java, "dotnet": pack.Dotnet}
	for _, name := range pack.Starters() {
		dir := filepath.Join(t.TempDir(), "new", name)
		files, err := pack.WriteStarter(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(files, "event.json") || !slices.Contains(files, "README.md") {
			t.Errorf("%s: got %q", name, files)
		}
		s, err := pack.Look(dir)
		if err != nil {
			t.Fatal(err)
		}
		// Of Java and .NET function.yaml names the handler.
		if named := slices.Contains(files, "function.yaml"); s.Language != languages[name] || s.Handler == "" && !named {
			t.Errorf("%s: got %q %q", name, s.Language, s.Handler)
		}
		if err := os.Remove(filepath.Join(dir, files[0])); err != nil {
			t.Fatal(err)
		}
		if _, err := pack.WriteStarter(dir, name); err == nil || !strings.Contains(err.Error(), "nothing was written") {
			t.Errorf("%s: a second time got %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, files[0])); err == nil {
			t.Errorf("%s: a refused starter wrote %s", name, files[0])
		}
	}
	if _, err := pack.WriteStarter(t.TempDir(), "cobol"); err == nil || !strings.Contains(err.Error(), "go, python, node, ruby, java, dotnet, shell") {
		t.Errorf("got %v", err)
	}
	if runtime.GOOS != "windows" {
		dir := t.TempDir()
		if _, err := pack.WriteStarter(dir, "shell"); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dir, "bootstrap")); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("bootstrap is not executable: %v %v", info, err)
		}
	}
}
