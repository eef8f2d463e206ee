package runtimes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// interpreter is what a candidate said about itself when it was asked.
type interpreter struct {
	Family  string
	Version string // "3.11.2"
	// Others are further versions that the same program runs.
	Others  []string
	Program string // the real binary, never a shim
	// Root is the root directory that the program belongs to, with its own C library;
	// "" is the host's.
	Root   string
	Prefix string // the directory that the interpreter is installed in
	// Libraries are the directories of the language's own library, inside Prefix.
	Libraries []string
	// Foreign are shared libraries that lie neither in Prefix nor where every
	// program finds them: they are copied to where the box looks.
	Foreign []string
	// Lacking are modules that every function may expect and that failed to load,
	// with the reason.
	Lacking []string
	// Fetched is true when kiln itself brought it here.
	Fetched bool
}

// stamp is the identity of a file as far as a look at it can tell.
type stamp struct {
	Size     int64
	Modified int64
}

func stampOf(file string) (stamp, error) {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}, err
	}
	return stamp{Size: info.Size(), Modified: info.ModTime().UnixNano()}, nil
}

// askTimeout bounds one question to a candidate: shims start slowly.
const askTimeout = 15 * time.Second

// refusal is a reason that lasts as long as the file does: asking again would give
// the same. Other errors may pass.
type refusal string

func (r refusal) Error() string { return string(r) }

// answer is what interpreters of every language say when they are asked.
type answer struct {
	Implementation string   `json:"implementation"`
	Version        string   `json:"version"`
	Others         []string `json:"others"`
	Program        string   `json:"program"`
	Prefix         string   `json:"prefix"`
	Libraries      []string `json:"libraries"`
	Shared         []string `json:"shared"`
	Lacking        []string `json:"lacking"`
	Machine        string   `json:"machine"`
	Flavour        string   `json:"flavour"` // "" is the ordinary build
}

// ask runs a candidate and gives what it says it is. The candidate may be a shim,
// a link or a script; the answer never is. A refusal is final.
func ask(ctx context.Context, family string, candidate program) (*interpreter, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	said, err := families[family].ask(ctx, candidate)
	if err != nil {
		return nil, err
	}
	wanted := families[family].implementation
	switch {
	case said.Implementation != wanted:
		return nil, refusal("it is " + said.Implementation + ", not " + wanted)
	case said.Flavour != "":
		return nil, refusal("it is a " + said.Flavour + " build")
	case said.Machine != hostArchitecture():
		return nil, refusal("it is built for " + said.Machine)
	}
	found := &interpreter{
		Family:    family,
		Version:   said.Version,
		Others:    said.Others,
		Program:   said.Program,
		Root:      candidate.root,
		Prefix:    said.Prefix,
		Libraries: said.Libraries,
		Lacking:   said.Lacking,
	}
	info, err := os.Stat(found.Program)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("%s can be changed by everybody", found.Program)
	}
	if family == "ruby" && found.sharedPrefix() {
		found.Libraries = nil // it finds them in the base, where it was built to look
	}
	for _, library := range said.Shared {
		if !found.owns(library) && !systemLibrary(library) {
			found.Foreign = append(found.Foreign, library)
		}
	}
	return found, nil
}

// owns reports whether a file is seen in the box because the prefix is. Of a
// prefix that is shared with the whole system only the language's own part is.
func (i *interpreter) owns(file string) bool {
	if i.Root != "" && within(i.Root, file) {
		return true
	}
	if !i.sharedPrefix() {
		return within(i.Prefix, file)
	}
	if i.Family == "ruby" {
		return within("/usr", file) // the base shows it
	}
	for _, library := range i.Libraries {
		if within(library, file) {
			return true
		}
	}
	return file == i.Program
}

// program gives what runs the interpreter.
func (i *interpreter) program() program {
	p := program{path: i.Program, root: i.Root}
	if i.Family == "ruby" {
		p.env = rubyRoot(i.Root)
	}
	return p
}

// sharedPrefix reports whether the prefix holds much more than this interpreter.
func (i *interpreter) sharedPrefix() bool {
	switch i.Family {
	case "nodejs":
		return true // the binary is all that is needed
	case "java", "dotnet":
		return false
	}
	switch i.Prefix {
	case "/", "/usr", "/usr/local":
		return true
	}
	home, err := os.UserHomeDir()
	return err == nil && i.Prefix == home
}

// systemLibrary reports whether the dynamic linker finds the file by itself, in
// directories that the box shows too.
func systemLibrary(file string) bool {
	dir := filepath.Dir(file)
	for _, root := range []string{"/lib", "/lib64", "/usr/lib", "/usr/lib64"} {
		if dir == root || filepath.Dir(dir) == root && strings.Contains(filepath.Base(dir), "-linux-") {
			return true
		}
	}
	return false
}

// within reports whether file is dir or lies below it.
func within(dir, file string) bool {
	return file == dir || strings.HasPrefix(file, strings.TrimSuffix(dir, "/")+"/")
}

// minor gives the part of the version that a runtime identifier names.
func (i *interpreter) minor() string {
	return minorOf(i.Family, i.Version)
}

func minorOf(family, version string) string {
	parts := strings.Split(version, ".")
	named := families[family].parts
	if family == "dotnet" {
		named = dotnetParts(version)
	}
	return strings.Join(parts[:min(named, len(parts))], ".")
}

// as gives the interpreter with the version that a runtime names, if it has one.
func (i *interpreter) as(wanted string) *interpreter {
	for _, version := range i.Others {
		if i.minor() != wanted && minorOf(i.Family, version) == wanted {
			other := *i
			other.Version = version
			return &other
		}
	}
	return i
}
