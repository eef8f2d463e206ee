package sqlite_test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// tapeVFS is the name under which SQLite knows the way to the disk of this file: it
// notes what is written and synced, and fails what a test wants to fail.
const tapeVFS = "kiln-tape"

// tape is the record of one test. One test at a time uses it.
var tape struct {
	sync.Mutex
	files map[uintptr]string // open files by their handle
	ops   []op
	// fault gives the SQLite result of an operation that must fail, or 0.
	fault func(kind, file string) int32
}

// op is one change of a file.
type op struct {
	kind string // "write", "truncate", "sync", "delete" (and its directory synced), "unlink" (and not)
	file string // its base name
	at   int64  // offset of a write, size of a truncate
	data []byte
}

var (
	original sqlite3.Tsqlite3_vfs
	under    sqlite3.Tsqlite3_io_methods
	wrapped  = map[uintptr]uintptr{} // by what they stand for: SQLite has one set for each kind of file
	register sync.Once
)

// useTape empties the tape and makes it known to SQLite.
func useTape(t *testing.T) {
	t.Helper()
	register.Do(func() {
		tls := libc.NewTLS()
		if rc := sqlite3.Xsqlite3_initialize(tls); rc != 0 {
			t.Fatalf("initialize: %d", rc)
		}
		original = *at[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
		name, err := libc.CString(tapeVFS)
		if err != nil {
			t.Fatal(err)
		}
		ours := original
		ours.FzName, ours.FpNext = name, 0
		ours.FxOpen, ours.FxDelete = pointer(tapeOpen), pointer(tapeDelete)
		if rc := sqlite3.Xsqlite3_vfs_register(tls, outside(tls, ours), 0); rc != 0 {
			t.Fatalf("register: %d", rc)
		}
	})
	reset := func() {
		tape.Lock()
		defer tape.Unlock()
		tape.files, tape.ops, tape.fault = map[uintptr]string{}, nil, nil
	}
	reset()
	t.Cleanup(reset)
}

// failOn sets what must fail.
func failOn(fault func(kind, file string) int32) {
	tape.Lock()
	defer tape.Unlock()
	tape.fault = fault
}

// length gives the number of operations so far.
func length() int {
	tape.Lock()
	defer tape.Unlock()
	return len(tape.ops)
}

func note(kind string, file uintptr, offset int64, data []byte) int32 {
	tape.Lock()
	name := tape.files[file]
	tape.Unlock()
	return noteName(kind, name, offset, data)
}

func noteName(kind, name string, offset int64, data []byte) int32 {
	tape.Lock()
	defer tape.Unlock()
	if tape.fault != nil {
		if rc := tape.fault(kind, name); rc != 0 {
			return rc
		}
	}
	tape.ops = append(tape.ops, op{kind, name, offset, data})
	return 0
}

func tapeOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	rc := call(original.FxOpen, (func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32)(nil))(tls, vfs, name, file, flags, out)
	f := at[sqlite3.Tsqlite3_file](file)
	if rc != 0 || f.FpMethods == 0 {
		return rc
	}
	tape.Lock()
	defer tape.Unlock()
	methods := wrapped[f.FpMethods]
	if methods == 0 {
		under = *at[sqlite3.Tsqlite3_io_methods](f.FpMethods) // these three are the same in all sets
		ours := under
		ours.FxWrite, ours.FxTruncate, ours.FxSync = pointer(tapeWrite), pointer(tapeTruncate), pointer(tapeSync)
		methods = outside(tls, ours)
		wrapped[f.FpMethods] = methods
	}
	f.FpMethods = methods
	tape.files[file] = strings.Clone(filepath.Base(libc.GoString(name)))
	return rc
}

func tapeDelete(tls *libc.TLS, vfs, name uintptr, sync int32) int32 {
	kind := "unlink"
	if sync != 0 {
		kind = "delete"
	}
	if rc := noteName(kind, filepath.Base(libc.GoString(name)), 0, nil); rc != 0 {
		return rc
	}
	return call(original.FxDelete, tapeDelete)(tls, vfs, name, sync)
}

func tapeWrite(tls *libc.TLS, file, from uintptr, n int32, offset int64) int32 {
	data := append([]byte(nil), unsafe.Slice(at[byte](from), n)...)
	if rc := note("write", file, offset, data); rc != 0 {
		return rc
	}
	return call(under.FxWrite, tapeWrite)(tls, file, from, n, offset)
}

func tapeTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	if rc := note("truncate", file, size, nil); rc != 0 {
		return rc
	}
	return call(under.FxTruncate, tapeTruncate)(tls, file, size)
}

func tapeSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	if rc := note("sync", file, 0, nil); rc != 0 {
		return rc
	}
	return call(under.FxSync, tapeSync)(tls, file, flags)
}

// outside puts a value where SQLite may keep its address: out of Go's heap, for the
// rest of the process.
func outside[T any](tls *libc.TLS, value T) uintptr {
	address := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(value)))
	*at[T](address) = value
	return address
}

// at turns an address that SQLite gave into a pointer.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// pointer gives a Go function the form in which SQLite calls it.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// call gives a function of SQLite the form of a Go function like shape.
func call[F any](address uintptr, _ F) F {
	return *(*F)(unsafe.Pointer(&address))
}
