package runtimes

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"kiln"
)

//go:embed sdk/*
var sdkFiles embed.FS

// sdk is the AWS SDK that AWS has in the runtimes of a language: what packages, in
// which versions and with which digests, and for which runtimes.
type sdk struct {
	Name    string `json:"name"` // what Add is asked for
	Family  string `json:"family"`
	First   string `json:"first"` // version of the first runtime that it serves
	Last    string `json:"last"`  // "" is the newest that there is
	Holds   string `json:"holds"` // its name in the language
	Version string `json:"version"`
	Pins    string `json:"pins"`  // file with its packages, versions and digests
	Bytes   int64  `json:"bytes"` // to fetch; 0 is not known
	// pinned is what is in that file, as the package manager reads it.
	pinned []byte
}

// sdkLayout changes when something else is made of the same packages.
const sdkLayout = "1"

// Where a box sees the SDK of its language. Python finds it by links in the runtime's
// own directory, which is in the search path anyway.
const (
	pythonSDKDir = runtimeDir + "/sdk"
	nodeSDKDir   = runtimeDir + "/node_modules"
)

// readSDKs gives every SDK. The files are part of the program.
func readSDKs() []*sdk {
	text, err := sdkFiles.ReadFile("sdk/sdks.json")
	if err != nil {
		panic(err)
	}
	var all []*sdk
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&all); err != nil {
		panic(fmt.Sprintf("sdks.json: %v", err))
	}
	for _, s := range all {
		if s.pinned, err = sdkFiles.ReadFile(path.Join("sdk", s.Pins)); err != nil {
			panic(err)
		}
	}
	return all
}

// serves reports whether an SDK is the one of a runtime.
func (s *sdk) serves(d *descriptor) bool {
	return s.Family == d.Family && compareVersions(s.First, d.Version) <= 0 &&
		(s.Last == "" || compareVersions(d.Version, s.Last) <= 0)
}

// sdkOf gives the SDK of a runtime, nil when it has none.
func (b *Book) sdkOf(d *descriptor) *sdk {
	for _, s := range b.sdks {
		if s.serves(d) {
			return s
		}
	}
	return nil
}

// sdkNamed gives the SDK of a name: its own, or that of a runtime and -sdk. Nil is
// none.
func (b *Book) sdkNamed(name string) *sdk {
	for _, s := range b.sdks {
		if s.Name == name {
			return s
		}
	}
	if identifier, ok := strings.CutSuffix(name, "-sdk"); ok {
		if d := b.descriptors[identifier]; d != nil {
			return b.sdkOf(d)
		}
	}
	return nil
}

// fetchedSDK gives the directory of an SDK that Add brought, "" when it has not. Of
// several the newest counts.
func (b *Book) fetchedSDK(s *sdk) string {
	if s == nil {
		return ""
	}
	matches, err := filepath.Glob(filepath.Join(b.fetchedDir(s.Name), "[0-9]*"))
	if err != nil || len(matches) == 0 {
		return ""
	}
	sort.Slice(matches, func(i, j int) bool { return naturalLess(matches[i], matches[j]) })
	return matches[len(matches)-1]
}

// addSDK brings an SDK here, through the package manager of its language as this
// machine has it set up, and believes only what has the digests that are pinned.
// Every runtime that it is of has it from then on.
func (b *Book) addSDK(ctx context.Context, s *sdk, progress func(done, total int64)) error {
	select {
	case b.adding <- struct{}{}:
		defer func() { <-b.adding }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	sum := sha256.Sum256(append([]byte(sdkLayout+"\n"+s.Name+"\n"), s.pinned...))
	home := b.fetchedDir(s.Name)
	target := filepath.Join(home, s.Version+"-"+hex.EncodeToString(sum[:])[:16])
	if !isDir(target) {
		if err := b.fetchSDK(ctx, s, home, target, progress); err != nil {
			return err
		}
	}
	b.forgetSDK(s)
	// What is served now is made ready with it, so that no invocation waits for that.
	for _, d := range b.descriptors {
		if s.serves(d) {
			if _, err := b.find(ctx, d); err != nil && ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// fetchSDK makes the directory of an SDK: complete or not at all.
func (b *Book) fetchSDK(ctx context.Context, s *sdk, home, target string, progress func(done, total int64)) error {
	work, err := newWork(home)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what cannot go now goes at the next start
	fresh := filepath.Join(work, "sdk")
	if err := makeDir(fresh); err != nil {
		return err
	}
	fetch := b.fetchPythonSDK
	if s.Family == "nodejs" {
		fetch = b.fetchNodeSDK
	}
	if err := fetch(ctx, s, work, fresh, progress); err != nil {
		return err
	}
	if err := readableBelow(fresh); err != nil {
		return err
	}
	syncDisk()
	if err := os.Rename(fresh, target); err != nil {
		return err
	}
	return b.discardOthers(s.Name, home, target)
}

// removeSDK deletes an SDK that Add brought.
func (b *Book) removeSDK(s *sdk) error {
	home := b.fetchedDir(s.Name)
	if _, err := os.Stat(home); err != nil {
		return kiln.Errorf(kiln.NotFound, "%s was not added", s.Name)
	}
	if err := b.discard(s.Name, home); err != nil {
		return fmt.Errorf("remove %s: %w", s.Name, err)
	}
	b.forgetSDK(s)
	return nil
}

// forgetSDK makes the next calls look again at the runtimes that an SDK is of.
func (b *Book) forgetSDK(s *sdk) {
	for identifier, d := range b.descriptors {
		if s.serves(d) {
			b.forget(identifier)
		}
	}
}

// sdkEntries lists the SDKs, beside the runtimes.
func (b *Book) sdkEntries() []Entry {
	var all []Entry
	for _, s := range b.sdks {
		what := fmt.Sprintf("AWS SDK (%s) for %s", s.Holds, s.runtimes(b.descriptors))
		e := Entry{Identifier: s.Name, State: Fetchable, How: what + "; run `kiln runtime add " + s.Name + "`"}
		if dir := b.fetchedSDK(s); dir != "" {
			version, _, _ := strings.Cut(filepath.Base(dir), "-")
			e.State, e.Source, e.How, e.Release = Ready, dir+" (fetched)", what, s.Holds+" "+version
		}
		all = append(all, e)
	}
	return all
}

// runtimes names the first and the last runtime that an SDK is of.
func (s *sdk) runtimes(descriptors map[string]*descriptor) string {
	var served []*descriptor
	for _, d := range descriptors {
		if s.serves(d) {
			served = append(served, d)
		}
	}
	slices.SortFunc(served, compareIdentifiers)
	return served[0].Identifier + " to " + served[len(served)-1].Identifier
}

// placeSDK prepares the directory of a composed runtime for an SDK. In a box that
// shows mounts the SDK is one of them; where boxes show the host as it is, links lead
// to it.
func (b *Book) placeSDK(ctx context.Context, home, sdkDir string, i *interpreter) error {
	if sdkDir == "" {
		return nil
	}
	if i.Family == "nodejs" {
		if b.options.HostOnly {
			return os.Symlink(filepath.Join(sdkDir, "node_modules"), filepath.Join(home, "node_modules"))
		}
		return makeDir(filepath.Join(home, "node_modules"))
	}
	entries, err := os.ReadDir(sdkDir)
	if err != nil {
		return err
	}
	from := "sdk"
	if b.options.HostOnly {
		from = sdkDir
	} else if err := makeDir(filepath.Join(home, from)); err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() { // compiled code of a single module lies beside it
			if err := copyFile(filepath.Join(home, entry.Name()), filepath.Join(sdkDir, entry.Name())); err != nil {
				return err
			}
			continue
		}
		if entry.Name() == "__pycache__" {
			continue
		}
		if err := os.Symlink(filepath.Join(from, entry.Name()), filepath.Join(home, entry.Name())); err != nil {
			return err
		}
	}
	if err := compileLibrary(ctx, i.program(), sdkDir, runtimeDir); err != nil {
		return fmt.Errorf("compile the AWS SDK: %w", err)
	}
	return nil
}

// sdkMounts lists the mounts that show an SDK.
func (b *Book) sdkMounts(sdkDir, family string) []kiln.RuntimeMount {
	switch {
	case sdkDir == "" || b.options.HostOnly:
		return nil
	case family == "nodejs":
		return []kiln.RuntimeMount{{Source: filepath.Join(sdkDir, "node_modules"), Target: nodeSDKDir}}
	}
	return []kiln.RuntimeMount{{Source: sdkDir, Target: pythonSDKDir}}
}

// watchGrowth tells the size of what a program writes below dir while work runs: the
// package managers tell nothing themselves. It ends with work.
func watchGrowth(dir string, total int64, progress func(done, total int64), work func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- work() }()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-ticker.C:
			size := treeSize(dir)
			if total > 0 {
				size = min(size, total)
			}
			progress(size, total)
		}
	}
}

// errDamaged marks a package that does not have the digest that is pinned.
var errDamaged = errors.New("it does not have the digest that kiln pins")
