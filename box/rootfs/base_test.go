package rootfs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln"
	"kiln/box/rootfs"
)

func emptyHost(t testing.TB) string {
	t.Helper()
	host := t.TempDir()
	if err := os.Mkdir(filepath.Join(host, "usr"), 0o755); err != nil {
		t.Fatal(err)
	}
	return host
}

// makeHost makes a root directory with files (name: contents), links (name: ->
// target) and directories (name/).
func makeHost(t *testing.T, things map[string]string) string {
	t.Helper()
	host := t.TempDir()
	for name, text := range things {
		path := filepath.Join(host, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, isLink := strings.CutPrefix(text, "-> "); isLink {
			err = os.Symlink(to, path)
		} else if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return host
}

func compose(t *testing.T, host string, rt kiln.Runtime) (kiln.Rootfs, error) {
	t.Helper()
	c, err := rootfs.Open(t.TempDir(), &blobs{}, rootfs.Options{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	return c.Compose("/the/code", rt)
}

// lookup gives where a path of the box comes from on the host, as mounts in order
// have it; "" is an empty directory.
func lookup(r kiln.Rootfs, path string) (source string, there bool) {
	for i := len(r.Mounts) - 1; i >= 0; i-- {
		m := r.Mounts[i]
		if path != m.Target && !strings.HasPrefix(path, strings.TrimSuffix(m.Target, "/")+"/") {
			continue
		}
		if m.Source == "" {
			return "", path == m.Target
		}
		source := filepath.Join(m.Source, strings.TrimPrefix(path, m.Target))
		_, err := os.Lstat(source)
		return source, err == nil
	}
	return "", false
}

func TestTheBaseOfThisHostHasAPlaceForEveryMount(t *testing.T) {
	r, err := compose(t, "/", kiln.Runtime{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Mounts[0].Target != "/" || r.Mounts[len(r.Mounts)-1] != (kiln.RuntimeMount{Source: "/the/code", Target: "/var/task"}) {
		t.Errorf("mounts are %v", r.Mounts)
	}
	for i, m := range r.Mounts[1:] {
		if _, there := lookup(kiln.Rootfs{Mounts: r.Mounts[:i+1]}, m.Target); !there {
			t.Errorf("%s has no place to be mounted on", m.Target)
		}
	}
	for _, path := range []string{"/dev", "/proc", "/tmp", "/opt", "/var/runtime", "/var/lang", "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf", "/usr/bin/env"} {
		if _, there := lookup(r, path); !there {
			t.Errorf("%s is missing", path)
		}
	}
	for _, path := range []string{"/etc/shadow", "/root/.bashrc", "/home/x", "/usr/local/bin", "/etc/ssl/private", "/etc/machine-id"} {
		if source, there := lookup(r, path); there {
			t.Errorf("%s can be seen: it is %s", path, source)
		}
	}
	for _, f := range r.Files {
		if !strings.Contains(string(f.Contents), "${UID}") {
			t.Errorf("%s does not name the box's user", f.Path)
		}
	}
	err = filepath.WalkDir(r.Mounts[0].Source, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if m := info.Mode(); m.Type() != fs.ModeSymlink && m.Perm()&0o004 == 0 || m.IsDir() && m.Perm() != 0o755 {
			t.Errorf("%s has mode %v", name, m)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheRootHasTheLinksOfTheHost(t *testing.T) {
	r, err := compose(t, makeHost(t, map[string]string{
		"usr/bin/sh": "#!", "usr/lib/x": "1", "bin": "-> usr/bin", "sbin": "-> usr/sbin", "lib": "-> usr/lib", "lib64": "-> usr/lib64",
	}), kiln.Runtime{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"} {
		if got, err := os.Readlink(filepath.Join(r.Mounts[0].Source, name)); got != want {
			t.Errorf("/%s leads to %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(r.Mounts[0].Source, "lib32")); err == nil {
		t.Error("there is a /lib32 though the host has none")
	}
}

func TestAHostThatIsNotMergedIsShownByDirectories(t *testing.T) {
	host := makeHost(t, map[string]string{"usr/bin/env": "1", "bin/sh": "1", "lib/ld.so": "1"})
	r, err := compose(t, host, kiln.Runtime{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/bin/sh", "/lib/ld.so", "/usr/bin/env"} {
		if source, there := lookup(r, path); !there || source != filepath.Join(host, path) {
			t.Errorf("%s is %q, %v", path, source, there)
		}
	}
}

func TestPackagesInstalledOnTheHostAreHidden(t *testing.T) {
	hidden := []string{
		"/usr/local/lib/python3.11/site-packages/x", "/usr/lib/python3/dist-packages/yaml", "/usr/lib/python3.12/site-packages/y",
		"/usr/lib64/python3.9/site-packages/z", "/usr/lib/node_modules/npm", "/usr/local/bin/tool",
	}
	shown := []string{"/usr/lib/python3.12/os.py", "/usr/lib/python3/x", "/usr/bin/python3"}
	things := map[string]string{}
	for _, name := range slices.Concat(hidden, shown) {
		things[name[1:]] = "1"
	}
	r, err := compose(t, makeHost(t, things), kiln.Runtime{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range hidden {
		if source, there := lookup(r, path); there {
			t.Errorf("%s can be seen: it is %s", path, source)
		}
	}
	for _, path := range shown {
		if _, there := lookup(r, path); !there {
			t.Errorf("%s cannot be seen", path)
		}
	}
}

func TestCertificatesAreCopiedAndSecretsAreNot(t *testing.T) {
	host := makeHost(t, map[string]string{
		"usr/share/ca-certificates/a.crt": "A", "usr/local/share/ca-certificates/own.crt": "OWN", "usr/lib/os-release": "NAME=x", "bin": "-> usr/bin",
		"etc/ssl/certs/a.pem": "-> /usr/share/ca-certificates/a.crt", "etc/ssl/certs/own.pem": "-> /usr/local/share/ca-certificates/own.crt",
		"etc/ssl/certs/1234.0": "-> a.pem", "etc/ssl/certs/ca-certificates.crt": "BUNDLE", "etc/ssl/certs/key": "SECRET", "etc/ssl/private/key": "SECRET",
		"etc/alternatives/awk": "-> /usr/bin/mawk", "etc/shadow": "SECRET", "etc/ld.so.cache": "CACHE", "etc/ssl/certs/dangling": "-> /gone/x",
	})
	if err := os.Chmod(filepath.Join(host, "etc/ssl/certs/key"), 0o640); err != nil {
		t.Fatal(err)
	}
	r, err := compose(t, host, kiln.Runtime{})
	if err != nil {
		t.Fatal(err)
	}
	root := r.Mounts[0].Source
	for name, want := range map[string]string{
		"etc/ssl/certs/a.pem": "-> /usr/share/ca-certificates/a.crt", "etc/ssl/certs/1234.0": "-> a.pem", "etc/ssl/certs/own.pem": "OWN",
		"etc/ssl/certs/ca-certificates.crt": "BUNDLE", "etc/pki/tls/certs/ca-bundle.crt": "-> /etc/ssl/certs/ca-certificates.crt",
		"etc/alternatives/awk": "-> /usr/bin/mawk", "etc/ld.so.cache": "CACHE", "etc/os-release": "-> ../usr/lib/os-release",
	} {
		got, err := os.Readlink(filepath.Join(root, name))
		got = "-> " + got
		if err != nil {
			var text []byte
			text, err = os.ReadFile(filepath.Join(root, name))
			got = string(text)
		}
		if got != want || err != nil {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"etc/ssl/certs/key", "etc/ssl/private", "etc/shadow", "etc/ssl/certs/dangling"} {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			t.Errorf("/%s was copied", name)
		}
	}
}

func TestARuntimeGetsAPlaceForItsFiles(t *testing.T) {
	host := makeHost(t, map[string]string{"usr/lib/libx.so": "1"})
	files := makeHost(t, map[string]string{"lang/bin/python": "1", "lang/lib/site-packages/x": "1", "bootstrap": "1", "other/": ""})
	rt := kiln.Runtime{Mounts: []kiln.RuntimeMount{
		{Source: filepath.Join(files, "lang"), Target: "/var/lang"},
		{Source: "", Target: "/var/lang/lib/site-packages"},
		{Source: filepath.Join(files, "bootstrap"), Target: "/var/runtime/bootstrap"},
		{Source: filepath.Join(files, "other"), Target: "/srv/deep/other"},
		{Source: filepath.Join(files, "bootstrap"), Target: "/usr/lib/libx.so"},
	}}
	r, err := compose(t, host, rt)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range r.Mounts[1:] {
		place, there := lookup(kiln.Rootfs{Mounts: r.Mounts[:i+1]}, m.Target)
		if !there {
			t.Errorf("%s has no place to be mounted on", m.Target)
			continue
		}
		if m.Source == "" || m.Source == "/the/code" {
			continue
		}
		from, err1 := os.Stat(m.Source)
		on, err2 := os.Stat(place)
		if err1 != nil || err2 != nil || from.IsDir() != on.IsDir() {
			t.Errorf("%s (directory %v) on %s: %v %v", m.Source, from.IsDir(), place, err1, err2)
		}
	}
	if _, there := lookup(r, "/var/lang/lib/site-packages/x"); there {
		t.Error("what the runtime hides can be seen")
	}
	for name, mounts := range map[string][]kiln.RuntimeMount{
		"a source that is gone":      {{Source: filepath.Join(files, "gone"), Target: "/var/lang"}},
		"no place in another mount":  {{Source: filepath.Join(files, "lang"), Target: "/usr/nowhere"}},
		"no place in what is hidden": {{Source: "", Target: "/var/lang"}, {Source: filepath.Join(files, "lang"), Target: "/var/lang/bin"}},
	} {
		if _, err := compose(t, host, kiln.Runtime{Mounts: mounts}); kiln.CodeOf(err) != kiln.BadRuntime {
			t.Errorf("%s: %v, want BadRuntime", name, err)
		}
	}
}

func TestEqualRuntimesShareABase(t *testing.T) {
	c, dir := openCache(t, &blobs{})
	for range 3 {
		if _, err := c.Compose("/code", kiln.Runtime{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, filepath.Join(dir, "base")); len(got) != 1 {
		t.Errorf("there are %d bases, want 1", len(got))
	}
}
