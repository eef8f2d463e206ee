package logs

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"kiln"
	"kiln/telemetry"
)

// mostOpen is how many files are held open for writing.
const mostOpen = 64

// files are the log files of a directory and the buffers before them. Only the
// writer uses it.
type files struct {
	root    *os.Root
	limit   int64
	rotated int
	log     *slog.Logger
	groups  map[groupKey]*file
	dirty   []*file
	open    int
	turn    uint64
}

// groupKey names a group.
type groupKey struct {
	kiln.Scope
	group string
}

// file is one group: the file that grows, and its rotated predecessors by name.
type file struct {
	key      groupKey
	name     string // without suffix
	handle   *os.File
	size     int64
	written  time.Time
	used     uint64 // turn of the last write
	torn     bool   // the last write may have ended inside a line
	lost     int64  // records that could not be written
	buffer   []byte
	buffered int64
	numbers  map[*telemetry.Source]int
	number   int64     // of the last file that was begun
	begun    time.Time // when that was
	old      []int64   // sizes of the rotated files, the newest first
	about    about
	unsaved  bool                         // about is not in its file
	clients  map[string]*telemetry.Source // of the streams that clients put records into
}

// openFiles reads which groups there are. Files beyond the number of rotated ones
// are removed.
func openFiles(root *os.Root, limit int64, rotated int, log *slog.Logger) (*files, error) {
	fs := &files{root: root, limit: limit, rotated: max(0, rotated), log: log, groups: map[groupKey]*file{}}
	dir, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("opening the log directory: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close() // it was only read
	if err != nil {
		return nil, fmt.Errorf("listing the log directory: %w", err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, aboutSuffix) {
			fs.adoptAbout(n)
			continue
		}
		name, age, ok := parseName(n)
		switch {
		case !ok:
			continue
		case age > fs.rotated:
			if err := root.Remove(n); err != nil {
				return nil, fmt.Errorf("removing an old log file: %w", err)
			}
		default:
			fs.adopt(n, name)
		}
	}
	return fs, nil
}

// adopt adds the group that a file says it is of. A file that does not say it was
// torn before its first line was whole; it holds nothing.
func (fs *files) adopt(filename, name string) {
	h, err := fs.head(filename)
	if err != nil {
		fs.log.Warn("a log file names no group", "file", filename, "error", err)
		return
	}
	key := groupKey{kiln.Scope{Account: h.Account, Region: h.Region}, h.Group}
	if nameOf(key) != name {
		fs.log.Warn("a log file has another group's name", "file", filename, "group", h.Group)
		return
	}
	if f := fs.groups[key]; f == nil || f.number == 0 {
		fs.look(fs.group(key))
	}
}

// group gives a group, which is made when there is none.
func (fs *files) group(key groupKey) *file {
	f := fs.groups[key]
	if f == nil {
		f = &file{key: key, name: nameOf(key), old: make([]int64, fs.rotated)}
		fs.groups[key] = f
	}
	return f
}

// look finds out what files a group has.
func (fs *files) look(f *file) {
	f.number, f.old = base, make([]int64, fs.rotated)
	for age := range fs.rotated + 1 {
		info, err := fs.root.Stat(f.file(age))
		if err != nil {
			continue
		}
		if age == 0 {
			f.size = info.Size()
		} else {
			f.old[age-1] = info.Size()
		}
		if info.ModTime().After(f.written) {
			f.written = info.ModTime()
		}
		h, err := fs.head(f.file(age))
		if err != nil {
			continue // it holds nothing
		}
		f.number = max(f.number, h.Number)
		begun := info.ModTime()
		if h.At != 0 {
			begun = time.UnixMilli(h.At)
		}
		if age == 0 {
			f.begun = begun
		}
		if f.about.Created.IsZero() {
			f.about.Created = begun // the oldest file's is read last
		}
	}
}

// head finds the first whole head line of a file.
func (fs *files) head(filename string) (head, error) {
	var h head
	f, err := fs.root.Open(filename)
	if err != nil {
		return h, err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 64<<10))
	for n := 0; n < 3 && lines.Scan(); n++ {
		if bytes.HasPrefix(lines.Bytes(), []byte(`{"head":`)) && json.Unmarshal(lines.Bytes(), &h) == nil {
			if h.Head != format {
				return h, fmt.Errorf("format %d is unknown", h.Head)
			}
			return h, nil
		}
	}
	return h, errors.New("no head")
}

// add puts a record into the buffer of its group's file.
func (fs *files) add(r *Record, source *telemetry.Source) {
	key := groupKey{source.Function.Scope, source.Group}
	f := fs.groups[key]
	if f == nil {
		f = fs.group(key)
		f.about.Created, f.unsaved = time.Now(), true
	}
	if len(f.buffer) == 0 {
		fs.dirty = append(fs.dirty, f)
		if f.size == 0 {
			f.begin()
		}
	}
	f.append(r, source)
	if f.size+int64(len(f.buffer)) >= fs.limit {
		fs.write(f)
		fs.rotate(f)
	}
}

// begin writes the head of a new file.
func (f *file) begin() {
	f.number, f.begun = max(f.number, base)+1, time.Now()
	f.buffer = appendJSON(f.buffer, head{format, f.key.Account, f.key.Region, f.key.group, f.number, f.begun.UnixMilli()})
	f.numbers = nil
}

// append adds a record and, before the first of its source, the source.
func (f *file) append(r *Record, s *telemetry.Source) {
	number, known := f.numbers[s]
	if !known {
		if f.numbers == nil {
			f.numbers = map[*telemetry.Source]int{}
		}
		number = len(f.numbers) + 1
		f.numbers[s] = number
		f.buffer = appendJSON(f.buffer, source{number, s.Function.Name, s.Version, s.Stream})
	}
	f.buffer = appendLine(f.buffer, number, r)
	f.buffered++
}

// flush writes every buffer.
func (fs *files) flush() {
	for _, f := range fs.dirty {
		fs.write(f)
	}
	fs.dirty = fs.dirty[:0]
}

// write appends a file's buffer to it in one call. What cannot be written is lost,
// counted, and said once in the server's log and once in the group's, when it can
// be written to again.
func (fs *files) write(f *file) {
	if len(f.buffer) == 0 {
		return
	}
	err := fs.reopen(f)
	if err == nil {
		var lead []byte
		if f.torn {
			lead = append(lead, '\n')
		}
		if f.lost > 0 {
			lead = appendLine(lead, 0, &Record{Time: time.Now(), Type: telemetry.Dropped, Text: (&telemetry.Event{Type: telemetry.Dropped, Count: f.lost}).Text()})
		}
		if len(lead) > 0 {
			f.buffer = slices.Insert(f.buffer, 0, lead...)
		}
		var n int
		n, err = f.handle.Write(f.buffer)
		f.size += int64(n)
	}
	if err != nil {
		if f.lost == 0 {
			fs.log.Error("records of a log cannot be written", "group", f.key.group, "error", err)
		}
		f.lost += f.buffered
		f.torn = true
		f.numbers = nil // what names the sources may be lost
	} else {
		f.lost, f.torn = 0, false
	}
	if f.unsaved {
		if err := fs.save(f); err != nil {
			fs.log.Error("what is said of a log group cannot be kept", "group", f.key.group, "error", err)
		}
	}
	f.written, f.buffered = time.Now(), 0
	if cap(f.buffer) > 64<<10 {
		f.buffer = nil
	}
	f.buffer = f.buffer[:0]
}

// reopen makes sure that the file is open for appending and its last line is whole.
func (fs *files) reopen(f *file) error {
	fs.turn++
	f.used = fs.turn
	if f.handle != nil {
		return nil
	}
	if fs.open >= mostOpen {
		fs.closeOldest()
	}
	h, err := fs.root.OpenFile(f.name+".log", os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := h.Stat()
	if err != nil {
		_ = h.Close() // the first error says more
		return err
	}
	f.size = info.Size()
	if f.size > 0 {
		var last [1]byte
		if _, err := h.ReadAt(last[:], f.size-1); err != nil || last[0] != '\n' {
			f.torn = true
		}
	}
	f.handle = h
	fs.open++
	return nil
}

// closeOldest closes the file that was not written to for longest.
func (fs *files) closeOldest() {
	var oldest *file
	for _, f := range fs.groups {
		if f.handle != nil && (oldest == nil || f.used < oldest.used) {
			oldest = f
		}
	}
	if oldest != nil {
		fs.shut(oldest)
	}
}

// shut closes a file's handle. Its sources are named anew when it is opened again.
func (fs *files) shut(f *file) {
	if f.handle == nil {
		return
	}
	if err := f.handle.Close(); err != nil {
		fs.log.Error("closing a log file", "group", f.key.group, "error", err)
	}
	f.handle, f.numbers = nil, nil
	fs.open--
}

// rotate renames the file that grows and its predecessors by one and lets the
// oldest go. When that fails the file goes on growing and the next batch tries
// again.
func (fs *files) rotate(f *file) {
	fs.shut(f)
	err := fs.remove(f.file(fs.rotated))
	for age := fs.rotated; err == nil && age > 0; age-- {
		err = fs.root.Rename(f.file(age-1), f.file(age))
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		fs.log.Error("rotating a log file", "group", f.key.group, "error", err)
		return
	}
	if fs.rotated > 0 {
		f.old = slices.Insert(f.old[:fs.rotated-1], 0, f.size)
	}
	f.size, f.torn = 0, false
}

// remove deletes a file that may not exist.
func (fs *files) remove(name string) error {
	if err := fs.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// delete removes all files of a group.
func (fs *files) delete(scope kiln.Scope, group string) error {
	f := fs.groups[groupKey{scope, group}]
	if f == nil {
		return kiln.Errorf(kiln.NotFound, "the log group %s does not exist", group)
	}
	fs.shut(f)
	for age := range fs.rotated + 1 {
		if err := fs.remove(f.file(age)); err != nil {
			return fmt.Errorf("deleting the log group %s: %w", group, err)
		}
	}
	if err := fs.remove(f.name + aboutSuffix); err != nil {
		return fmt.Errorf("deleting the log group %s: %w", group, err)
	}
	delete(fs.groups, f.key)
	return nil
}

// list gives the groups of a scope by name; of the zero scope: all.
func (fs *files) list(scope kiln.Scope) []Group {
	groups := []Group{}
	for _, f := range fs.groups {
		if !f.key.in(scope) {
			continue
		}
		groups = append(groups, f.describe())
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Scope.Account, b.Scope.Account), cmp.Compare(a.Scope.Region, b.Scope.Region), cmp.Compare(a.Name, b.Name))
	})
	return groups
}

// describe tells of a group.
func (f *file) describe() Group {
	g := Group{Scope: f.key.Scope, Name: f.key.group, Bytes: f.size, Written: f.written, Created: f.about.Created, Days: f.about.Days, Tags: maps.Clone(f.about.Tags)}
	for _, size := range f.old {
		g.Bytes += size
	}
	return g
}

// close closes every file and the directory.
func (fs *files) close() error {
	for _, f := range fs.groups {
		fs.shut(f)
	}
	return fs.root.Close()
}

// in reports whether the group is of a scope; all are of the zero scope.
func (k groupKey) in(scope kiln.Scope) bool { return scope == (kiln.Scope{}) || scope == k.Scope }

// file gives the name of the file that was rotated so many times.
func (f *file) file(age int) string {
	if age == 0 {
		return f.name + ".log"
	}
	return f.name + "." + strconv.Itoa(age) + ".log"
}

// nameOf gives the name of a group's files: a digest, because a group's own name
// may be anything.
func nameOf(k groupKey) string {
	sum := sha256.Sum256([]byte(k.Account + "\x00" + k.Region + "\x00" + k.group))
	return hex.EncodeToString(sum[:20])
}

// parseName reads the name of a log file.
func parseName(filename string) (name string, age int, ok bool) {
	name, ok = strings.CutSuffix(filename, ".log")
	if !ok {
		return "", 0, false
	}
	name, number, rotated := strings.Cut(name, ".")
	if rotated {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return "", 0, false
		}
		age = n
	}
	_, err := hex.DecodeString(name)
	return name, age, err == nil && len(name) == 40
}
