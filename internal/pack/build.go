package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build compiles a folder into dir, which then holds what the package would. A program
// that is there and runs goes on unharmed: files are put in place whole.
func (s *Source) Build(ctx context.Context, dir string, o Options) (err error) {
	if s.Language == Go {
		return s.buildGo(ctx, dir, o)
	}
	tmp, err := os.MkdirTemp("", "kiln-build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if s.Language == Java {
		err = s.buildJava(ctx, tmp, o)
	} else {
		err = s.buildDotnet(ctx, tmp, o)
	}
	if err != nil {
		return err
	}
	return moveInto(tmp, dir)
}

// Products gives the names of what the language's tool leaves beside the sources when it
// builds them: no change of theirs is one of the function.
func (s *Source) Products() []string {
	switch {
	case !s.Builds:
		return nil
	case s.Language == Java:
		return []string{"target", "build", ".gradle"}
	case s.Language == Dotnet:
		return []string{"bin", "obj"}
	}
	return nil
}

// packBuilt compiles a folder and packs what came of it.
func (s *Source) packBuilt(ctx context.Context, o Options) (z []byte, err error) {
	tmp, err := os.MkdirTemp("", "kiln-package-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := s.Build(ctx, tmp, o); err != nil {
		return nil, err
	}
	if s.Language == Go {
		return (&Source{Path: filepath.Join(tmp, "bootstrap")}).packFile("bootstrap", 0o755)
	}
	return packFolder(tmp, o.Exclude)
}

// runTool runs a compiler in a folder and gives its words when it fails.
func runTool(ctx context.Context, dir string, o Options, tool string, arguments ...string) error {
	var talk bytes.Buffer
	cmd := exec.CommandContext(ctx, tool, arguments...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = &talk, &talk
	err := cmd.Run()
	switch exit := (*exec.ExitError)(nil); {
	case err == nil:
		if o.Talk != nil {
			_, _ = io.Copy(o.Talk, &talk) // what the tool told of; losing it loses nothing
		}
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return fmt.Errorf("%s in %s: %s", filepath.Base(tool), dir, strings.TrimSpace(talk.String()))
	}
	return err
}

// moveInto puts every file below one folder into the same place below another, in
// place of what is there.
func moveInto(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if os.Rename(name, target) == nil {
			return nil
		}
		// They lie on two file systems.
		if err := copyFile(name, target+".new"); err != nil {
			return err
		}
		return os.Rename(target+".new", target)
	})
}

// copyFile copies a file with its mode.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // nothing was written
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
