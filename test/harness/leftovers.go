package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// AssertNothingLeft checks that no mount, cgroup, loop device or process names the
// data directory or its owner id.
func AssertNothingLeft(t testing.TB, data string) {
	t.Helper()
	if left := Leftovers(data); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// Leftovers lists what a server left on the machine.
func Leftovers(data string) []string {
	var left []string
	owner, _ := os.ReadFile(filepath.Join(data, "owner"))
	id := strings.TrimSpace(string(owner))
	if mounts, err := os.ReadFile("/proc/self/mounts"); err == nil {
		for _, line := range strings.Split(string(mounts), "\n") {
			if strings.Contains(line, data+"/") {
				left = append(left, "mount "+line)
			}
		}
	}
	for _, dir := range Cgroups(id) {
		left = append(left, "cgroup "+dir)
	}
	for _, l := range Loops(data) {
		left = append(left, "loop device "+l)
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	for _, p := range procs {
		if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), data+"/") {
			left = append(left, "process with its mounts "+p)
		}
	}
	return left
}

// Cgroups lists the control groups that carry an owner id.
func Cgroups(owner string) []string {
	var all []string
	if owner == "" {
		return nil
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*", "/sys/fs/cgroup/*/*/*"} {
		found, _ := filepath.Glob(pattern) // the pattern is well-formed
		for _, f := range found {
			if strings.Contains(filepath.Base(f), owner) {
				all = append(all, f)
			}
		}
	}
	return all
}

// Loops lists the loop devices whose file lies in a data directory.
func Loops(data string) []string {
	var all []string
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // the pattern is well-formed
	for _, f := range files {
		if back, err := os.ReadFile(f); err == nil && strings.Contains(string(back), data+"/") {
			all = append(all, f+" "+strings.TrimSpace(string(back)))
		}
	}
	return all
}
