package runtimes

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// program is what is run to ask or to use an interpreter: one of the host, or one of
// a root directory with a C library of its own.
type program struct {
	path string
	root string   // "" is the host's
	env  []string // further variables, NAME=value
}

// command gives what is started so that the program runs with these arguments. One of
// another root is started by that root's own dynamic linker, which finds its
// libraries there and none of the host's.
func (p program) command(arguments []string) (name string, all []string, err error) {
	if p.root == "" {
		return p.path, arguments, nil
	}
	linker, err := linkerOf(p.path)
	if err != nil {
		return "", nil, err
	}
	if linker, err = insideRoot(p.root, linker); err != nil {
		return "", nil, fmt.Errorf("find its dynamic linker: %w", err)
	}
	libraries, err := filepath.Glob(filepath.Join(p.root, "usr/lib/*-linux-gnu*"))
	if err != nil {
		return "", nil, err
	}
	libraries = append(libraries, filepath.Join(p.root, "usr/lib"))
	return linker, append([]string{"--library-path", strings.Join(libraries, ":"), p.path}, arguments...), nil
}

// linkerOf gives the dynamic linker that a program asks for.
func linkerOf(file string) (string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
			return strings.TrimRight(string(text), "\x00"), err
		}
	}
	return "", errors.New("it is no program that is linked dynamically")
}

// insideRoot gives the place on the host of a file of a root directory, with the
// links on the way read as that root means them.
func insideRoot(root, name string) (string, error) {
	at := ""
	rest := strings.Split(name, "/")
	for hops := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir("/" + at)
			continue
		}
		next := filepath.Join("/", at, part)
		link, err := os.Readlink(filepath.Join(root, next))
		if err != nil {
			at = next
			continue
		}
		if hops++; hops > 40 {
			return "", fmt.Errorf("%s: links lead in a circle", name)
		}
		if filepath.IsAbs(link) {
			at = ""
		}
		rest = append(strings.Split(link, "/"), rest...)
	}
	place := filepath.Join(root, at)
	_, err := os.Stat(place)
	return place, err
}
