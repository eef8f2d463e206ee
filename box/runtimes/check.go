package runtimes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kiln"
)

// checkTimeout bounds one check of an interpreter.
const checkTimeout = 30 * time.Second

// Probe gives a command that succeeds in a box of this runtime when its interpreter
// works there: what every function may expect is loaded, as the user of the box and
// with its library path. A runtime without interpreter has none.
func Probe(rt kiln.Runtime) []string {
	if f := families[rt.Family]; f != nil {
		return append([]string{rt.Command[0]}, f.probe...)
	}
	return nil
}

// check proves an interpreter before its first use: in a box when there is one,
// else on the host as a user without rights. That it passed is kept as long as the
// program and the bootstrap stay the same.
func (b *Book) check(ctx context.Context, d *descriptor, rt kiln.Runtime, i *interpreter, s stamp) error {
	kind := "host"
	if b.options.Check != nil {
		kind = "box"
	}
	known := b.records.get(i.Program, s)
	if known == nil {
		known = &record{Stamp: s, Interpreter: i}
	}
	if known.passed(kind + " " + rt.ReleaseARN) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var err error
	if b.options.Check != nil {
		err = b.options.Check(ctx, rt, Probe(rt))
	} else {
		err = checkOnHost(ctx, i)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("check it: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("it does not work in an environment: %w", err)
	}
	b.keep(i.Program, known.withPass(kind, rt.ReleaseARN))
	return nil
}

// nobody is the user that has no rights on any machine.
const nobody = 65534

// checkOnHost proves an interpreter without a box: its files must be readable by
// everybody, and where the way to them is open too and this process may change its
// user, it is run as nobody.
func checkOnHost(ctx context.Context, i *interpreter) error {
	root := i.Program
	if !i.sharedPrefix() {
		root = i.Prefix
	}
	if err := readableByAll(root, i.Program); err != nil {
		return err
	}
	for _, library := range i.Libraries {
		from := library // where the box begins to see it
		if !i.sharedPrefix() {
			from = root
		}
		for _, name := range []string{"os.py", "lib-dynload"} {
			if err := readableByAll(from, filepath.Join(library, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	uid := asSelf
	if os.Geteuid() == 0 && openToAll(filepath.Dir(root)) {
		uid = nobody
	}
	if (i.Family == "java" || i.Family == "dotnet") && i.Root != "" {
		return nil // it runs nowhere but in a box
	}
	_, err := output(ctx, uid, i.program(), families[i.Family].hostProbe...)
	return err
}

// readableByAll checks that every user may read file, on the way from root on,
// which is where a box begins to see it.
func readableByAll(root, file string) error {
	for at := file; within(root, at); at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		wanted := os.FileMode(0o004)
		if info.IsDir() || at == file && info.Mode().Perm()&0o100 != 0 {
			wanted = 0o005
		}
		if info.Mode().Perm()&wanted != wanted {
			return fmt.Errorf("%s is not readable by every user (mode %s)", at, info.Mode().Perm())
		}
		if at == root || at == "/" {
			break
		}
	}
	return nil
}

// openToAll reports whether every user may walk down to dir.
func openToAll(dir string) bool {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if at == "/" || !strings.HasPrefix(at, "/") {
			return true
		}
	}
}
