package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"kiln"
)

// lockFile is the part of npm's list of packages that is read here.
type lockFile struct {
	Name     string
	Packages map[string]struct {
		Version      string
		Integrity    string
		Dependencies map[string]string
	}
}

// fetchNodeSDK lets npm, as this machine has it set up, install the packages of an
// SDK, of which it checks the digests, and takes out what no function reads.
func (b *Book) fetchNodeSDK(ctx context.Context, s *sdk, work, dir string, progress func(done, total int64)) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return kiln.Errorf(kiln.Unavailable, "fetching the AWS SDK for JavaScript needs npm, which is not installed; install npm")
	}
	if err := checkNPM(ctx, npm); err != nil {
		return err
	}
	var lock lockFile
	if err := json.Unmarshal(s.pinned, &lock); err != nil {
		return err
	}
	wanted, err := json.Marshal(map[string]any{"name": lock.Name, "private": true, "dependencies": lock.Packages[""].Dependencies})
	if err != nil {
		return err
	}
	site := filepath.Join(work, "site")
	if err := makeDir(site); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(site, "package.json"), wanted, 0o644); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(site, "package-lock.json"), s.pinned, 0o644); err != nil {
		return err
	}
	err = watchGrowth(work, s.Bytes, progress, func() error {
		_, err := runNPM(ctx, npm, site, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--silent",
			"--install-strategy=hoisted")
		return err
	})
	if err != nil {
		return err
	}
	if err := checkInstalled(site, lock); err != nil {
		return kiln.Errorf(kiln.Unavailable, "npm did not install %s as it is pinned: %w", s.Name, err)
	}
	if err := prune(filepath.Join(site, "node_modules")); err != nil {
		return err
	}
	size := treeSize(work)
	progress(size, size)
	return os.Rename(filepath.Join(site, "node_modules"), filepath.Join(dir, "node_modules"))
}

// checkNPM refuses versions of npm that do not read the list of packages, and so
// would install others.
func checkNPM(ctx context.Context, npm string) error {
	out, err := runNPM(ctx, npm, "/", "--version")
	if err != nil {
		return err
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return kiln.Errorf(kiln.Unavailable, "fetching the AWS SDK for JavaScript needs npm 7 or newer, not %q", version)
	}
	return nil
}

// checkInstalled compares what is there with what is pinned.
func checkInstalled(site string, lock lockFile) error {
	for place, pin := range lock.Packages {
		if place == "" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(site, filepath.FromSlash(place), "package.json"))
		if err != nil {
			return err
		}
		var found struct{ Version string }
		if err := json.Unmarshal(text, &found); err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
		if found.Version != pin.Version || pin.Integrity == "" {
			return fmt.Errorf("%s is version %s, not %s", place, found.Version, pin.Version)
		}
	}
	return nil
}

// prune removes what is for compilers and browsers' debuggers only, more than half of
// it all, and what npm keeps for itself.
func prune(dir string) error {
	for _, name := range []string{".bin", ".package-lock.json"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed on the way
		}
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && path.Base(name) == "dist-types":
			if err := os.RemoveAll(name); err != nil {
				return err
			}
			return fs.SkipDir
		case !entry.IsDir() && (strings.HasSuffix(name, ".d.ts") || strings.HasSuffix(name, ".map")):
			return os.Remove(name)
		}
		return nil
	})
}
