package runtimes

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"kiln"
)

// maxWheelFile bounds one file of a package of the SDK.
const maxWheelFile = 256 << 20

// fetchPythonSDK lets pip, as this machine has it set up, download the packages of an
// SDK, and unpacks those that have their digests.
func (b *Book) fetchPythonSDK(ctx context.Context, s *sdk, work, dir string, progress func(done, total int64)) error {
	pip, err := findPip(ctx, "the AWS SDK for Python")
	if err != nil {
		return err
	}
	pins := filepath.Join(work, "pins.txt")
	if err := writeFile(pins, s.pinned, 0o644); err != nil {
		return err
	}
	wheels := filepath.Join(work, "wheels")
	for _, name := range []string{wheels, filepath.Join(work, "tmp")} {
		if err := makeDir(name); err != nil {
			return err
		}
	}
	err = watchGrowth(work, s.Bytes, progress, func() error {
		_, err := runPip(ctx, pip, work, "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes",
			"--only-binary=:all:", "--python-version", s.First, "--implementation", "py", "--abi", "none", "--platform", "any",
			"--requirement", pins, "--dest", wheels)
		return err
	})
	if err != nil {
		return err
	}
	digests, err := digestsOf(s.pinned)
	if err != nil {
		return err
	}
	arrived, err := filepath.Glob(filepath.Join(wheels, "*.whl"))
	if err != nil {
		return err
	}
	if len(arrived) != len(digests) {
		return kiln.Errorf(kiln.Unavailable, "pip fetched %d packages of %s, not %d", len(arrived), s.Name, len(digests))
	}
	for _, wheel := range arrived {
		if err := unpackWheel(wheel, dir, digests); err != nil {
			return kiln.Errorf(kiln.Unavailable, "%s: %w", filepath.Base(wheel), err)
		}
	}
	progress(s.Bytes, s.Bytes)
	return nil
}

// digestsOf gives the digests of a file of requirements.
func digestsOf(text []byte) (map[string]bool, error) {
	digests := make(map[string]bool)
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		_, digest, found := strings.Cut(line, "--hash=sha256:")
		if !found {
			return nil, fmt.Errorf("no digest in %q", line)
		}
		digests[strings.TrimSpace(digest)] = true
	}
	return digests, nil
}

// findPip gives a command that runs pip: one of the search path, or the module of an
// interpreter there. what is what needs it.
func findPip(ctx context.Context, what string) ([]string, error) {
	for _, command := range [][]string{{"pip3"}, {"pip"}, {"python3", "-m", "pip"}, {"python", "-m", "pip"}} {
		program, err := exec.LookPath(command[0])
		if err != nil {
			continue
		}
		command[0] = program
		if _, err := runPip(ctx, command, "/", "--version"); err == nil {
			return command, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return nil, kiln.Errorf(kiln.Unavailable, "fetching %s needs pip, which is not installed; install pip", what)
}

// runPip runs pip in a directory of its own and gives what it printed.
func runPip(ctx context.Context, pip []string, dir string, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, pip[0], append(append([]string(nil), pip[1:]...), arguments...)...)
	command.Dir = dir
	command.WaitDelay = time.Second
	if dir != "/" {
		command.Env = append(os.Environ(), "TMPDIR="+filepath.Join(dir, "tmp"))
	}
	together(command, asSelf)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, kiln.Errorf(kiln.Unavailable, "pip %s: %s", arguments[0], pipComplaint(stderr.String(), err))
	}
	return stdout.Bytes(), nil
}

// pipComplaint picks the sentences out of pip's output that say what went wrong.
func pipComplaint(text string, err error) string {
	var said []string
	for _, line := range strings.Split(text, "\n") {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "ERROR: "); ok && len(said) < 3 {
			said = append(said, rest)
		}
	}
	if len(said) > 0 {
		return strings.Join(said, "; ")
	}
	if line := lastLine(text); line != "" {
		return line
	}
	return err.Error()
}

// unpackWheel unpacks a package that has one of the digests into dir: modules and
// what describes them, no scripts.
func unpackWheel(wheel, dir string, digests map[string]bool) error {
	f, err := os.Open(wheel)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	if !digests[hex.EncodeToString(sum.Sum(nil))] {
		return errDamaged
	}
	archive, err := zip.NewReader(f, size)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, entry := range archive.File {
		first, _, below := strings.Cut(entry.Name, "/")
		if strings.HasSuffix(entry.Name, "/") || below && strings.HasSuffix(first, ".data") {
			continue
		}
		if err := unpackEntry(root, entry); err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
	}
	return nil
}

// unpackEntry writes one file of an archive beneath a root.
func unpackEntry(root *os.Root, entry *zip.File) error {
	in, err := entry.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := root.MkdirAll(path.Dir(entry.Name), 0o755); err != nil {
		return err
	}
	out, err := root.OpenFile(entry.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, maxWheelFile+1))
	if err == nil && n > maxWheelFile {
		err = errors.New("it is too large")
	}
	return errors.Join(err, out.Close())
}
