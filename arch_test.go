package kiln_test

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms is the picture of the house: each package and the packages of the house
// that its code (not its tests) may import. A package that is not listed fails the
// test. docs/ARCHITECTURE.md draws the same picture; change both, with a decision
// record.
var rooms = map[string][]string{
	"": {},

	"telemetry":      {""},
	"telemetry/logs": {"", "telemetry"},
	"telemetry/tap":  {"", "telemetry"},

	"back/blobdir":    {""},
	"back/s3code":     {""},
	"back/sealed":     {"", "engine/catalog"},
	"back/source/sqs": {"", "engine/mapping"},
	"back/sqlite":     {"", "engine/catalog", "engine/async", "engine/queues"},

	"box/sandbox":             {},
	"box/sandbox/sandboxtest": {"box/sandbox"},
	"box/sandbox/linux":       {"box/sandbox", "box/sandbox/network"},
	"box/sandbox/process":     {"box/sandbox"},
	"box/sandbox/network":     {},
	"box/sandbox/uplink":      {},
	"box/rapi":                {""},
	"box/environment":         {"", "telemetry", "telemetry/tap", "box/rapi", "box/sandbox"},
	"box/runtimes":            {"", "box/runtimes/debian", "box/runtimes/gorpc"},
	"box/runtimes/gorpc":      {},
	"box/runtimes/debian":     {""},
	"box/rootfs":              {""},
	"box/image":               {""},

	"engine/catalog":           {""},
	"engine/catalog/storetest": {"", "engine/catalog"},
	"engine/dispatch":          {""},
	"engine/async":             {""},
	"engine/async/queuetest":   {"", "engine/async"},
	"engine/mapping":           {"", "internal/pattern"},
	"engine/queues":            {""},
	"engine/worker":            {"", "telemetry", "box/sandbox", "box/environment"},

	"door/lambda":           {},
	"door/auth":             {"", "door/auth/policy"},
	"door/auth/policy":      {},
	"door/auth/accounts":    {"", "door/auth", "door/auth/policy"},
	"door/services/query":   {"door/auth"},
	"door/services/iam":     {"", "door/auth", "door/auth/accounts", "door/auth/policy", "door/services/query"},
	"door/services/awsjson": {"door/auth"},
	"door/services/logs":    {"", "door/auth", "door/services/awsjson"},
	"door/services/sqs":     {"", "door/auth", "door/auth/policy", "door/services/awsjson", "door/services/query"},
	"door/services/sts":     {"", "door/auth", "door/auth/accounts", "door/auth/policy", "door/services/query"},
	"door/api":              {"", "telemetry", "door/lambda", "door/auth", "door/auth/accounts", "door/auth/policy"},
	"door/console":          {"", "door/auth"},
	"door/url":              {""},

	"client":           {},
	"internal/gen":     {},
	"internal/pack":    {},
	"internal/pattern": {},
	"internal/watch":   {},

	"cmd/kiln": {
		"", "telemetry", "telemetry/logs", "client", "internal/pack", "internal/watch", "back/sqlite", "back/sealed", "back/blobdir", "back/s3code", "back/source/sqs",
		"box/sandbox", "box/sandbox/linux", "box/sandbox/network", "box/sandbox/uplink", "box/sandbox/process", "box/environment", "box/runtimes", "box/runtimes/gorpc", "box/rootfs", "box/image",
		"engine/async", "engine/catalog", "engine/dispatch", "engine/mapping", "engine/queues", "engine/worker", "door/api", "door/auth", "door/auth/accounts", "door/auth/policy", "door/services/iam", "door/services/logs", "door/services/sqs", "door/services/sts", "door/console", "door/url",
	},
	"bench": {"", "client", "telemetry", "box/sandbox", "box/sandbox/linux", "box/sandbox/network", "box/environment", "box/runtimes", "box/rootfs"},
}

// modules says which rooms may import a module that is not of the standard
// library. docs/DEPENDENCIES.md gives the reason for each.
var modules = map[string][]string{
	"golang.org/x/sys":                       {"box/sandbox/linux", "box/sandbox/process", "box/sandbox/sandboxtest", "box/sandbox/network", "box/sandbox/uplink"},
	"github.com/google/go-containerregistry": {"box/image"},
	"github.com/klauspost/compress":          {"box/image", "box/rootfs", "box/runtimes/debian"},
	"github.com/ProtonMail/go-crypto":        {"box/runtimes/debian"},
	"github.com/ulikunitz/xz":                {"box/runtimes/debian"},
	"modernc.org/sqlite":                     {"back/sqlite"},
	"github.com/aws/aws-sdk-go-v2":           {"back/s3code", "back/source/sqs"},
	"github.com/aws/smithy-go":               {"back/s3code", "back/source/sqs"},
	"github.com/spf13/cobra":                 {"cmd/kiln"},
	"github.com/spf13/pflag":                 {"cmd/kiln"},
	"github.com/goccy/go-yaml":               {"cmd/kiln"},
	"github.com/fsnotify/fsnotify":           {"internal/watch"},
}

// kernelRooms may use package syscall. Everybody else reaches the kernel through
// package os or a sandbox.
var kernelRooms = []string{"box/image", "box/sandbox/network", "box/sandbox/uplink", "box/runtimes", "box/runtimes/gorpc", "box/sandbox", "box/sandbox/linux", "box/sandbox/process", "box/sandbox/sandboxtest", "box/environment", "box/rootfs", "back/sqlite", "back/blobdir", "cmd/kiln", "bench"}

// pure files decide and never act: no clock, no goroutine, no lock.
var pure = []string{"box/environment/machine.go", "engine/dispatch/place.go", "engine/worker/scale.go", "engine/async/retry.go", "engine/dispatch/lineage.go", "engine/queues/order.go", "engine/mapping/batch.go", "engine/mapping/outcome.go", "engine/mapping/state.go"}

// outside are folders with modules or programs of their own, which are not part of
// the house.
var outside = []string{"examples", "test", "docs", "node_modules", ".git", "bin", ".cache"}

func TestEveryImportIsAnArrowOfThePicture(t *testing.T) {
	for _, f := range houseFiles(t) {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		allowed, known := rooms[f.room]
		if !known {
			t.Errorf("%s: package %q is not in the picture; add it to rooms and to docs/ARCHITECTURE.md", f.path, f.room)
			continue
		}
		for _, imp := range f.imports() {
			if imp == "kiln" || strings.HasPrefix(imp, "kiln/") {
				to := strings.TrimPrefix(strings.TrimPrefix(imp, "kiln"), "/")
				if !slices.Contains(allowed, to) {
					t.Errorf("%s imports %s: no such arrow", f.path, imp)
				}
				continue
			}
			if imp == "syscall" && !slices.Contains(kernelRooms, f.room) {
				t.Errorf("%s imports syscall: raw system calls live in box/sandbox", f.path)
			}
			if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") {
				if !moduleAllowed(imp, f.room) {
					t.Errorf("%s imports %s: not listed in modules for %q", f.path, imp, f.room)
				}
			}
		}
	}
}

func TestNoRoomOfThePictureIsMissing(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range houseFiles(t) {
		seen[f.room] = true
	}
	for room := range rooms {
		if !seen[room] {
			t.Errorf("the picture has a room %q that does not exist", room)
		}
	}
}

func TestNoResponseWriterBelowADoor(t *testing.T) {
	for _, f := range houseFiles(t) {
		floor, _, _ := strings.Cut(f.room, "/")
		if strings.HasSuffix(f.path, "_test.go") || !slices.Contains([]string{"engine", "box", "back", "telemetry", ""}, floor) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "ResponseWriter" {
				t.Errorf("%s uses ResponseWriter: HTTP ends at the door", f.position(sel))
			}
			return true
		})
	}
}

func TestPureFilesHaveNoClockNoGoroutineNoLock(t *testing.T) {
	found := 0
	for _, f := range houseFiles(t) {
		if !slices.Contains(pure, f.path) {
			continue
		}
		found++
		for _, imp := range f.imports() {
			if imp == "sync" || imp == "sync/atomic" || imp == "math/rand" || imp == "math/rand/v2" {
				t.Errorf("%s imports %s: it must only decide", f.path, imp)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", f.position(n))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Sleep", "After", "NewTimer"}, n.Sel.Name) {
					t.Errorf("%s reads the clock", f.position(n))
				}
			}
			return true
		})
	}
	if found != len(pure) {
		t.Errorf("found %d of %d pure files", found, len(pure))
	}
}

func TestNoFileIsLongerThan600Lines(t *testing.T) {
	for _, f := range houseFiles(t) {
		if f.lines > 600 && !strings.HasSuffix(f.path, ".gen.go") {
			t.Errorf("%s has %d lines: two thoughts live in it", f.path, f.lines)
		}
	}
}

func TestEveryRoomSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range houseFiles(t) {
		if f.ast.Doc != nil && !strings.HasSuffix(f.path, "_test.go") {
			documented[f.room] = true
		}
	}
	for room := range rooms {
		if !documented[room] {
			t.Errorf("package %q has no package comment", room)
		}
	}
}

func TestEveryModuleHasItsReason(t *testing.T) {
	text, err := os.ReadFile("docs/DEPENDENCIES.md")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.Open("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	defer mod.Close()
	for s := bufio.NewScanner(mod); s.Scan(); {
		line := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(s.Text()), "require "))
		name, _, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(line, "// indirect") || !strings.Contains(name, ".") || !strings.Contains(name, "/") {
			continue
		}
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/DEPENDENCIES.md does not name %s", name)
		}
	}
}

func moduleAllowed(imp, room string) bool {
	for module, in := range modules {
		if (imp == module || strings.HasPrefix(imp, module+"/")) && slices.Contains(in, room) {
			return true
		}
	}
	return false
}

// houseFile is one Go file of the house.
type houseFile struct {
	path, room string
	lines      int
	ast        *ast.File
	fset       *token.FileSet
}

func (f *houseFile) imports() []string {
	var out []string
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		out = append(out, p)
	}
	return out
}

func (f *houseFile) position(n ast.Node) string { return f.fset.Position(n.Pos()).String() }

// houseFiles parses every Go file of the main module.
func houseFiles(t *testing.T) []houseFile {
	t.Helper()
	var files []houseFile
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != "." && (slices.Contains(outside, p) || d.Name() == "testdata" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		room := path.Dir(filepath.ToSlash(p))
		if room == "." {
			room = ""
		}
		files = append(files, houseFile{filepath.ToSlash(p), room, strings.Count(string(text), "\n"), parsed, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
