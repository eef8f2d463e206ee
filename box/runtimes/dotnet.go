package runtimes

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"kiln"
)

// dotnetProbe starts the bootstrap with the word that makes it load what functions
// expect, and end.
var dotnetProbe = []string{runtimeDir + "/bootstrap.sh", "--probe"}

// dotnetApp is the directory, below a .NET, with one directory for each version.
const dotnetApp = "shared/Microsoft.NETCore.App"

// dotnetParts is how many parts of a version a runtime identifier names: dotnetcore3.1
// names two, dotnet8 one.
func dotnetParts(version string) int {
	if strings.HasPrefix(version, "2.") || strings.HasPrefix(version, "3.") {
		return 2
	}
	return 1
}

// askDotnet reads what a candidate is from the directories beside it: one program runs
// all the versions that lie there.
func askDotnet(_ context.Context, p program) (*answer, error) {
	real, err := filepath.EvalSymlinks(p.path)
	if err != nil {
		return nil, err
	}
	said := &answer{Implementation: "coreclr", Program: real, Prefix: filepath.Dir(real)}
	f, err := elf.Open(real)
	if err != nil {
		return nil, refusal("it is no program")
	}
	defer f.Close()
	said.Machine = map[elf.Machine]string{elf.EM_X86_64: "x86_64", elf.EM_AARCH64: "arm64"}[f.Machine]
	matches, err := filepath.Glob(filepath.Join(said.Prefix, dotnetApp, "*", "libcoreclr.so"))
	if err != nil {
		return nil, err
	}
	for _, library := range matches {
		version := filepath.Base(filepath.Dir(library))
		if !strings.Contains(version, "-") { // a preview
			said.Others = append(said.Others, version)
		}
	}
	if len(said.Others) == 0 {
		return nil, refusal("there is no runtime beside it, in " + dotnetApp)
	}
	slices.SortFunc(said.Others, func(x, y string) int { return compareVersions(y, x) })
	said.Version = said.Others[0]
	return said, nil
}

// writeProbe says with which version the bootstrap is tried before a function's own
// file can say it.
func writeProbe(home, version string) error {
	type framework struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	text, err := json.Marshal(map[string]any{"runtimeOptions": map[string]any{"framework": framework{"Microsoft.NETCore.App", version}}})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(home, "probe.runtimeconfig.json"), text, 0o644)
}

// canCarry gives nil when the npm package of a .NET fits this machine.
func (d *descriptor) canCarry() error {
	if d.NPM != "" && hostArchitecture() != "x86_64" {
		return kiln.Errorf(kiln.Unsupported, "%s %s is to be had for x86_64 only; %s", d.language(), d.Version, d.install())
	}
	return nil
}

// dotnetKept are the parts of the package that are kept: the SDK and its templates are
// not.
var dotnetKept = []string{"dotnet", "host", "shared", "LICENSE.txt", "ThirdPartyNotices.txt"}

// maxDotnet bounds what is taken out of a package.
const maxDotnet = 1 << 30

// unpackDotnet takes the runtime out of the package of an SDK.
func unpackDotnet(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // each file was closed with its error looked at
	left := int64(maxDotnet)
	for entries := tar.NewReader(unzipped); ; {
		entry, err := entries.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(entry.Name, "package/")
		first, _, _ := strings.Cut(name, "/")
		if entry.Typeflag != tar.TypeReg || !slices.Contains(dotnetKept, first) {
			continue
		}
		if left -= entry.Size; left < 0 {
			return errors.New("it is larger than 1 GB")
		}
		if err := unpackInto(root, name, entries); err != nil {
			return err
		}
	}
	if _, err := root.Stat("dotnet"); err != nil {
		return errors.New("it holds no dotnet")
	}
	return nil
}

// unpackInto writes one file below a root, with the directories on its way, readable by
// everybody; programs may be run.
func unpackInto(root *os.Root, name string, from io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if base := filepath.Base(name); base == "dotnet" || base == "createdump" || strings.HasSuffix(base, ".so") {
		mode = 0o755
	}
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	return errors.Join(err, out.Chmod(mode), out.Close())
}

// carried is what npm carries into a root of Debian packages; the zero value is
// nothing.
type carried struct {
	npm, name, version string
	digest             []byte
}

// openCarried asks npm for what a runtime takes from it beside its Debian packages.
func openCarried(ctx context.Context, d *descriptor) (carried, error) {
	if d.NPM == "" {
		return carried{}, nil
	}
	if err := d.canCarry(); err != nil {
		return carried{}, err
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return carried{}, kiln.Errorf(kiln.Unavailable, "fetching %s needs npm, which is not installed; install npm, or %s %s itself", d.language(), d.language(), d.Version)
	}
	newest, digest, err := viewNPM(ctx, npm, d.NPM, d.Version)
	return carried{npm: npm, name: d.NPM, version: newest.Version, digest: digest}, err
}

// fill fetches it and unpacks it into dir.
func (c carried) fill(ctx context.Context, work, dir string, progress func(done, total int64)) error {
	if c.name == "" {
		return nil
	}
	archive, err := packNPM(ctx, c.npm, c.name, c.version, c.digest, work, progress)
	if err != nil {
		return err
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	if err := unpackDotnet(archive, dir); err != nil {
		return fmt.Errorf("unpack %s %s: %w", c.name, c.version, err)
	}
	return errors.Join(os.Remove(archive), os.RemoveAll(filepath.Join(work, "cache")))
}
