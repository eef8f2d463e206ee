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
	"path/filepath"

	"kiln"
)

// fromWheel is a package of PyPI out of which shared libraries are taken.
type fromWheel struct {
	// Requirement names the package with its version and its SHA-256 digest.
	Requirement string `json:"requirement"`
	Python      string `json:"python"` // the version that the package is of, "37"
	// Libraries are the places in the package, by the names that they get.
	Libraries map[string]string `json:"libraries"`
}

// digest names what is taken; "" is nothing.
func (w *fromWheel) digest() string {
	if w == nil {
		return ""
	}
	return w.Requirement
}

// fill lets pip, as this machine has it set up, download the package, and puts its
// libraries where the linker of a root finds them.
func (w *fromWheel) fill(ctx context.Context, work, root, language string) error {
	if w == nil {
		return nil
	}
	digests, err := digestsOf([]byte(w.Requirement))
	if err != nil {
		return err
	}
	pip, err := findPip(ctx, language)
	if err != nil {
		return err
	}
	pins, wheels := filepath.Join(work, "pins.txt"), filepath.Join(work, "wheels")
	for _, name := range []string{wheels, filepath.Join(work, "tmp")} {
		if err := makeDir(name); err != nil {
			return err
		}
	}
	if err := writeFile(pins, []byte(w.Requirement+"\n"), 0o644); err != nil {
		return err
	}
	_, err = runPip(ctx, pip, work, "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes", "--only-binary=:all:",
		"--python-version", w.Python, "--implementation", "cp", "--abi", "cp"+w.Python+"m", "--platform", "manylinux1_x86_64", "--requirement", pins, "--dest", wheels)
	if err != nil {
		return err
	}
	arrived, err := filepath.Glob(filepath.Join(wheels, "*.whl"))
	if err != nil {
		return err
	}
	if len(arrived) != 1 {
		return kiln.Errorf(kiln.Unavailable, "pip fetched %d packages, not one", len(arrived))
	}
	if err := w.unpack(arrived[0], root, digests); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(arrived[0]), err)
	}
	return errors.Join(os.RemoveAll(wheels), os.RemoveAll(filepath.Join(work, "tmp")), os.Remove(pins))
}

// unpack takes the libraries out of a package that has one of the digests.
func (w *fromWheel) unpack(wheel, root string, digests map[string]bool) error {
	text, err := os.ReadFile(wheel)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(text); !digests[hex.EncodeToString(sum[:])] {
		return errDamaged
	}
	archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return err
	}
	for name, place := range w.Libraries {
		f, err := archive.Open(place)
		if err != nil {
			return err
		}
		library, err := io.ReadAll(io.LimitReader(f, maxWheelFile))
		if err := errors.Join(err, f.Close(), writeFile(filepath.Join(root, "usr/lib", filepath.Base(name)), library, 0o644)); err != nil {
			return err
		}
	}
	return nil
}
