package environment_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kiln/box/environment"
	"kiln/box/sandbox"
)

// tree makes files, each of a path, and directories, each of a path with a slash at
// its end, and gives their root.
func tree(t *testing.T, paths ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, p := range paths {
		full := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if p[len(p)-1] == '/' {
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(full, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestExtensionsAreTheFilesThatTheBoxSees(t *testing.T) {
	image := tree(t, "opt/extensions/from-image", "usr/bin/x")
	layers := tree(t, "extensions/b", "extensions/a", "extensions/lib/helper", "bin/tool")
	bare := tree(t, "lib/x")
	outside := tree(t, "secret")
	linked := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(linked, "extensions")); err != nil {
		t.Fatal(err)
	}
	inner := tree(t, "real/c")
	if err := os.Symlink("real", filepath.Join(inner, "extensions")); err != nil {
		t.Fatal(err)
	}
	link := tree(t, "extensions/")
	if err := os.Symlink("/opt/lib/program", filepath.Join(link, "extensions", "link")); err != nil {
		t.Fatal(err)
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf("x%02d", i)
	}
	crowd := tree(t, many...)
	for name, c := range map[string]struct {
		mounts []sandbox.Mount
		want   []string
	}{
		"none":                {nil, nil},
		"an empty base":       {[]sandbox.Mount{{Target: "/"}}, nil},
		"an image":            {[]sandbox.Mount{{Source: image, Target: "/"}}, []string{"from-image"}},
		"layers":              {[]sandbox.Mount{{Target: "/"}, {Source: layers, Target: "/opt"}}, []string{"a", "b"}},
		"layers over image":   {[]sandbox.Mount{{Source: image, Target: "/"}, {Source: layers, Target: "/opt/"}}, []string{"a", "b"}},
		"layers without any":  {[]sandbox.Mount{{Source: image, Target: "/"}, {Source: bare, Target: "/opt"}}, nil},
		"hidden":              {[]sandbox.Mount{{Source: layers, Target: "/opt"}, {Target: "/opt/extensions"}}, nil},
		"beside":              {[]sandbox.Mount{{Source: layers, Target: "/opt"}, {Source: image, Target: "/opt/extensions-not"}, {Source: image, Target: "/op"}}, []string{"a", "b"}},
		"one file":            {[]sandbox.Mount{{Target: "/"}, {Source: "/bin/true", Target: "/opt/extensions/single"}}, []string{"single"}},
		"a link out":          {[]sandbox.Mount{{Source: linked, Target: "/opt"}}, nil},
		"a link within":       {[]sandbox.Mount{{Source: inner, Target: "/opt"}}, []string{"c"}},
		"a program by a link": {[]sandbox.Mount{{Source: link, Target: "/opt"}}, []string{"link"}},
		"not there":           {[]sandbox.Mount{{Source: "/does/not/exist", Target: "/opt"}}, nil},
		"too many":            {[]sandbox.Mount{{Source: crowd, Target: "/opt/extensions"}}, many[:11]},
	} {
		if got := environment.FindExtensions(c.mounts); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
