package e2e_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// fixture is the function of the matrix in one language, and how the language
// answers and logs what goes wrong.
type fixture struct {
	handler string
	code    func(m *trial) []byte
	// uncaught is the answer to an error of the function; nil is the recorded one.
	uncaught map[string]any
	// messagePrefix is left out where messages are compared.
	messagePrefix string
	errorLog      string
	aside         string   // the answer after an error that no caller waits for
	lines         []string // of the log, in text
	// The log in JSON: the message of a warning, its level, and the version of the
	// language from which on AWS's runtime writes objects. "" is no logger.
	warned, warnLevel, objectsSince string
	broken                          map[string]broken
}

// broken is a package that cannot be loaded, and its error.
type broken struct {
	handler       string
	files         []file
	kind, message string
}

// fixtures by family.
var fixtures = map[string]*fixture{
	"python": {
		handler: "handler.handler", code: folderOf("python"),
		errorLog: "[ERROR] Exception: Failed: some_error_msg",
		aside:    `"went on"`,
		warned:   "a warning\nof two lines", warnLevel: "WARNING", objectsSince: "3.8",
		lines: []string{"[WARNING]\t", "\ta warning\nof two lines"},
		broken: map[string]broken{
			"syntax": {files: []file{{Name: "handler.py", Text: "def handler(event, context)\n    return 1\n"}}, kind: "Runtime.UserCodeSyntaxError", message: "Syntax error in module 'handler'"},
			"import": {files: []file{{Name: "handler.py", Text: "import nowhere_at_all\n"}}, kind: "Runtime.ImportModuleError", message: "Unable to import module 'handler'"},
		},
	},
	"nodejs": {
		handler: "index.handler", code: folderOf("nodejs"),
		// The recorded message repeats the class; those of the versions differ in that.
		messagePrefix: "Error: ",
		errorLog:      "\tERROR\tInvoke Error \t{\"errorType\":\"Error\"",
		aside:         `"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"RangeError: nobody waits for this"`,
		warned:        "a warning\nof two lines", warnLevel: "WARN", objectsSince: "16",
		lines: []string{"\tDEBUG\ta debug line\n", "\tINFO\tan info line\n", "\tWARN\ta warning\nof two lines\n"},
		broken: map[string]broken{
			"syntax": {files: []file{{Name: "index.js", Text: "exports.handler = async ( => {};\n"}}, kind: "Runtime.UserCodeSyntaxError", message: "SyntaxError: "},
			"import": {files: []file{{Name: "index.js", Text: "require('nowhere-at-all');\n"}}, kind: "Runtime.ImportModuleError", message: "Error: Cannot find module 'nowhere-at-all'"},
		},
	},
	"ruby": {
		handler: "function.handler", code: folderOf("ruby"),
		errorLog: "Error raised from handler method",
		aside:    `"went on"`,
		warned:   "a warning\nof two lines", warnLevel: "WARN", objectsSince: "4.0",
		lines: []string{" DEBUG ", "-- : a debug line\n", "  INFO ", "-- : an info line\n", "  WARN ", "-- : a warning\nof two lines\n"},
		broken: map[string]broken{
			"syntax": {files: []file{{Name: "function.rb", Text: "def handler(\n"}}, kind: "Init<SyntaxError>", message: "function.rb:"},
			"import": {files: []file{{Name: "function.rb", Text: "require 'nowhere_at_all'\n"}}, kind: "Init<LoadError>", message: "cannot load such file -- nowhere_at_all"},
		},
	},
	"java": {
		handler: "echo.Handler", code: javaEcho,
		errorLog: "Error: some_error_msg: java.lang.RuntimeException",
		aside:    `"went on"`,
		warned:   "a warning\nof two lines", warnLevel: "WARN", objectsSince: "8",
		lines: []string{"[DEBUG] a debug line\n", "[INFO] an info line\n", "[WARN] a warning\nof two lines\n"},
		broken: map[string]broken{
			"syntax": {files: []file{{Name: "echo/Handler.class", Text: "no class"}}, kind: "java.lang.ClassFormatError", message: ""},
			"import": {files: []file{{Name: "other.txt", Text: "no class"}}, kind: "java.lang.ClassNotFoundException", message: "Class not found: echo.Handler"},
		},
	},
	"dotnet":   dotnetFixture,
	"provided": goFixture("bootstrap", "Runtime.InvalidEntrypoint", "", ""),
	"go":       goFixture("matrix", "PathError", "fork/exec /var/task/matrix: exec format error", "fork/exec /var/task/matrix: no such file or directory"),
}

// goFixture is the Go function under the name that the runtime starts, with the errors
// of a program that cannot be started.
func goFixture(program, kind, syntax, absent string) *fixture {
	return &fixture{
		handler: program,
		code: func(m *trial) []byte {
			return zipOf(m, file{Name: program, Text: string(built.GoProgram(m, filepath.Join("testdata", "matrix", "go"))), Mode: 0o755})
		},
		uncaught: map[string]any{"errorMessage": "Error: some_error_msg", "errorType": "errorString"},
		aside:    `"errorType":"Runtime.ExitError"`,
		broken: map[string]broken{
			"syntax": {files: []file{{Name: program, Text: "no program", Mode: 0o755}}, kind: kind, message: syntax},
			"import": {files: []file{{Name: "other.txt", Text: "no program"}}, kind: kind, message: absent},
		},
	}
}

// folderOf packs a folder of the matrix's testdata.
func folderOf(language string) func(*trial) []byte {
	return func(m *trial) []byte { return zipDir(m, filepath.Join("testdata", "matrix", language)) }
}

var echo struct {
	sync.Once
	code []byte
	err  error
	said []byte
}

// javaEcho compiles the Java function once, for Java 8.
func javaEcho(m *trial) []byte {
	m.Helper()
	echo.Do(func() {
		dir := filepath.Join(built.Work, "matrix-java")
		_, javac := javas(m)
		echo.said, echo.err = exec.Command(javac, "--release", "8", "-Xlint:-options", "-encoding", "UTF-8",
			"-cp", "../../box/runtimes/java/lib/kiln.jar", "-d", dir, "testdata/matrix/java/echo/Handler.java").CombinedOutput()
		if echo.err == nil {
			echo.code = zipDir(m, dir)
		}
	})
	if echo.err != nil {
		m.Fatalf("%v\n%s", echo.err, echo.said)
	}
	return echo.code
}

// withFile gives a package with one more file.
func withFile(t testing.TB, code []byte, more file) []byte {
	t.Helper()
	in, err := zip.NewReader(bytes.NewReader(code), int64(len(code)))
	if err != nil {
		t.Fatal(err)
	}
	files := []file{more}
	for _, f := range in.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{Name: f.Name, Text: string(text), Mode: f.Mode()})
	}
	return zipOf(t, files...)
}
