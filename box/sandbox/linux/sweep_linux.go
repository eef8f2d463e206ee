package linux

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sweep removes what a driver with this owner left when it was killed: processes,
// control groups and loop devices. It touches nothing that carries another owner's
// id. Namespaces and mounts need no sweep: they end with their processes.
func sweep(owner, state string, log *slog.Logger) error {
	var errs []error
	killed, err := sweepInits(owner)
	errs = append(errs, err)
	groups, err := sweepGroups(owner)
	errs = append(errs, err)
	loops, err := sweepLoops(owner, state)
	errs = append(errs, err)
	if killed+groups+loops > 0 {
		log.Info("removed leftovers of an earlier run", "inits", killed, "groups", groups, "loops", loops)
	}
	return errors.Join(errs...)
}

// sweepInits kills every init of this owner. An init ends by itself when its server
// does, so that this finds only one that could not.
func sweepInits(owner string) (int, error) {
	pids, err := findInits(owner)
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
			return 0, fmt.Errorf("kill leftover init %d: %w", pid, err)
		}
	}
	return len(pids), err
}

// findInits lists the processes that are process 1 of a pid namespace below ours
// and carry the owner's id where an init of ours has it.
func findInits(owner string) ([]int, error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	want := []byte("kiln-init\x00" + owner + "\x00")
	var found []int
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", d.Name(), "cmdline"))
		if err != nil || !bytes.HasPrefix(line, want) {
			continue
		}
		status, err := os.ReadFile(filepath.Join("/proc", d.Name(), "status"))
		if err != nil {
			continue
		}
		for l := range strings.Lines(string(status)) {
			if ids, ok := strings.CutPrefix(l, "NSpid:"); ok {
				if f := strings.Fields(ids); len(f) > 1 && f[len(f)-1] == "1" {
					found = append(found, pid)
				}
			}
		}
	}
	return found, nil
}

// sweepGroups kills whatever is in a control group of this owner, in any tree and at
// any depth (the server may have been elsewhere the last time), and removes it.
func sweepGroups(owner string) (int, error) {
	trees, err := findTrees()
	if err != nil {
		return 0, err
	}
	// Where processes freeze first: elsewhere they would not die of a kill.
	slices.SortStableFunc(trees, func(a, b *tree) int { return b.freezes() - a.freezes() })
	var count int
	var errs []error
	for _, t := range trees {
		var homes []string
		err := filepath.WalkDir(t.point, func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				return nil // it went away meanwhile, or is nothing of this user's
			} else if err != nil {
				return err
			}
			if e.IsDir() && e.Name() == homeName(owner) {
				homes = append(homes, path)
				return fs.SkipDir
			}
			return nil
		})
		errs = append(errs, err)
		for _, home := range homes {
			count++
			errs = append(errs, removeTree(home))
		}
	}
	return count, errors.Join(errs...)
}

// freezes is 1 for a tree in which processes can be frozen.
func (t *tree) freezes() int {
	if t.unified || slices.Contains(t.controllers, "freezer") {
		return 1
	}
	return 0
}

// removeTree kills the processes of a control group and of all below it, and
// removes the directories, the deepest first.
func removeTree(dir string) error {
	var below []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			below = append(below, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := len(below) - 1; i >= 0; i-- {
		if err := killGroup(below[i]); err != nil {
			return err
		}
		if err := rmdir(below[i]); err != nil {
			return err
		}
	}
	return nil
}

// killGroup kills the processes of a control group in any kind of tree.
func killGroup(dir string) (err error) {
	g := &group{}
	switch {
	case exists(dir, "cgroup.freeze"):
		g.core = dir
	case exists(dir, "freezer.state"):
		g.legacy = dir
	default: // nothing can be frozen here: it was thawed in another tree
		g.legacy = dir
		return g.killOnce()
	}
	f, err := openFreezer(g.core, g.legacy)
	if err != nil {
		return err
	}
	defer f.close()
	g.freezer = f
	return g.kill()
}

// sweepLoops clears the loop devices whose file carries this owner's name and lies
// in its state directory. They clear themselves when their mount goes; this finds
// one that was never mounted.
func sweepLoops(owner, state string) (int, error) {
	devices, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return 0, err
	}
	prefix := filepath.Join(state, "scratch", homeName(owner)+"-")
	var count int
	var errs []error
	for _, d := range devices {
		n, err := strconv.Atoi(strings.TrimPrefix(strings.Split(d, "/")[3], "loop"))
		if err != nil || !strings.HasPrefix(backingFile(n), prefix) {
			continue
		}
		count++
		errs = append(errs, clearLoop(n))
	}
	return count, errors.Join(errs...)
}

// clearLoop unbinds loop device n, at once or when its last user is gone.
func clearLoop(n int) error {
	fd, err := unix.Open(fmt.Sprintf("/dev/loop%d", n), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/loop%d: %w", n, err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0); err != nil && err != unix.ENXIO {
		return fmt.Errorf("clear /dev/loop%d: %w", n, err)
	}
	return nil
}
