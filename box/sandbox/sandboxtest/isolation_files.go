package sandboxtest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"kiln/box/sandbox"
)

// folder makes a directory that a box's user may read, with files in it.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, contents := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(contents, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(contents), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func seesOnlyItsMounts(t *testing.T, r *rig) {
	b := r.create(t)
	got := strings.Fields(run(t, b, "tree", "/"))
	want := "/ /dev /dev/fd /dev/full /dev/null /dev/random /dev/shm /dev/stderr /dev/stdin /dev/stdout /dev/urandom /dev/zero /etc /etc/passwd /probe /probe/probe /tmp"
	if strings.Join(got, " ") != want {
		t.Errorf("got %v\nwant %s", got, want)
	}
	mounts := run(t, b, "cat", "/proc/self/mountinfo")
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		where, options := f[4], ","+f[5]+","
		writable := where == "/tmp" || where == "/dev/shm" || where == "/proc"
		if strings.Contains(options, ",rw,") && !writable {
			t.Errorf("%s is writable: %s", where, options)
		}
		if !strings.Contains(options, ",nosuid,") {
			t.Errorf("%s allows setuid: %s", where, options)
		}
		// Masks are /dev/null, and a device may be a mount of its own.
		device := where == "/dev" || strings.HasPrefix(where, "/dev/") && where != "/dev/shm" || strings.HasPrefix(where, "/proc/")
		if !strings.Contains(options, ",nodev,") && !device {
			t.Errorf("%s allows devices: %s", where, options)
		}
	}
}

func readOnlyEverywhere(t *testing.T, r *rig) {
	b := r.create(t)
	if got, want := run(t, b, "write", "/tmp/from-probe", "x"), "written\n"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	out := run(t, b, "A20", "/", "/etc", "/probe", "/dev", "/proc", "/proc/sys")
	refused(t, out, []string{"EROFS"}, map[string][]string{
		// /proc is a writable mount of a file system in which nothing can be made
		"create in /proc": {"ENOENT"}, "mkdir in /proc": {"ENOENT", "EPERM", "EACCES"}, "symlink in /proc": {"ENOENT", "EPERM", "EACCES"},
		"whiteout in /proc": {"ENOENT", "EPERM", "EACCES"}, "rename to /proc": {"EXDEV", "EPERM"},
		"chmod /proc": {"EPERM"}, "chown /proc": {"EPERM"},
		"create in /proc/sys": {"EROFS", "ENOENT"}, "mkdir in /proc/sys": {"EROFS", "ENOENT"}, "symlink in /proc/sys": {"EROFS", "ENOENT"},
		"whiteout in /proc/sys": {"EROFS", "ENOENT"},
		// the two ends lie in different mounts
		"rename to /": {"EXDEV", "EROFS"}, "rename to /etc": {"EXDEV", "EROFS"}, "rename to /probe": {"EXDEV", "EROFS"},
		"rename to /dev": {"EXDEV", "EROFS"}, "rename to /proc/sys": {"EXDEV", "EROFS"},
	})
}

func privateSourceAndMask(t *testing.T, r *rig) {
	// The probe itself already comes from a folder that only root may enter.
	code := folder(t, map[string]string{"index.py": "code", "secret/key": "hidden", "layer/lib": "from the package"})
	other := folder(t, map[string]string{"lib": "from the layer"})
	b := r.create(t, func(s *sandbox.Spec) {
		s.Mounts = append(s.Mounts, sandbox.Mount{Source: code, Target: "/var/task"},
			sandbox.Mount{Target: "/var/task/secret"}, sandbox.Mount{Source: other, Target: "/var/task/layer"},
			sandbox.Mount{Source: filepath.Join(code, "index.py"), Target: "/opt/one/file.py"})
	})
	if got, want := run(t, b, "cat", "/var/task/index.py", "/var/task/layer/lib", "/opt/one/file.py"), "codefrom the layercode"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := run(t, b, "tree", "/var/task/secret"), "/var/task/secret\n"; got != want {
		t.Errorf("masked directory: got %q, want %q", got, want)
	}
}

func mountsInside(t *testing.T, r *rig) {
	host := folder(t, map[string]string{"victim/keep": "untouched"})
	// A package whose own links point where the next mount goes.
	code := folder(t, map[string]string{
		"absolute": "-> " + filepath.Join(host, "victim"), "up": "-> ../../../../../../../../.." + filepath.Join(host, "victim"), "inside": "-> real", "real/x": "covered",
	})
	layer := folder(t, map[string]string{"lib": "layer"})
	b := r.create(t, func(s *sandbox.Spec) {
		s.Mounts = append(s.Mounts, sandbox.Mount{Source: code, Target: "/var/task"}, sandbox.Mount{Source: layer, Target: "/var/task/inside"})
	})
	if got, want := run(t, b, "cat", "/var/task/real/lib"), "layer"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, link := range []string{"absolute", "up"} {
		b, err := r.driver.Create(t.Context(), r.spec(func(s *sandbox.Spec) {
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: code, Target: "/var/task"}, sandbox.Mount{Source: layer, Target: "/var/task/" + link},
				sandbox.Mount{Target: "/var/task/" + link + "/below"})
			s.Files = append(s.Files, sandbox.File{Path: "/var/task/" + link + "/made", Contents: []byte("x")})
		}))
		if err == nil { // the link was followed inside the box, where its target could be made
			if err := b.Destroy(); err != nil {
				t.Error(err)
			}
		}
		if list, err := os.ReadDir(filepath.Join(host, "victim")); err != nil || len(list) != 1 {
			t.Errorf("link %q led out of the box: %v, %v", link, list, err)
		}
	}
}

func fileCoversFile(t *testing.T, r *rig) {
	etc := folder(t, map[string]string{"passwd": "root:x:0:0", "hosts": "host's"})
	b := r.create(t, func(s *sandbox.Spec) {
		s.Mounts = append(s.Mounts, sandbox.Mount{Source: etc, Target: "/etc"})
		s.Files = []sandbox.File{{Path: "/etc/passwd", Contents: []byte("user ${UID}"), Mode: 0o644}}
	})
	if got, want := run(t, b, "cat", "/etc/passwd", "/etc/hosts"), "user "+strconv.Itoa(b.UserID())+"host's"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, err := os.ReadFile(filepath.Join(etc, "passwd")); err != nil || string(got) != "root:x:0:0" {
		t.Errorf("the host's file is now %q, %v", got, err)
	}
}

func missingTarget(t *testing.T, r *rig) {
	code := folder(t, map[string]string{"x": "x"})
	for name, change := range map[string]func(*sandbox.Spec){
		"mount": func(s *sandbox.Spec) {
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: code, Target: "/var/task"}, sandbox.Mount{Source: code, Target: "/var/task/absent"})
		},
		"file": func(s *sandbox.Spec) {
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: code, Target: "/var/task"})
			s.Files = append(s.Files, sandbox.File{Path: "/var/task/absent"})
		},
		"source": func(s *sandbox.Spec) {
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: code + "/absent", Target: "/var/task"})
		},
		"root": func(s *sandbox.Spec) { s.Mounts[0].Source = code },
		"type": func(s *sandbox.Spec) {
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: code, Target: "/var/task"}, sandbox.Mount{Source: code, Target: "/var/task/x"})
		},
	} {
		b, err := r.driver.Create(t.Context(), r.spec(change))
		if err == nil {
			t.Errorf("%s: got a box, want an error", name)
			_ = b.Destroy()
		}
	}
}

func scratchesAreApart(t *testing.T, r *rig) {
	a, b := r.create(t), r.create(t)
	if got, want := run(t, a, "write", "/tmp/mine", "x"), "written\n"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if got, want := run(t, b, "tree", "/tmp"), "/tmp\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if a.UserID() == b.UserID() {
		t.Errorf("two boxes share user %d", a.UserID())
	}
	c := r.create(t, func(s *sandbox.Spec) { s.ScratchBytes = 0 })
	if got := run(t, c, "write", "/tmp/mine", "x"); strings.Contains(got, "written") {
		t.Errorf("a box without a scratch directory wrote to /tmp")
	}
}

func cannotOverwritePrograms(t *testing.T, r *rig) {
	before, err := os.ReadFile(filepath.Join(r.probe, "probe"))
	if err != nil {
		t.Fatal(err)
	}
	b := r.create(t)
	expect(t, run(t, b, "A01"), map[string][]string{
		"/proc/self/exe": {"ETXTBSY", "EROFS", "EACCES"}, "/proc/1/exe": {"EACCES", "EPERM", "ENOENT"},
		"/proc/1/maps": {"EACCES", "EPERM", "ENOENT"}, "/proc/1/fd": {"EACCES", "EPERM", "ENOENT"}, "trace init": {"EPERM", "ESRCH"}, "kill init": {"ok"},
	})
	run(t, b, "exit", "0") // process 1 lives
	after, err := os.ReadFile(filepath.Join(r.probe, "probe"))
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("the program on the host has changed")
	}
}

func onlyThreeDescriptors(t *testing.T, r *rig) {
	// Descriptors that this process forgot to mark, as a library might.
	leak, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	inheritable(t, leak)
	b := r.create(t)
	got := run(t, b, "A02")
	// character device, pipe, pipe
	if want := "fd 0 type 2\nfd 1 type 1\nfd 2 type 1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func chrootDoesNotLeadOut(t *testing.T, r *rig) {
	marker := filepath.Join(folder(t, map[string]string{"marker": "host"}), "marker")
	b := r.create(t)
	expect(t, run(t, b, "A04", marker), map[string][]string{
		"chroot": {"EPERM"}, "chroot .": {"EPERM"}, "marker": {"ENOENT"}, "marker from here": {"ENOENT"}, "marker by descriptor": {"ENOENT"},
	})
}

func kernelSettings(t *testing.T, r *rig) {
	b := r.create(t)
	refused(t, run(t, b, "A06"), []string{"EROFS", "EACCES", "EPERM", "ENOENT"}, map[string][]string{
		// over /dev/null a write is allowed and goes nowhere
		"/proc/sysrq-trigger": {"EROFS", "EACCES", "ENOENT", "ok"},
	})
}

func kernelFiles(t *testing.T, r *rig) {
	b := r.create(t)
	refused(t, run(t, b, "A07"), []string{"ENOENT", "empty", "EACCES"}, nil)
}

func cannotMakeDevices(t *testing.T, r *rig) {
	b := r.create(t)
	refused(t, run(t, b, "A10"), []string{"EPERM", "ENOENT"}, nil)
}

func noTerminal(t *testing.T, r *rig) {
	b := r.create(t)
	refused(t, run(t, b, "A16"), []string{"ENOTTY", "EPERM"}, map[string][]string{"/dev/tty": {"ENOENT", "ENXIO"}})
}
