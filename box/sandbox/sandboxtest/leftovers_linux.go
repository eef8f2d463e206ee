package sandboxtest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Leftovers lists the kernel objects on this host that carry an owner's id: control
// groups, processes, loop devices and mounts. After a driver's Close there are
// none. It looks for itself and does not ask the driver.
func Leftovers(owner string) ([]string, error) {
	home := "kiln-" + owner
	var found []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, home) {
			found = append(found, "mount "+strings.TrimSpace(line))
		}
		f := strings.Fields(line)
		if len(f) < 5 || !strings.Contains(line, " - cgroup") {
			continue
		}
		err := filepath.WalkDir(f[4], func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it went away meanwhile
			}
			if err == nil && e.IsDir() && e.Name() == home {
				found = append(found, "control group "+path)
				return fs.SkipDir
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	for _, path := range lines {
		line, err := os.ReadFile(path)
		if err == nil && bytes.HasPrefix(line, []byte("kiln-init\x00"+owner+"\x00")) {
			found = append(found, "process "+filepath.Base(filepath.Dir(path)))
		}
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	for _, path := range loops {
		backing, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(backing), "/"+home+"-") {
			found = append(found, "loop device "+path+" of "+strings.TrimSpace(string(backing)))
		}
	}
	return found, nil
}
