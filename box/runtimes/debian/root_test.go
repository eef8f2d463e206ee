package debian_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/box/runtimes/debian"
)

func TestARootIsMadeOfPackagesOfEveryForm(t *testing.T) {
	m := newMirror(t)
	tool := (&pack{name: "tool", version: "1.0-1", form: ".xz", fields: "Depends: libthing (>= 2), shell\n"}).
		dir("./").dir("./bin/").file("./bin/tool", "program", 0o4755).hard("./usr/bin/other", "./bin/tool").
		link("./usr/bin/short", "../bin/tool").file("./etc/tool.conf", "private", 0o600).
		dir("./usr/share/doc/tool/").file("./usr/share/doc/tool/copyright", "licence", 0o644).file("./usr/share/doc/tool/README", "not taken", 0o644).
		file("./usr/share/man/man1/tool.1", "not taken", 0o644).file("./var/lib/tool/state", "not taken", 0o644)
	thing := (&pack{name: "libthing", version: "2:2.1", form: ".zst"}).file("./lib/x/libthing.so.2", "library", 0o644).link("./usr/lib/x/libthing.so", "/lib/x/libthing.so.2")
	bash := (&pack{name: "bash", version: "5", form: ".gz", fields: "Provides: shell\nPriority: required\n"}).file("./bin/bash", "shell", 0o755)
	base := (&pack{name: "base-files", version: "13", form: ""}).link("./bin", "usr/bin").link("./lib64", "usr/lib64").dir("./usr/lib64/")
	m.publish(suite{name: "trixie", packages: []*pack{tool, thing, bash, base}})
	archive := m.open(debian.Options{})
	plan, err := archive.Plan(t.Context(), debian.Request{Suite: "trixie", Packages: []string{"tool", "base-files"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := namesOf(plan), "base-files=13 bash=5 libthing=2:2.1 tool=1.0-1"; got != want {
		t.Errorf("packages: got %s, want %s", got, want)
	}
	dir := t.TempDir()
	var seen []int64
	if err := plan.Fill(t.Context(), dir, func(done, total int64) {
		seen = append(seen, done)
		if total != plan.Bytes() {
			t.Errorf("total: got %d, want %d", total, plan.Bytes())
		}
	}); err != nil {
		t.Fatal(err)
	}
	if seen[0] != 0 || slices.Max(seen) != plan.Bytes() {
		t.Errorf("progress went from %d to %d of %d", seen[0], slices.Max(seen), plan.Bytes())
	}
	want := []string{
		"-rw-r--r-- etc/tool.conf private",
		"-rw-r--r-- usr/lib/x/libthing.so.2 library",
		"-rw-r--r-- usr/share/doc/tool/copyright licence",
		"-rwxr-xr-x usr/bin/bash shell",
		"-rwxr-xr-x usr/bin/other program",
		"-rwxr-xr-x usr/bin/tool program",
		"Lrwxrwxrwx bin -> usr/bin",
		"Lrwxrwxrwx lib -> usr/lib",
		"Lrwxrwxrwx lib64 -> usr/lib64",
		"Lrwxrwxrwx sbin -> usr/sbin",
		"Lrwxrwxrwx usr/bin/sh -> bash",
		"Lrwxrwxrwx usr/bin/short -> ../bin/tool",
		"Lrwxrwxrwx usr/lib/x/libthing.so -> /lib/x/libthing.so.2",
	}
	got := slices.DeleteFunc(tree(t, dir), func(line string) bool { return strings.HasPrefix(line, "d") })
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, line := range tree(t, dir) {
		if strings.HasPrefix(line, "d") && !strings.HasPrefix(line, "drwxr-xr-x ") {
			t.Errorf("not for everybody: %s", line)
		}
	}
	one, err := os.Stat(dir + "/usr/bin/tool")
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.Stat(dir + "/usr/bin/other")
	if err != nil || !os.SameFile(one, two) || one.ModTime().Unix() != 1700000000 {
		t.Errorf("a hard link is another file, or its time is lost: %v %v", one.ModTime(), err)
	}
}

func TestTheDigestNamesThePackagesAndNothingElse(t *testing.T) {
	m := newMirror(t)
	digests := map[string]string{}
	for _, version := range []string{"1", "2", "1"} {
		m.publish(suite{name: "trixie", packages: []*pack{(&pack{name: "a", version: version}).file("./usr/a", version, 0o644)}})
		plan, err := m.open(debian.Options{}).Plan(t.Context(), debian.Request{Suite: "trixie", Packages: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		if known := digests[version]; known != "" && known != plan.Digest() {
			t.Errorf("the same packages have digests %s and %s", known, plan.Digest())
		}
		digests[version] = plan.Digest()
	}
	if digests["1"] == digests["2"] {
		t.Error("other packages have the same digest")
	}
}

// hostile lists packages that try to do harm, and what is said of each.
var hostile = map[string]struct {
	pack *pack
	want string
}{
	"a name that climbs":         {(&pack{}).file("./usr/../../out", "x", 0o644), `"./usr/../../out" is no name of a file in a package`},
	"an absolute name":           {(&pack{}).file("/etc/out", "x", 0o644), `"/etc/out" is no name of a file in a package`},
	"a link to the outside":      {(&pack{}).link("./usr/way", "../../..").file("./usr/way/out", "x", 0o644), "usr/way"},
	"an absolute link":           {(&pack{}).link("./usr/way", "/tmp").file("./usr/way/out", "x", 0o644), "usr/way"},
	"a directory through a link": {(&pack{}).link("./usr/way", "../../..").dir("./usr/way/out/"), "usr/way"},
	"another name of an outside": {(&pack{}).hard("./usr/passwd", "../../../etc/passwd"), "is no name of a file in a package"},
	"a hard link through a link": {(&pack{}).link("./usr/way", "../../..").hard("./usr/passwd", "./usr/way/etc/passwd"), "is another name of what is not there"},
	"another name of a link":     {(&pack{}).link("./usr/way", "/etc/passwd").hard("./usr/passwd", "./usr/way"), "is another name of what is no file"},
	"another name of nothing":    {(&pack{}).hard("./usr/passwd", "./usr/nothing"), "is another name of what is not there"},
	"a device":                   {&pack{entries: []tar.Header{{Name: "./usr/null", Typeflag: tar.TypeChar, Mode: 0o666}}}, "./usr/null is no file, directory or link"},
	"a pipe":                     {&pack{entries: []tar.Header{{Name: "./usr/pipe", Typeflag: tar.TypeFifo, Mode: 0o666}}}, "./usr/pipe is no file, directory or link"},
	"a file over a directory":    {(&pack{}).dir("./usr/lib/").file("./usr/lib", "x", 0o644), "usr/lib is a directory already"},
	"a directory over a file":    {(&pack{}).file("./usr/thing", "x", 0o644).dir("./usr/thing/"), "is a directory in one package and none in another"},
	"a file below a file":        {(&pack{}).file("./usr/thing", "x", 0o644).file("./usr/thing/more", "x", 0o644), "usr/thing"},
	"a link to nowhere":          {(&pack{}).link("./usr/thing", ""), "the link usr/thing leads nowhere"},
	"another format":             {&pack{raw: []byte("PK\x03\x04 this is a zip")}, "it is no Debian package"},
	"a future format":            {&pack{raw: ar("debian-binary", "3.0\n")}, "it is no Debian package of format 2"},
	"no contents":                {&pack{raw: ar("debian-binary", "2.0\n", "control.tar.gz", "")}, "it holds no data.tar"},
	"another compression":        {&pack{raw: ar("debian-binary", "2.0\n", "data.tar.lzma", "x")}, `kiln does not know the compression ".lzma"`},
	"garbage within":             {&pack{raw: ar("debian-binary", "2.0\n", "data.tar.xz", "not xz at all")}, "xz"},
	"a damaged table":            {&pack{raw: append(ar("debian-binary", "2.0\n"), strings.Repeat("?", 60)...)}, "its table of contents is damaged"},
}

func TestAHostilePackageIsRefusedAndLeavesNothingOutside(t *testing.T) {
	m := newMirror(t)
	for name, c := range hostile {
		t.Run(name, func(t *testing.T) {
			c.pack.name, c.pack.version = "bad", "1"
			m.publish(suite{name: "trixie", packages: []*pack{c.pack}})
			plan, err := m.open(debian.Options{}).Plan(t.Context(), debian.Request{Suite: "trixie", Packages: []string{"bad"}})
			if err != nil {
				t.Fatal(err)
			}
			around := t.TempDir()
			dir := filepath.Join(around, "a", "b", "root")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			err = plan.Fill(t.Context(), dir, func(int64, int64) {})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "unpack bad 1: ") {
				t.Errorf("got %v, want %s", err, c.want)
			}
			for _, line := range tree(t, around) {
				if !strings.Contains(line, "a/b/root/") && !strings.HasPrefix(line, "d") {
					t.Errorf("outside is %s", line)
				}
			}
			for _, out := range []string{"/out", "/tmp/out", "/etc/out"} {
				if _, err := os.Lstat(out); err == nil {
					t.Errorf("%s was made", out)
				}
			}
		})
	}
}

func TestAFileOfTwoPackagesIsRefusedUnlessOneTakesItsPlace(t *testing.T) {
	for _, c := range []struct{ fields, want string }{
		{"", "a brings usr/share/thing too"},
		{"Replaces: other, a (<< 2)\n", ""},
		{"Replaces: a (<< 1)\n", "a brings usr/share/thing too"},
	} {
		m := newMirror(t)
		m.publish(suite{name: "trixie", packages: []*pack{
			(&pack{name: "a", version: "1"}).file("./usr/share/thing", "of a", 0o644),
			(&pack{name: "b", version: "1", fields: c.fields}).file("./usr/share/thing", "of b", 0o644),
		}})
		dir, err := build(t, m.open(debian.Options{}), "a", "b")
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: got %v, want %s", c.fields, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(dir + "/usr/share/thing"); err != nil || string(text) != "of b" {
			t.Errorf("%q: got %q %v", c.fields, text, err)
		}
	}
}

func TestDependenciesAreMetAsDebianMeansThem(t *testing.T) {
	m := newMirror(t)
	p := func(name, version, fields string) *pack {
		return (&pack{name: name, version: version, fields: fields}).file("./usr/share/"+name, "x", 0o644)
	}
	m.publish(suite{name: "trixie", form: ".gz", packages: []*pack{
		p("top", "1", "Pre-Depends: early\nDepends: gone | second, virtual, exact (= 1.0-2), any:any, skipped, versioned-name (>= 3)\nRecommends: luxury\n"),
		p("early", "1", ""), p("second", "1", "Depends: top"+"\n"), p("luxury", "1", ""),
		p("provider-b", "1", "Provides: virtual, versioned-name (= 2)\nPriority: optional\n"),
		p("provider-a", "1", "Provides: virtual\nPriority: extra\n"),
		p("provider-c", "1", "Provides: versioned-name (= 3.1)\nPriority: extra\n"),
		p("exact", "1.0-2", ""), p("any", "1", ""),
		p("broken", "1", "Depends: exact (>> 1.0-2)\n"),
		p("chooser", "1", "Depends: alternative-x | alternative-y\n"), p("alternative-x", "1", ""), p("alternative-y", "1", ""),
	}})
	archive := m.open(debian.Options{})
	plan, err := archive.Plan(t.Context(), debian.Request{
		Suite: "trixie", Packages: []string{"top", "alternative-y", "chooser"}, IfThere: []string{"luxury", "absent"}, Omit: []string{"skipped"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "alternative-y=1 any=1 chooser=1 early=1 exact=1.0-2 luxury=1 provider-b=1 provider-c=1 second=1 top=1"
	if got := namesOf(plan); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for name, want := range map[string]string{
		"broken": "broken needs exact, which is not there", "absent": "there is no package absent", "top": "top needs skipped, which is not there",
	} {
		_, err := archive.Plan(t.Context(), debian.Request{Suite: "trixie", Packages: []string{name}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func TestTheNewerOfAPackageAndItsSecurityUpdateCounts(t *testing.T) {
	m := newMirror(t)
	p := func(version string) *pack {
		return (&pack{name: "a", version: version}).file("./usr/share/a", version, 0o644)
	}
	m.publish(suite{name: "trixie", packages: []*pack{p("1.0-1")}})
	m.publish(suite{name: "trixie-security", packages: []*pack{p("1.0-1+deb13u2")}})
	m.publish(suite{name: "bookworm", packages: []*pack{p("0.9")}})
	machine := host(t, map[string]string{
		"etc/apt/sources.list.d/debian.sources": "Types: deb\nURIs: " + m.url + "\nSuites: bookworm bookworm-updates\nComponents: main\n\n" +
			"Types: deb\nURIs: " + m.url + "\nSuites: bookworm-security\nComponents: main\n",
		"usr/share/keyrings/debian-archive-keyring.gpg": keyText(t, false, m.key),
	})
	for suite, want := range map[string]string{"trixie": "a=1.0-1+deb13u2", "bookworm": "a=0.9"} {
		plan, err := m.open(debian.Options{Host: machine}).Plan(t.Context(), debian.Request{Suite: suite, Packages: []string{"a"}})
		if err != nil {
			t.Errorf("%s: %v", suite, err)
			continue
		}
		if got := namesOf(plan); got != want {
			t.Errorf("%s: got %s, want %s", suite, got, want)
		}
	}
}
