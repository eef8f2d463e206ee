package runtimes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kiln"
)

// Where a box sees an interpreter and its bootstrap.
const (
	langDir    = "/var/lang"
	runtimeDir = "/var/runtime"
)

// compose makes the runtime that an interpreter serves: it puts the bootstrap, and
// whatever else the box needs that is not there already, into a directory of its
// own, and lists the mounts. The directory is named by what it is made of, so a
// second call finds it whole.
func (b *Book) compose(ctx context.Context, d *descriptor, i *interpreter, s stamp) (kiln.Runtime, error) {
	boot := openBootstrap(d.Family)
	sdkDir := b.fetchedSDK(b.sdkOf(d))
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%d %d\n%s\n%v\n%s %v", layoutVersion,
		boot.digest, d.Identifier, i.Program, s.Size, s.Modified, i.Version, i.Foreign, sdkDir, b.options.HostOnly))
	digest := hex.EncodeToString(sum[:])
	dir := filepath.Join(b.dir, "served", d.Identifier+"-"+digest[:16])
	if _, err := os.Stat(dir); err != nil {
		if err := b.build(ctx, dir, d, i, boot, sdkDir); err != nil {
			return kiln.Runtime{}, fmt.Errorf("prepare %s: %w", d.Identifier, err)
		}
	}
	b.standOn(dir)
	rt := d.runtime()
	rt.ReleaseARN = releaseARN(digest)
	rt.Release = release(d, i.Version)
	rt.Root = i.Root
	switch i.Family {
	case "java":
		if _, err := os.Stat(filepath.Join(dir, "runtime", trustStore)); err == nil {
			rt.Command = slices.Insert(rt.Command, 1, "-Djavax.net.ssl.trustStore="+runtimeDir+"/"+trustStore)
		}
		if _, err := os.Stat(filepath.Join(dir, "runtime", classArchive)); err == nil {
			rt.Command = slices.Insert(rt.Command, 1, archiveArguments(i)...)
		}
		rt.Env["LC_ALL"] = utf8Locale
	case "ruby":
		rt.Command = slices.Insert(rt.Command, 1, rubyLibraries(i)...)
		rt.Env["LC_ALL"] = utf8Locale
	}
	rt.Mounts = append(langMounts(dir, i), kiln.RuntimeMount{Source: filepath.Join(dir, "runtime"), Target: runtimeDir})
	rt.Mounts = append(rt.Mounts, b.sdkMounts(sdkDir, d.Family)...)
	return rt, nil
}

// layoutVersion changes when build makes something else of the same parts.
const layoutVersion = "2"

// release names what serves a runtime as INIT_START prints it: the identifier's
// version, then as v… what of the interpreter's version goes beyond it.
func release(d *descriptor, version string) string {
	named := strings.TrimSuffix(d.Version, ".x")
	rest := strings.TrimPrefix(strings.TrimPrefix(version, named), ".")
	if rest == "" {
		rest = "0"
	}
	return d.Family + ":" + named + ".v" + rest
}

// releaseARN names the exact parts that serve a runtime, as AWS names its own.
func releaseARN(digest string) string {
	return "arn:aws:lambda:" + kiln.DefaultRegion + "::runtime:" + digest
}

// runtime gives the part of a runtime that does not depend on this machine.
func (d *descriptor) runtime() kiln.Runtime {
	env := make(map[string]string, len(d.Env))
	for name, value := range d.Env {
		env[name] = value
	}
	return kiln.Runtime{
		Identifier: d.Identifier,
		Family:     d.Family,
		Version:    d.Version,
		Command:    append([]string(nil), d.Command...),
		HeapFlag:   d.Heap,
		Env:        env,
		Links:      maps.Clone(d.Links),
		Deprecated: d.Deprecated,
	}
}

// langMounts lists what makes up /var/lang. An interpreter with a prefix of its own
// is shown by it, without the packages that were installed into it; of one that
// shares its prefix with the system only its own pieces are shown, on a skeleton.
func langMounts(dir string, i *interpreter) []kiln.RuntimeMount {
	var mounts []kiln.RuntimeMount
	add := func(source, target string) {
		mounts = append(mounts, kiln.RuntimeMount{Source: source, Target: target})
	}
	switch {
	case i.Family == "dotnet":
		// AWS has it there, and DOTNET_ROOT says so.
		add(filepath.Join(dir, "lang"), langDir)
		add(i.Prefix, filepath.Join(langDir, "bin"))
	case i.sharedPrefix():
		add(filepath.Join(dir, "lang"), langDir)
		add(i.Program, filepath.Join(langDir, "bin", programName(i)))
	default:
		add(i.Prefix, langDir)
		for _, name := range []string{"envs", "pkgs"} { // of a conda installation
			if isDir(filepath.Join(i.Prefix, name)) {
				add("", filepath.Join(langDir, name))
			}
		}
	}
	if i.Family == "java" {
		mounts = append(mounts, javaMounts(i)...)
	}
	for _, library := range i.Libraries {
		rel, err := filepath.Rel(i.Prefix, library)
		if err != nil || strings.HasPrefix(rel, "..") {
			continue
		}
		if i.sharedPrefix() {
			add(library, filepath.Join(langDir, rel))
		}
		for _, name := range []string{"site-packages", "dist-packages"} {
			if isDir(filepath.Join(library, name)) {
				add("", filepath.Join(langDir, rel, name))
			}
		}
	}
	return mounts
}

// programName is the file name of the interpreter in /var/lang/bin.
func programName(i *interpreter) string {
	switch i.Family {
	case "nodejs":
		return "node"
	case "python":
		return "python" + i.minor()
	}
	return i.Family
}

// build makes the directory of a composed runtime: complete or not at all.
func (b *Book) build(ctx context.Context, dir string, d *descriptor, i *interpreter, boot bootstrap, sdkDir string) error {
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what cannot go now goes at the next start
	if err := makeDir(work); err != nil {
		return err
	}
	if err := makeSkeleton(filepath.Join(work, "lang"), i); err != nil {
		return err
	}
	home := filepath.Join(work, "runtime")
	if err := boot.write(home); err != nil {
		return err
	}
	if err := copyLibraries(filepath.Join(home, "lib"), i.Foreign); err != nil {
		return err
	}
	if err := b.placeSDK(ctx, home, sdkDir, i); err != nil {
		return err
	}
	if d.Family == "dotnet" {
		if err := writeProbe(home, i.Version); err != nil {
			return err
		}
	}
	if d.Family == "java" {
		if err := makeTrustStore(i, home); err != nil {
			return fmt.Errorf("make the authorities known: %w", err)
		}
		if archivesClasses(i) {
			if err := makeClassArchive(ctx, i, home); err != nil && ctx.Err() == nil {
				b.log.Warn("Java starts without an archive of its classes", "program", i.Program, "error", err)
			}
		}
	}
	if d.Family == "python" {
		if err := precompile(ctx, i.program(), home); err != nil {
			return fmt.Errorf("compile the bootstrap: %w", err)
		}
	}
	err = os.Rename(work, dir)
	if err != nil && isDir(dir) {
		return nil // another server made the same in the meantime
	}
	return err
}

// makeSkeleton makes the directory that the pieces of /var/lang are mounted on.
func makeSkeleton(dir string, i *interpreter) error {
	bin := filepath.Join(dir, "bin")
	if err := makeDir(bin); err != nil {
		return err
	}
	if !i.sharedPrefix() {
		return makeDir(dir)
	}
	name := programName(i)
	if err := writeFile(filepath.Join(bin, name), nil, 0o755); err != nil {
		return err
	}
	if i.Family == "python" {
		for _, link := range []string{"python" + i.minor()[:1], "python"} {
			if err := os.Symlink(name, filepath.Join(bin, link)); err != nil {
				return err
			}
		}
	}
	for _, library := range i.Libraries {
		rel, err := filepath.Rel(i.Prefix, library)
		if err != nil || strings.HasPrefix(rel, "..") {
			return fmt.Errorf("its library %s is not below its prefix %s", library, i.Prefix)
		}
		at := dir
		for _, part := range strings.Split(rel, "/") {
			at = filepath.Join(at, part)
			if err := makeDir(at); err != nil {
				return err
			}
		}
	}
	return makeDir(dir)
}

// copyLibraries puts shared libraries where the box looks for them, under every
// name that they have: a program asks by the name of a link as a rule.
func copyLibraries(dir string, files []string) error {
	if len(files) == 0 {
		return nil
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.Base(file))
		if err := copyFile(target, file); err != nil {
			return err
		}
		siblings, err := os.ReadDir(filepath.Dir(file))
		if err != nil {
			return err
		}
		for _, sibling := range siblings {
			other, err := os.Stat(filepath.Join(filepath.Dir(file), sibling.Name()))
			if err != nil || !os.SameFile(info, other) || sibling.Name() == filepath.Base(file) {
				continue
			}
			if err := os.Symlink(filepath.Base(file), filepath.Join(dir, sibling.Name())); err != nil && !os.IsExist(err) {
				return err
			}
		}
	}
	return nil
}

func copyFile(target, source string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Chmod(target, 0o755)
}

// precompile compiles the modules that lie beside the Python bootstrap under the
// names that they have in the box. The entry script is never imported and stays as it
// is.
func precompile(ctx context.Context, p program, dir string) error {
	const code = `
import glob, os, py_compile, sys
for name in glob.glob(os.path.join(sys.argv[1], "*.py")):
    if os.path.basename(name) != "bootstrap.py":
        py_compile.compile(name, dfile=os.path.join(sys.argv[2], os.path.basename(name)), doraise=True)
`
	if _, err := output(ctx, asSelf, p, "-E", "-S", "-c", code, dir, runtimeDir); err != nil {
		return err
	}
	return readableBelow(dir)
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}
