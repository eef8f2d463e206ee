package runtimes_test

import (
	"archive/zip"
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

var writeJar = flag.Bool("write-jar", false, "write the committed jar of the Java bootstrap from its sources")

// jarJava is the major version of the compiler that the committed jar is made with:
// other versions give other bytes of the same meaning.
const jarJava = "17"

const jarFile = "java/lib/kiln.jar"

// compilerOf gives a Java compiler of this machine of a major version.
func compilerOf(t testing.TB, major string) string {
	t.Helper()
	matches, err := filepath.Glob("/usr/lib/jvm/*/bin/javac")
	if err != nil {
		t.Fatal(err)
	}
	for _, javac := range matches {
		out, err := exec.Command(javac, "-version").CombinedOutput()
		if err == nil && strings.HasPrefix(string(out), "javac "+major+".") {
			return javac
		}
	}
	t.Skipf("needs a compiler: this machine has no JDK %s below /usr/lib/jvm", major)
	return ""
}

// compile compiles Java sources for Java 8 into a new directory.
func compile(t testing.TB, javac, classPath string, sources ...string) string {
	t.Helper()
	dir := t.TempDir()
	arguments := append([]string{"--release", "8", "-Xlint:-options", "-g:source,lines", "-proc:none", "-encoding", "UTF-8", "-cp", classPath, "-d", dir}, sources...)
	if out, err := exec.Command(javac, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// pack makes a jar of a directory: in order, without compression, without the time.
func pack(t testing.TB, dir, manifest string) []byte {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(names)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	add := func(name string, text []byte) {
		file, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err == nil {
			_, err = file.Write(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if manifest != "" {
		add("META-INF/MANIFEST.MF", []byte(manifest))
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		add(filepath.ToSlash(strings.TrimPrefix(name, dir+"/")), text)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestTheCommittedJarIsWhatItsSourcesCompileTo(t *testing.T) {
	javac := compilerOf(t, jarJava)
	var sources []string
	err := filepath.WalkDir("java/src", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".java") {
			sources = append(sources, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got := pack(t, compile(t, javac, "", sources...), "Manifest-Version: 1.0\r\nMain-Class: kiln.lambda.Main\r\nAdd-Opens: java.base/java.io java.base/java.util\r\n\r\n")
	if *writeJar {
		if err := os.WriteFile(jarFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(jarFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what its sources compile to: got %d bytes, want %d; write it with go test -run Jar -write-jar", jarFile, len(got), len(want))
	}
}
