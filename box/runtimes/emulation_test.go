package runtimes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln"
	"kiln/box/runtimes"
)

// foreign is the architecture that this machine is not, and the number of its machine
// in an executable file.
func foreign() (architecture, machine string) {
	if hostMachine() == "arm64" {
		return "x86_64", "3e00"
	}
	return "arm64", "b700"
}

func TestProgramsOfTheOtherArchitectureRunWhereTheKernelHasAnEmulator(t *testing.T) {
	other, machine := foreign()
	magic := "offset 0\nmagic 7f454c460201010000000000000000000200" + machine + "\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
	qemu := "interpreter /usr/bin/qemu\nflags: "
	for name, c := range map[string]struct {
		files map[string]string
		want  string // "" is that it runs
	}{
		"none":                  {nil, "not " + other + ": create the function with architecture " + hostMachine() + ", or install an emulator"},
		"an emulator":           {map[string]string{"status": "enabled\n", "qemu": "enabled\n" + qemu + "OCF\n" + magic}, ""},
		"among others":          {map[string]string{"status": "enabled\n", "a": "enabled\n" + qemu + "\nextension .exe\n", "python": "enabled\n" + qemu + "F\noffset 0\nmagic 610d0d0a\n", "z": "enabled\n" + qemu + "F\n" + magic}, ""},
		"one that boxes lack":   {map[string]string{"status": "enabled\n", "qemu": "enabled\n" + qemu + "OC\n" + magic}, "/usr/bin/qemu, is not registered for boxes"},
		"a disabled one":        {map[string]string{"status": "enabled\n", "qemu": "disabled\n" + qemu + "F\n" + magic}, "install an emulator"},
		"all disabled":          {map[string]string{"status": "disabled\n", "qemu": "enabled\n" + qemu + "F\n" + magic}, "install an emulator"},
		"another architecture":  {map[string]string{"status": "enabled\n", "qemu": "enabled\n" + qemu + "F\n" + strings.Replace(magic, machine, "f300", 1)}, "install an emulator"},
		"what cannot be read":   {map[string]string{"status": "enabled\n", "qemu": "enabled\n" + qemu + "F\noffset x\nmagic zz\n"}, "install an emulator"},
		"a magic beyond a file": {map[string]string{"status": "enabled\n", "qemu": "enabled\n" + qemu + "F\noffset 60\nmagic 0000000000000000\n"}, "install an emulator"},
	} {
		host := t.TempDir()
		dir := filepath.Join(host, "proc/sys/fs/binfmt_misc")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		book := open(t, t.TempDir(), runtimes.Options{Host: host})
		_, err := book.Runtime(t.Context(), "provided.al2023", other)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || kiln.CodeOf(err) != kiln.BadRuntime) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		// An interpreter of this machine does not become one of another.
		if _, err := book.Runtime(t.Context(), "python3.12", other); err == nil || kiln.CodeOf(err) != kiln.BadRuntime {
			t.Errorf("%s: Python for %s: %v", name, other, err)
		}
		if err := book.Runs(hostMachine()); err != nil {
			t.Errorf("%s: its own: %v", name, err)
		}
	}
}
