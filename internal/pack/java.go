package pack

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// maxClasses bounds how many classes of a package are looked at.
const maxClasses = 20000

// javaSource is what a folder that has to be compiled is recognised by.
type javaSource string

// The ways to build Java, by the file that asks for each.
const (
	maven   javaSource = "pom.xml"
	gradle  javaSource = "build.gradle"
	gradleK javaSource = "build.gradle.kts"
	javac   javaSource = "*.java"
)

// javaSourceOf says how a folder of Java sources is built; "" is none.
func javaSourceOf(dir string) javaSource {
	for _, kind := range []javaSource{maven, gradle, gradleK} {
		if info, err := os.Stat(filepath.Join(dir, string(kind))); err == nil && !info.IsDir() {
			return kind
		}
	}
	for _, pattern := range []string{"*.java", "src/*.java", "src/main/java"} {
		if found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern))); err == nil && len(found) > 0 {
			return javac
		}
	}
	return ""
}

// javaFiles gives all sources of a folder but those of its tests.
func javaFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != dir && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"test", "target", "build", "node_modules"}, d.Name())) {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".java") && d.Type().IsRegular() {
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

var (
	javaPackage = regexp.MustCompile(`(?m)^[ \t]*package[ \t]+([\w.]+)[ \t]*;`)
	javaHandler = regexp.MustCompile(`\bclass[ \t]+(\w+)[^{;]*\bimplements\b[^{;]*\bRequest(?:Stream)?Handler\b`)
)

// handlerOfSources gives the one class of a folder's sources that AWS's interfaces make
// a handler; "" when there is none, or several.
func handlerOfSources(dir string) (string, error) {
	files, err := javaFiles(dir)
	if err != nil {
		return "", err
	}
	var found []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		for _, class := range javaHandler.FindAllSubmatch(text, -1) {
			full := string(class[1])
			if p := javaPackage.FindSubmatch(text); p != nil {
				full = string(p[1]) + "." + full
			}
			found = append(found, full)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return "", nil
}

// findJava recognises a package of Java: classes in folders, as a jar has them, or jars
// in lib. The handler is the one class that implements an interface of AWS's.
func findJava(fsys fs.FS) (Language, string, error) {
	handlers, classes, err := classesIn(fsys)
	if err != nil {
		return "", "", err
	}
	libraries, err := fs.Glob(fsys, "lib/*.jar")
	if err != nil {
		return "", "", err
	}
	if classes == 0 && len(libraries) == 0 {
		return "", "", nil
	}
	for _, name := range libraries {
		if len(handlers) > 0 {
			break // the package's own classes count before those of libraries
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return "", "", err
		}
		jar, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			continue // Java would pass over it, too
		}
		more, _, err := classesIn(jar)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", name, err)
		}
		handlers = append(handlers, more...)
	}
	if len(handlers) == 1 {
		return Java, handlers[0], nil
	}
	return Java, "", nil
}

// classesIn gives the handlers among the classes of a package, and how many classes
// there are.
func classesIn(fsys fs.FS) (handlers []string, classes int, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := path.Base(name); name != "." && (base == "META-INF" || base == "node_modules" || strings.HasPrefix(base, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".class") {
			return nil
		}
		if classes++; classes > maxClasses {
			return fs.SkipAll
		}
		f, err := fsys.Open(name)
		if err != nil {
			return err
		}
		class, ok := readClass(io.LimitReader(f, 1<<20))
		if ok && class.handles() {
			handlers = append(handlers, strings.ReplaceAll(class.name, "/", "."))
		}
		return f.Close()
	})
	return handlers, classes, err
}

// buildJava compiles a folder into dir.
func (s *Source) buildJava(ctx context.Context, dir string, o Options) error {
	kind := javaSourceOf(s.Path)
	if kind == javac {
		return s.compileJava(ctx, dir, o)
	}
	tool, arguments, where := "mvn", []string{"-q", "-B", "-DskipTests", "package"}, "https://maven.apache.org"
	wrapper := "mvnw"
	if kind != maven {
		tool, arguments, where, wrapper = "gradle", []string{"-q", "build", "-x", "test"}, "https://gradle.org", "gradlew"
	}
	if runtime.GOOS == "windows" {
		wrapper += ".bat"
	}
	program := filepath.Join(s.Path, wrapper)
	if _, err := os.Stat(program); err != nil {
		if program, err = exec.LookPath(tool); err != nil {
			if built, findErr := builtJava(s.Path, kind); findErr == nil {
				say(o, "%s is not on the PATH: %s goes as it is\n", tool, built)
				return unzipInto(built, dir)
			}
			return fmt.Errorf("%s is built by %s, which is not on the PATH: install it from %s, or name a built jar", s.Path, tool, where)
		}
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	if err := runTool(ctx, s.Path, o, program, arguments...); err != nil {
		return err
	}
	built, err := builtJava(s.Path, kind)
	if err != nil {
		return err
	}
	return unzipInto(built, dir)
}

// say tells the user something on the way.
func say(o Options, format string, values ...any) {
	if o.Talk != nil {
		fmt.Fprintf(o.Talk, format, values...)
	}
}

// builtJava gives what a build left: a zip made for Lambda before a jar, and of several
// jars the largest, which holds its dependencies.
func builtJava(dir string, kind javaSource) (string, error) {
	patterns, how := []string{"target/*.zip", "target/*.jar"}, "the maven-shade-plugin puts the dependencies of a jar into it"
	if kind != maven {
		patterns, how = []string{"build/distributions/*.zip", "build/libs/*.jar"}, "a task that makes a zip, or a jar with its dependencies, is described in AWS's guide"
	}
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			return "", err
		}
		found = slices.DeleteFunc(found, func(name string) bool {
			base := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
			aside := strings.HasPrefix(base, "original-")
			for _, ending := range []string{"-sources", "-javadoc", "-tests", "-plain"} {
				aside = aside || strings.HasSuffix(base, ending)
			}
			return aside || !holdsJava(name)
		})
		if len(found) > 0 {
			return slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(fileSize(a), fileSize(b)) }), nil
		}
	}
	return "", fmt.Errorf("%s: the build left neither a zip nor a jar of Java in %s; %s", dir, path.Dir(patterns[1]), how)
}

func fileSize(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}

// holdsJava reports whether an archive is a package as Lambda takes one.
func holdsJava(name string) bool {
	z, err := zip.OpenReader(name)
	if err != nil {
		return false
	}
	defer func() { _ = z.Close() }() // nothing was written
	language, _, err := findJava(z)
	return err == nil && language == Java
}

// compileJava compiles sources that ask for no build tool. Jars in lib are on the class
// path and in the package.
func (s *Source) compileJava(ctx context.Context, dir string, o Options) error {
	compiler, err := javaCompiler()
	if err != nil {
		return fmt.Errorf("%s holds Java sources and javac is not on the PATH: install a JDK, or name a built jar", s.Path)
	}
	files, err := javaFiles(s.Path)
	if err != nil {
		return err
	}
	for i := range files {
		if files[i], err = filepath.Rel(s.Path, files[i]); err != nil {
			return err
		}
	}
	libraries, err := filepath.Glob(filepath.Join(s.Path, "lib", "*.jar"))
	if err != nil {
		return err
	}
	arguments := []string{"-encoding", "UTF-8", "-parameters", "-proc:none", "-Xlint:-options", "-d", dir}
	if release := releaseFor(ctx, compiler, o.Runtime); release != "" {
		arguments = append(arguments, "--release", release)
	}
	if len(libraries) > 0 {
		arguments = append(arguments, "-cp", filepath.Join("lib", "*"))
	}
	if err := runTool(ctx, s.Path, o, compiler, append(arguments, files...)...); err != nil {
		return err
	}
	for _, library := range libraries {
		if err := os.MkdirAll(filepath.Join(dir, "lib"), 0o755); err != nil {
			return err
		}
		if err := copyFile(library, filepath.Join(dir, "lib", filepath.Base(library))); err != nil {
			return err
		}
	}
	return nil
}

// releaseFor gives the version of Java to compile for: that of the runtime, or the
// compiler's own where that is older. "" leaves it to the compiler.
func releaseFor(ctx context.Context, compiler, runtime string) string {
	version, ok := strings.CutPrefix(runtime, "java")
	version, _, _ = strings.Cut(version, ".")
	wanted, err := strconv.Atoi(version)
	if !ok || err != nil {
		return ""
	}
	said, err := exec.CommandContext(ctx, compiler, "-version").CombinedOutput()
	if err != nil {
		return version
	}
	own, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(said)), "javac "), ".")
	if major, err := strconv.Atoi(own); err == nil && major < wanted {
		return own
	}
	return version
}

// javaCompiler finds javac in JAVA_HOME, on the PATH or where Linux keeps its JDKs, the
// newest of those first.
func javaCompiler() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		if program, err := exec.LookPath(filepath.Join(home, "bin", "javac")); err == nil {
			return program, nil
		}
	}
	program, err := exec.LookPath("javac")
	if err == nil {
		return program, nil
	}
	found, globErr := filepath.Glob("/usr/lib/jvm/*/bin/javac")
	if globErr != nil || len(found) == 0 {
		return "", err
	}
	return found[len(found)-1], nil
}

// unzipInto unpacks an archive into a folder.
func unzipInto(archive, dir string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { _ = z.Close() }() // nothing was written
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // each file was closed with its error looked at
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		if err := unzipFile(root, f); err != nil {
			return fmt.Errorf("%s: %s: %w", archive, f.Name, err)
		}
	}
	return nil
}

func unzipFile(root *os.Root, f *zip.File) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // nothing was written
	if err := root.MkdirAll(path.Dir(f.Name), 0o755); err != nil {
		return err
	}
	out, err := root.OpenFile(f.Name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, MaxUnzippedSize+1))
	if err == nil && n > MaxUnzippedSize {
		err = errors.New("it is larger than a package may be")
	}
	return errors.Join(err, out.Close())
}
