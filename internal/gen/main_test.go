package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// house are the folders of the project as seen from here.
const modelDir, serverDir, clientDir = "../../model", "../../door/lambda", "../../client"

func TestGeneratedFilesAreWhatTheModelGivesToday(t *testing.T) {
	server, client := t.TempDir(), t.TempDir()
	if err := run(modelDir, server, client); err != nil {
		t.Fatal(err)
	}
	for committed, fresh := range map[string]string{serverDir: server, clientDir: client} {
		have, want := generated(t, committed), generated(t, fresh)
		for name, text := range want {
			if !bytes.Equal(have[name], text) {
				t.Errorf("%s differs from what the model gives; run make generate", filepath.Join(committed, name))
			}
		}
		for name := range have {
			if want[name] == nil {
				t.Errorf("%s is no longer generated; run make generate", filepath.Join(committed, name))
			}
		}
	}
}

func TestStaleGeneratedFilesAreRemovedAndOthersKept(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"old.gen.go", "hand.go"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("package x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(dir, map[string][]byte{"new.gen.go": []byte("package x\n")}); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if got, want := strings.Join(left, " "), "hand.go new.gen.go"; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
}

// generated reads the generated files of a folder.
func generated(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.gen.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no generated files in %s: %v", dir, err)
	}
	out := map[string][]byte{}
	for _, p := range paths {
		if out[filepath.Base(p)], err = os.ReadFile(p); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// changed loads the model after a change to one of its files.
func changed(t *testing.T, name, old, new string) error {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(modelDir)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%s has no %s", name, old)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte(old), []byte(new), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	return run(dir, t.TempDir(), t.TempDir())
}

func TestWhatTheGeneratorDoesNotUnderstandStopsIt(t *testing.T) {
	const modelFile = "lambda-2015-03-31.json"
	for _, c := range []struct{ name, file, old, new, want string }{
		{"a pattern that looks ahead and has no predicate", modelFile,
			`"pattern": "([a-zA-Z0-9-_]+)"`, `"pattern": "(?!x)y"`, "no predicate"},
		{"a pattern that changed under its predicate", modelFile,
			`"(?!^[0-9]+$)([a-zA-Z0-9-_]+)"`, `"(?!^[0-9]+$)([a-z]+)"`, "the predicate is for pattern"},
		{"a type nobody knows", modelFile, `"type": "double"`, `"type": "bigdecimal"`, "not known"},
		{"an operation that the list lacks", "operations.tsv", "CreateAlias\t", "CreateAlia\t", "not in the model"},
		{"another status than the list has", "operations.tsv", "aliases\t201", "aliases\t200", "but the model has"},
		{"a supplement that the model has caught up with", "supplement.json", `"XAmznTraceId"`, `"TenantId"`, "by now"},
		{"a setting that nothing reads", "overrides.json", `"special"`, `"specials"`, "unknown field"},
		{"an override of a shape that is gone", "overrides.json", `"InvokeMode"`, `"InvokeModes"`, "no shape"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := changed(t, c.file, c.old, c.new)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestRoutesRefuseWhatMatchingCannotTellApart(t *testing.T) {
	add := func(root *node, name, method, uri string) error {
		op := &operation{Name: name}
		op.HTTP.Method, op.HTTP.URI = method, uri
		return root.add(op)
	}
	for _, c := range []struct{ name, first, second, want string }{
		{"a label beside a literal", "/a/b", "/a/{x}", "beside a literal"},
		{"a literal beside a label", "/a/{x}", "/a/b", "beside a label"},
		{"twice the same", "/a/{x}", "/a/{y}", "share one route"},
		{"a greedy label", "/a", "/{x+}", "greedy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := &node{literal: map[string]*node{}}
			if err := add(root, "A", "GET", c.first); err != nil {
				t.Fatal(err)
			}
			if err := add(root, "B", "GET", c.second); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	root := &node{literal: map[string]*node{}}
	if err := add(root, "A", "GET", "/a?x=1"); err != nil {
		t.Fatal(err)
	}
	if err := add(root, "B", "GET", "/a"); err != nil {
		t.Errorf("a constant query should tell two operations apart: %v", err)
	}
}

func TestJavaPatternsMeanTheSameInGo(t *testing.T) {
	for _, c := range []struct{ java, want string }{
		{`.*`, `[^\n\r\x{85}\x{2028}\x{2029}]*`},
		{`[^.]x`, `[^.]x`},
		{`a\.b`, `a\.b`},
		{`[^\s]+`, `[^\s\v]+`},
		{`[\s\S]*`, `[\s\v\S]*`},
		{`[\]].`, `[\]][^\n\r\x{85}\x{2028}\x{2029}]`},
	} {
		if got := goPattern(c.java); got != c.want {
			t.Errorf("%s became %s, want %s", c.java, got, c.want)
		}
	}
}

func TestEnumValuesBecomeGoNames(t *testing.T) {
	for value, want := range map[string]string{
		"TRIM_HORIZON": "TrimHorizon", "nodejs4.3-edge": "Nodejs43Edge", "RequestResponse": "RequestResponse",
		"x86_64": "X8664", "ALL": "All", "FunctionError.InitTimeout": "FunctionErrorInitTimeout", "provided.al2023": "ProvidedAl2023",
	} {
		if got := enumName(value); got != want {
			t.Errorf("%s became %s, want %s", value, got, want)
		}
	}
}
