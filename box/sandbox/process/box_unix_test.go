//go:build unix

package process_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"kiln/box/sandbox"
	"kiln/box/sandbox/process"
)

func TestHostPathFollowsTheLongestMountFilesAndTheScratchDirectory(t *testing.T) {
	dir := t.TempDir()
	d, err := process.New(process.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	b, err := d.Create(t.Context(), sandbox.Spec{
		ID: "a",
		Mounts: []sandbox.Mount{
			{Target: "/"}, {Source: "/srv/code", Target: "/var/task"}, {Source: "/srv/layer", Target: "/var/task/layer"}, {Target: "/var/empty"},
		},
		Files: []sandbox.File{{Path: "/etc/hosts", Contents: []byte("for ${UID}")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := b.(sandbox.HostPather).HostPath
	for inside, want := range map[string]string{
		"/var/task":                "/srv/code",
		"/var/task/a/b.py":         "/srv/code/a/b.py",
		"/var/task/layer/lib":      "/srv/layer/lib",
		"/var/taskforce":           "/var/taskforce",
		"/var/task/../../usr/bin/": "/usr/bin",
		"/tmp/x":                   filepath.Join(dir, "a", "tmp", "x"),
		"/var/empty/x":             filepath.Join(dir, "a", "empty", "x"),
		"/bin/sh":                  "/bin/sh",
	} {
		if got := path(inside); got != want {
			t.Errorf("%s: got %s, want %s", inside, got, want)
		}
	}
	if got, err := os.ReadFile(path("/etc/hosts")); err != nil || string(got) != fmt.Sprint("for ", os.Getuid()) {
		t.Errorf("got %q, %v", got, err)
	}
	if err := b.Destroy(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("got %v, %v after Destroy, want an empty directory", left, err)
	}
}

func TestTheDriverClaimsNothing(t *testing.T) {
	d, err := process.New(process.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Capabilities(); got != (sandbox.Capabilities{}) {
		t.Errorf("got %+v, want no claim", got)
	}
	if _, err := process.New(process.Options{Dir: "relative"}); err == nil {
		t.Error("got a driver in a relative directory, want an error")
	}
}
