package runtimes

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"kiln"
	"kiln/box/runtimes/gorpc"
)

// bridge lets functions of go1.x be started by kiln's own program, a copy of which lies
// in /var/runtime: those of its first years speak a protocol of their own.
func (b *Book) bridge(d *descriptor, rt *kiln.Runtime) error {
	s, err := stampOf(b.options.Bridge)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d %d", layoutVersion, b.options.Bridge, s.Size, s.Modified))
	dir := filepath.Join(b.dir, "served", d.Identifier+"-"+hex.EncodeToString(sum[:])[:16])
	if !isDir(dir) {
		if err := b.copyBridge(dir); err != nil {
			return err
		}
	}
	rt.Command = slices.Insert(rt.Command, 0, runtimeDir+"/"+gorpc.Name)
	rt.Mounts = []kiln.RuntimeMount{{Source: filepath.Join(dir, "runtime"), Target: runtimeDir}}
	return nil
}

// copyBridge makes the directory of the bridge, complete or not at all, and deletes
// those of earlier versions of the program: no environment of theirs outlived it.
func (b *Book) copyBridge(dir string) error {
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	earlier, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "go1.x-*"))
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what cannot go now goes at the next start
	for _, name := range []string{work, filepath.Join(work, "runtime")} {
		if err := makeDir(name); err != nil {
			return err
		}
	}
	if err := copyFile(filepath.Join(work, "runtime", gorpc.Name), b.options.Bridge); err != nil {
		return err
	}
	if err := os.Rename(work, dir); err != nil && !isDir(dir) { // or another server made it
		return err
	}
	for _, name := range earlier {
		if err := os.RemoveAll(name); err != nil {
			b.log.Warn("an earlier bridge of go1.x cannot be removed", "error", err)
		}
	}
	return nil
}
