// Package watch tells when files below a folder have changed: by the kernel's
// notifications, or by looking every now and then where those cannot be had. It reads
// names, sizes and times, never contents, and does nothing about a change.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options say what is watched, and how.
type Options struct {
	// Skip reports whether an entry, by its path below the folder with slashes, is of no
	// interest. What lies below a folder that is skipped is not looked at.
	Skip func(path string) bool
	// Poll looks at every file each time this has passed, instead of asking the kernel;
	// 0 asks the kernel and falls back to a look every second.
	Poll time.Duration
	// Quiet is how long nothing may change before a change is told: editors write a file
	// in several steps, tools write several files. 0 is 20 ms.
	Quiet time.Duration
}

// Change is what happened since the last one.
type Change struct {
	Files []string  // paths below the folder with slashes, sorted
	Seen  time.Time // when the first of it was noticed
}

// mostQuiet is how long a stream of changes may go on before what has come is told.
const mostQuiet = 500 * time.Millisecond

// Watcher watches one folder until its context ends.
type Watcher struct {
	dir     string
	o       Options
	notify  *fsnotify.Watcher // nil: polling
	because error             // why it is polling though it was not asked to
	top     fs.FileInfo       // the folder that the kernel was asked about; nil when it is away
	known   map[string]stamp
	changes chan Change
}

// stamp is what is known of a file without reading it.
type stamp struct {
	mode    fs.FileMode
	size    int64
	changed int64
}

// Start takes note of the files below dir and tells what changes from now on, until
// ctx ends.
func Start(ctx context.Context, dir string, o Options) (*Watcher, error) {
	if o.Quiet == 0 {
		o.Quiet = 20 * time.Millisecond
	}
	if o.Skip == nil {
		o.Skip = func(string) bool { return false }
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", dir)
	}
	w := &Watcher{dir: dir, o: o, top: info, known: map[string]stamp{}, changes: make(chan Change)}
	if o.Poll == 0 {
		w.notify, err = fsnotify.NewWatcher()
		if err != nil {
			w.poll(err)
		}
	}
	w.look("", map[string]bool{}) // tells the kernel of every folder, too
	go w.run(ctx)
	return w, nil
}

// Changes gives each change. It is closed when the watcher is over.
func (w *Watcher) Changes() <-chan Change { return w.changes }

// Polling says why the watcher looks at the files every now and then though it was
// not told to; nil is that it does not. It is to be asked before the first change.
func (w *Watcher) Polling() error { return w.because }

// poll gives up the kernel's notifications.
func (w *Watcher) poll(because error) {
	if w.notify != nil {
		_ = w.notify.Close() // nothing is lost
	}
	w.notify, w.because, w.o.Poll = nil, because, time.Second
}

// run tells changes until ctx ends.
func (w *Watcher) run(ctx context.Context) {
	defer close(w.changes)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for w.notify != nil {
		select {
		case <-ctx.Done():
			_ = w.notify.Close() // there is nobody to tell
			return
		case <-again.C:
			// A folder that was made anew is one that the kernel was not asked about.
			info, err := os.Stat(w.dir)
			if err != nil || w.top != nil && os.SameFile(info, w.top) {
				continue
			}
			w.top = info
			if !w.tell(ctx, map[string]bool{"": true}, time.Now()) {
				return
			}
		case e, ok := <-w.notify.Events:
			if !ok || !w.gather(ctx, e) {
				return
			}
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			// Events were lost: look at everything.
			if errors.Is(err, fsnotify.ErrEventOverflow) && !w.tell(ctx, map[string]bool{"": true}, time.Now()) {
				return
			}
		}
	}
	w.runPolling(ctx)
}

// gather waits until it is quiet after an event, and tells what has changed.
func (w *Watcher) gather(ctx context.Context, e fsnotify.Event) bool {
	folders := map[string]bool{}
	note := func(e fsnotify.Event) {
		below, ok := w.below(e.Name)
		if ok && below == "" && e.Op&(fsnotify.Remove|fsnotify.Rename) != 0 {
			w.top = nil // a new one may even have its number
		}
		if ok && !w.skipped(below) && e.Op != fsnotify.Chmod {
			folders[parent(below)] = true
		}
	}
	note(e)
	if len(folders) == 0 {
		return true
	}
	seen := time.Now()
	last := time.NewTimer(mostQuiet)
	defer last.Stop()
	for {
		quiet := time.NewTimer(w.o.Quiet)
		select {
		case <-ctx.Done():
			quiet.Stop()
			return false
		case e, ok := <-w.notify.Events:
			quiet.Stop()
			if !ok {
				return false
			}
			note(e)
			continue
		case <-quiet.C:
		case <-last.C:
			quiet.Stop()
		}
		return w.tell(ctx, folders, seen)
	}
}

// runPolling looks at everything again and again.
func (w *Watcher) runPolling(ctx context.Context) {
	ticker := time.NewTicker(w.o.Poll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if !w.tell(ctx, map[string]bool{"": true}, time.Now()) {
				return
			}
		}
	}
}

// tell looks at folders again and tells what is different there.
func (w *Watcher) tell(ctx context.Context, folders map[string]bool, seen time.Time) bool {
	different := map[string]bool{}
	for folder := range folders {
		w.look(folder, different)
	}
	if len(different) == 0 {
		return true
	}
	select {
	case w.changes <- Change{slices.Sorted(maps.Keys(different)), seen}:
		return true
	case <-ctx.Done():
		return false
	}
}

// look takes note of a folder and all below it, and adds what is different.
func (w *Watcher) look(folder string, different map[string]bool) {
	there := map[string]bool{}
	_ = filepath.WalkDir(filepath.Join(w.dir, filepath.FromSlash(folder)), func(name string, d fs.DirEntry, err error) error {
		below, ok := w.below(name)
		if !ok || err != nil && below == "" {
			return fs.SkipAll // the folder itself is away: everything in it is
		}
		if below != "" && w.o.Skip(below) {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if err != nil {
			return nil // it went while it was looked at, or may not be read
		}
		if d.IsDir() {
			w.add(name)
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		there[below] = true
		is := stamp{info.Mode(), info.Size(), info.ModTime().UnixNano()}
		if w.known[below] != is {
			w.known[below] = is
			different[below] = true
		}
		return nil
	})
	for name := range w.known {
		if !there[name] && (folder == "" || strings.HasPrefix(name, folder+"/")) {
			delete(w.known, name)
			different[name] = true
		}
	}
}

// add asks the kernel to tell of a folder. When it cannot, the watcher polls.
func (w *Watcher) add(folder string) {
	if w.notify == nil {
		return
	}
	if err := w.notify.Add(folder); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		w.poll(err)
	}
}

// below gives a name as a path below the folder.
func (w *Watcher) below(name string) (string, bool) {
	rel, err := filepath.Rel(w.dir, name)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	if rel == "." {
		return "", true
	}
	return filepath.ToSlash(rel), true
}

// skipped reports whether an entry or a folder above it is of no interest.
func (w *Watcher) skipped(below string) bool {
	for i := 0; i <= len(below); i++ {
		if i == len(below) || below[i] == '/' {
			if i > 0 && w.o.Skip(below[:i]) {
				return true
			}
		}
	}
	return false
}

// parent gives the folder that an entry is in; "" is the top.
func parent(below string) string {
	i := strings.LastIndexByte(below, '/')
	if i < 0 {
		return ""
	}
	return below[:i]
}
