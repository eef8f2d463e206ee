package linux

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// tree is one mounted hierarchy of control groups.
type tree struct {
	point       string // where it is mounted
	own         string // the directory of this process in it
	home        string // our directory, kiln-<owner>: everything below is ours
	unified     bool   // cgroup v2
	controllers []string
}

// cgroups is every hierarchy that this driver uses, with its home directory made.
// On v1 hosts each controller has a tree; in a hybrid the unified tree only
// freezes and kills; on v2 hosts it does everything.
type cgroups struct {
	trees   []*tree          // those with a home
	at      map[string]*tree // controller → tree
	unified *tree            // the v2 tree, or nil
	inits   string           // where process 1 of every box lives in the unified tree, or ""
}

// wanted are the controllers that a box uses where they exist. cpuacct and freezer
// exist on v1 alone.
var wanted = []string{"memory", "cpu", "cpuacct", "pids", "freezer"}

// homeName is the directory of an owner in every tree.
func homeName(owner string) string { return "kiln-" + owner }

// findTrees lists the hierarchies that are mounted here, with this process's own
// directory in each.
func findTrees() ([]*tree, error) {
	own, err := ownCgroups()
	if err != nil {
		return nil, err
	}
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer mounts.Close()
	var trees []*tree
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		t := &tree{point: unescape(f[4])}
		var key string
		switch g[0] {
		case "cgroup2":
			t.unified = true
		case "cgroup":
			for o := range strings.SplitSeq(g[2], ",") {
				if slices.Contains(wanted, o) {
					t.controllers = append(t.controllers, o)
				}
			}
			if len(t.controllers) == 0 {
				continue
			}
			key = t.controllers[0]
		default:
			continue
		}
		if slices.ContainsFunc(trees, func(o *tree) bool { return o.unified == t.unified && slices.Equal(o.controllers, t.controllers) }) {
			continue // mounted twice
		}
		path, inside := strings.CutPrefix(own[key], strings.TrimSuffix(unescape(f[3]), "/"))
		t.own = filepath.Join(t.point, path)
		if _, err := os.Stat(t.own); !inside || err != nil {
			t.own = t.point
		}
		if t.unified {
			raw, _ := os.ReadFile(filepath.Join(t.point, "cgroup.controllers")) // unreadable is none
			for _, c := range strings.Fields(string(raw)) {
				if slices.Contains(wanted, c) {
					t.controllers = append(t.controllers, c)
				}
			}
		}
		trees = append(trees, t)
	}
	return trees, lines.Err()
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// ownCgroups gives this process's path in each v1 controller's tree, and in the
// unified tree under the empty name.
func ownCgroups() (map[string]string, error) {
	raw, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		for name := range strings.SplitSeq(f[1], ",") {
			own[name] = f[2]
		}
	}
	return own, nil
}

// openCgroups makes the owner's home in every tree that is of use. A tree that
// cannot be written is left out, and its controllers with it. With version1 the
// unified tree is left out too. Rootless there may be none: then nothing is limited
// by groups, and boxes freeze by signals.
func openCgroups(owner string, version1, rootless bool) (*cgroups, error) {
	trees, err := findTrees()
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	c := &cgroups{at: map[string]*tree{}}
	// The unified tree first: where it works, a v1 freezer is left alone.
	slices.SortStableFunc(trees, func(a, b *tree) int {
		if a.unified == b.unified {
			return 0
		} else if a.unified {
			return -1
		}
		return 1
	})
	var refused []error
	for _, t := range trees {
		if version1 && t.unified || rootless && !t.unified {
			continue
		}
		if c.unified != nil && slices.Equal(t.controllers, []string{"freezer"}) {
			continue
		}
		if t.unified {
			err = t.openUnified(owner, rootless)
		} else {
			t.home = filepath.Join(t.own, homeName(owner))
			err = mkdir(t.home)
		}
		if err != nil {
			refused = append(refused, fmt.Errorf("control groups at %s: %w", t.point, err))
			continue
		}
		c.trees = append(c.trees, t)
		for _, name := range t.controllers {
			c.at[name] = t
		}
		if t.unified {
			c.unified = t
		}
	}
	if c.unified == nil && c.at["freezer"] == nil && !rootless {
		return nil, errors.Join(append([]error{errors.New("no writable control groups: neither a v2 tree nor a v1 freezer")}, refused...)...)
	}
	if c.unified != nil {
		c.inits = filepath.Join(c.unified.home, "init")
		if err := mkdir(c.inits); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// serverLeaf is where the processes of a delegated group go, so that it may hand
// controllers to its children.
const serverLeaf = "kiln-server"

// base is the group of a v2 tree in which the home lies: this process's own where that
// is ours to divide, since it was delegated (systemd's Delegate=yes) or it is the root
// of what we see. Everywhere else it is the root of the tree, and rootless there is
// none.
func (t *tree) base(rootless bool) (string, error) {
	switch {
	case filepath.Base(t.own) == serverLeaf:
		return filepath.Dir(t.own), nil // a server of this kind has moved us before
	case t.own != t.point && delegated(t.own):
		return t.own, nil
	case rootless:
		return t.own, granted(t.own)
	}
	return t.point, nil
}

// openUnified makes the home in a v2 tree and hands it as many controllers as the
// tree has.
func (t *tree) openUnified(owner string, rootless bool) error {
	base, err := t.base(rootless)
	if err != nil {
		return err
	}
	if len(t.controllers) > 0 {
		// The true root may have processes and children with controllers; every other
		// group must not. cgroup.type exists everywhere but in the true root.
		if _, err := os.Stat(filepath.Join(base, "cgroup.type")); err == nil {
			if err := vacate(base); err != nil {
				return err
			}
		}
		t.controllers = enable(base, t.controllers)
	}
	t.home = filepath.Join(base, homeName(owner))
	if err := mkdir(t.home); err != nil {
		return err
	}
	t.controllers = enable(t.home, t.controllers)
	return nil
}

// delegated says whether a service manager gave this v2 group away.
func delegated(dir string) bool {
	mark := make([]byte, 8)
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		if n, err := unix.Getxattr(dir, name, mark); err == nil && n == 1 && mark[0] == '1' {
			return true
		}
	}
	return false
}

// granted says why a v2 group is not this user's to divide though no mark says that it
// is, or nil. It is where the user may write it and not the one above: somebody who
// may do more gave it away there. Below that, groups belong to whoever made them.
func granted(dir string) error {
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control"} {
		if err := unix.Access(filepath.Join(dir, name), unix.W_OK); err != nil {
			return fmt.Errorf("%s was not delegated to this user: %w", filepath.Join(dir, name), err)
		}
	}
	if unix.Access(filepath.Join(filepath.Dir(dir), "cgroup.procs"), unix.W_OK) == nil {
		return fmt.Errorf("%s is not delegated to this server", dir)
	}
	return nil
}

// vacate moves every process of a v2 group into one leaf of it.
func vacate(dir string) error {
	leaf := filepath.Join(dir, serverLeaf)
	for range 20 { // processes may fork while we move them
		pids, err := readPIDs(dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		if err := mkdir(leaf); err != nil {
			return err
		}
		for _, pid := range pids {
			err := write(leaf, "cgroup.procs", fmt.Sprint(pid))
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return fmt.Errorf("%s: its processes multiply faster than they can be moved", dir)
}

// enable hands each controller to the children of a v2 group and returns those
// that the kernel granted.
func enable(dir string, controllers []string) []string {
	var granted []string
	for _, c := range controllers {
		if write(dir, "cgroup.subtree_control", "+"+c) == nil {
			granted = append(granted, c)
		}
	}
	return granted
}

// close removes the homes. Boxes are gone by then.
func (c *cgroups) close() error {
	var errs []error
	if c.inits != "" {
		errs = append(errs, rmdir(c.inits))
	}
	for _, t := range c.trees {
		errs = append(errs, rmdir(t.home))
	}
	return errors.Join(errs...)
}

// mkdir makes a group; that it exists already is no error.
func mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// openControl opens one control file, to be read or written many times.
func openControl(dir, file string, flags int) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, file), flags, 0)
}

// write sets one control file.
func write(dir, file, value string) error {
	fd, err := unix.Open(filepath.Join(dir, file), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: filepath.Join(dir, file), Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return &fs.PathError{Op: "write " + value + " to", Path: filepath.Join(dir, file), Err: err}
	}
	return nil
}
