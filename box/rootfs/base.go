package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"kiln"
)

var (
	// topDirs are the host's directories of programs and libraries. Where the host
	// has a link into /usr, the base has the same link.
	topDirs = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}
	// masked are directories of the host that a function must not see: what was
	// installed beside the system is on no other machine.
	masked = []string{
		"/usr/local",
		"/usr/lib/python*/dist-packages", "/usr/lib/python*/site-packages", "/usr/lib64/python*/site-packages",
		"/usr/lib/node_modules", "/usr/lib/nodejs", "/usr/lib/ruby/vendor_ruby", "/usr/lib/ruby/gems",
	}
	// emptyDirs are in every base.
	emptyDirs = []string{
		"dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "sys", "tmp", "usr",
		"var", "var/lang", "var/lib", "var/log", "var/runtime", "var/task", "var/tmp",
	}
)

// Compose gives the directories of an environment whose package lies in the host
// directory code: the base, the host's programs and libraries, what hides the rest
// of the host, the runtime, the package. It does not look into code.
func (c *Cache) Compose(code string, rt kiln.Runtime) (kiln.Rootfs, error) {
	mounts, err := c.base(rt)
	if err != nil {
		return kiln.Rootfs{}, err
	}
	return kiln.Rootfs{
		Mounts: append(slices.Clone(mounts), kiln.RuntimeMount{Source: code, Target: taskDir}),
		Files:  []kiln.RootfsFile{{Path: "/etc/passwd", Contents: []byte(passwdFile)}, {Path: "/etc/group", Contents: []byte(groupFile)}},
	}, nil
}

// base gives everything below the package. It looks at the host once for each root,
// set of mounts and set of links that a runtime has: cold starts wait for it.
func (c *Cache) base(rt kiln.Runtime) ([]kiln.RuntimeMount, error) {
	var key strings.Builder
	key.WriteString(rt.Root + "\x00")
	for _, m := range rt.Mounts {
		key.WriteString(m.Source + "\x00" + m.Target + "\x00")
	}
	for _, place := range slices.Sorted(maps.Keys(rt.Links)) {
		key.WriteString(place + "\x00" + rt.Links[place] + "\x00")
	}
	c.mu.Lock()
	known := c.bases[key.String()]
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	mounts, err := c.compose(rt)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bases[key.String()] = mounts
	return mounts, nil
}

func (c *Cache) compose(rt kiln.Runtime) ([]kiln.RuntimeMount, error) {
	if rt.Whole {
		return append([]kiln.RuntimeMount{{Source: rt.Root, Target: "/"}}, rt.Mounts...), nil
	}
	host := c.host
	if rt.Root != "" {
		host = rt.Root
	}
	mounts, links, err := hostMounts(host)
	if err != nil {
		return nil, fmt.Errorf("make base: %w", err)
	}
	for place, to := range rt.Links {
		links[strings.TrimPrefix(path.Clean(place), "/")] = to
	}
	mounts = append(mounts, rt.Mounts...)
	dirs, files, err := placeholders(mounts)
	if err != nil {
		return nil, err
	}
	root, err := c.root(host, links, dirs, files)
	if err != nil {
		return nil, fmt.Errorf("make base: %w", err)
	}
	return slices.Insert(mounts, 0, kiln.RuntimeMount{Source: root, Target: "/"}), nil
}

// root gives the root directory with a set of links and places. It is made once
// for all runtimes that need the same, which is all of them as a rule.
func (c *Cache) root(host string, links map[string]string, dirs, files []string) (string, error) {
	key := fmt.Sprintf("root %q %q %q %q", host, links, dirs, files)
	for {
		c.mu.Lock()
		known := c.roots[key]
		c.mu.Unlock()
		if known != "" {
			return known, nil
		}
		f, mine := c.claim(key)
		if !mine {
			<-f.done
			if f.err != nil {
				return "", f.err
			}
			continue
		}
		var root string
		if root, f.err = c.makeRoot(host, links, dirs, files); f.err == nil {
			c.mu.Lock()
			c.roots[key] = root
			c.mu.Unlock()
		}
		c.release(key, f)
		return root, f.err
	}
}

// hostMounts gives what the base shows of the host, and the links of its root.
func hostMounts(host string) (mounts []kiln.RuntimeMount, links map[string]string, err error) {
	mounts = []kiln.RuntimeMount{{Source: filepath.Join(host, "usr"), Target: "/usr"}}
	links = map[string]string{}
	for _, name := range topDirs {
		source := filepath.Join(host, name)
		info, err := os.Lstat(source)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, nil, err
		case info.Mode().Type() == fs.ModeSymlink:
			if links[name], err = os.Readlink(source); err != nil {
				return nil, nil, err
			}
		case info.IsDir():
			mounts = append(mounts, kiln.RuntimeMount{Source: source, Target: "/" + name})
		}
	}
	for _, pattern := range masked {
		found, err := filepath.Glob(filepath.Join(host, pattern))
		if err != nil {
			return nil, nil, err
		}
		for _, dir := range found {
			if info, err := os.Lstat(dir); err == nil && info.IsDir() {
				mounts = append(mounts, kiln.RuntimeMount{Target: "/" + strings.Trim(strings.TrimPrefix(dir, host), "/")})
			}
		}
	}
	return mounts, links, nil
}

// placeholders gives the directories and files that the root needs for mounts to
// have a place. A mount inside of another one needs its place there.
func placeholders(mounts []kiln.RuntimeMount) (dirs, files []string, err error) {
	for i, m := range mounts {
		isFile := false
		if m.Source != "" {
			info, err := os.Stat(m.Source)
			if err != nil {
				return nil, nil, &kiln.Error{Code: kiln.BadRuntime, Message: "The runtime's files are not where they were: " + m.Source + ".", Err: err}
			}
			isFile = !info.IsDir()
		}
		if around := enclosing(mounts[:i], m.Target); around != nil {
			if around.Target == m.Target {
				continue
			}
			place := filepath.Join(around.Source, strings.TrimPrefix(m.Target, around.Target))
			if _, err := os.Stat(place); around.Source == "" || err != nil {
				return nil, nil, kiln.Errorf(kiln.BadRuntime, "The runtime cannot show %s: %s has no such place.", m.Target, around.Target)
			}
			continue
		}
		name := strings.TrimPrefix(path.Clean(m.Target), "/")
		if isFile {
			files = append(files, name)
		} else {
			dirs = append(dirs, name)
		}
	}
	return dirs, files, nil
}

// enclosing gives the last mount that a target lies in, or nil.
func enclosing(mounts []kiln.RuntimeMount, target string) *kiln.RuntimeMount {
	for i := len(mounts) - 1; i >= 0; i-- {
		if m := &mounts[i]; target == m.Target || strings.HasPrefix(target, strings.TrimSuffix(m.Target, "/")+"/") {
			return m
		}
	}
	return nil
}

// makeRoot makes the root directory of a base: empty but for places, links and the
// files of /etc.
func (c *Cache) makeRoot(host string, links map[string]string, dirs, files []string) (string, error) {
	dir, err := os.MkdirTemp(filepath.Join(c.dir, "base"), "root-")
	if err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	for _, name := range slices.Concat(emptyDirs, dirs) {
		if err := makeDir(root, name); err != nil {
			return "", err
		}
	}
	for _, name := range files {
		if err := makeFile(root, name, nil); err != nil {
			return "", err
		}
	}
	if err := c.fillEtc(host, root); err != nil {
		return "", err
	}
	for name, to := range links {
		if err := root.Symlink(to, name); err != nil {
			return "", err
		}
	}
	return dir, root.Chmod(".", 0o755)
}

// makeDir makes a directory with all above it, readable by everybody.
func makeDir(root *os.Root, name string) error {
	if _, err := root.Lstat(name); err == nil || name == "." {
		return err
	}
	if err := makeDir(root, path.Dir(name)); err != nil {
		return err
	}
	return errors.Join(root.Mkdir(name, 0o755), root.Chmod(name, 0o755)) // the umask does not count
}

func makeFile(root *os.Root, name string, text []byte) error {
	if err := makeDir(root, path.Dir(name)); err != nil {
		return err
	}
	if err := root.WriteFile(name, text, 0o644); err != nil {
		return err
	}
	return root.Chmod(name, 0o644)
}
