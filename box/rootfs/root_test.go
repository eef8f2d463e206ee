package rootfs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln"
	"kiln/box/rootfs"
)

func TestARuntimeThatBringsARootSeesNothingOfTheHost(t *testing.T) {
	host := makeHost(t, map[string]string{
		"usr/bin/tool": "of the host", "lib64/ld.so": "of the host", "etc/services": "of the host", "usr/local/bin/": "",
	})
	own := makeHost(t, map[string]string{
		"usr/bin/tool": "of the runtime", "usr/lib64/ld.so": "of the runtime", "etc/services": "of the runtime",
		"lib64": "-> usr/lib64", "etc/passwd": "not this one",
	})
	c, err := rootfs.Open(t.TempDir(), &blobs{}, rootfs.Options{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ root, from string }{{"", "of the host"}, {own, "of the runtime"}, {"", "of the host"}} {
		r, err := c.Compose("/the/code", kiln.Runtime{Root: want.root})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/usr/bin/tool", "/etc/services"} {
			source, there := lookup(r, path)
			if text, err := os.ReadFile(source); !there || err != nil || string(text) != want.from {
				t.Errorf("root %q: %s is %q %v, want %q", want.root, path, text, err, want.from)
			}
		}
		link, err := os.Readlink(filepath.Join(r.Mounts[0].Source, "lib64"))
		if want.root != "" && (err != nil || link != "usr/lib64") {
			t.Errorf("the root's own link: %q %v", link, err)
		}
		for _, m := range r.Mounts {
			if want.root != "" && strings.HasPrefix(m.Source, host) {
				t.Errorf("%s of the host is shown", m.Source)
			}
		}
		if passwd, err := os.ReadFile(filepath.Join(r.Mounts[0].Source, "etc/passwd")); err != nil || len(passwd) != 0 {
			t.Errorf("the root's own users are shown: %q %v", passwd, err)
		}
	}
}

func TestTheLinksOfARuntimeAreInItsRootAlone(t *testing.T) {
	c, err := rootfs.Open(t.TempDir(), &blobs{}, rootfs.Options{Host: emptyHost(t)})
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]string{"/node_modules": "/var/runtime/node_modules", "/var/node_modules": "/opt/nodejs/node_modules"}
	with, err := c.Compose("/the/code", kiln.Runtime{Links: links})
	if err != nil {
		t.Fatal(err)
	}
	without, err := c.Compose("/the/code", kiln.Runtime{})
	if err != nil {
		t.Fatal(err)
	}
	for place, want := range links {
		if got, err := os.Readlink(filepath.Join(with.Mounts[0].Source, place)); err != nil || got != want {
			t.Errorf("%s: got %q %v, want %q", place, got, err, want)
		}
		if _, err := os.Lstat(filepath.Join(without.Mounts[0].Source, place)); !os.IsNotExist(err) {
			t.Errorf("%s is in the root of another runtime: %v", place, err)
		}
	}
}
