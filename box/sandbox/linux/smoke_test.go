package linux_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"kiln/box/sandbox"
	"kiln/box/sandbox/linux"
)

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	probe := filepath.Join(dir, "probe")
	c := exec.Command("go", "build", "-o", probe, "../sandboxtest/testdata/probe")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	os.Chmod(dir, 0o755)
	d, err := linux.New(linux.Options{Owner: "smoke", StateDir: filepath.Join(dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		t0 := time.Now()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		t.Log("close", time.Since(t0))
	}()
	for range 3 {
		t0 := time.Now()
		b, err := d.Create(t.Context(), sandbox.Spec{ID: "one", Mounts: []sandbox.Mount{{Target: "/"}, {Source: dir, Target: "/probe"}}, MemoryBytes: 128 << 20, PIDs: 100, CPUWeight: 50, ScratchBytes: 512 << 20, Hostname: "x"})
		if err != nil {
			t.Fatal(err)
		}
		t1 := time.Now()
		r, w, _ := os.Pipe()
		p, err := b.Start(t.Context(), sandbox.Program{Path: "/probe/probe", Args: []string{"probe", "hello"}, Stdout: w, Stderr: w})
		if err != nil {
			t.Fatal(err)
		}
		t2 := time.Now()
		w.Close()
		out, _ := io.ReadAll(r)
		<-p.Exited()
		t3 := time.Now()
		u, err := b.Usage()
		t.Logf("%s %+v %+v %v", out, p.Status(), u, err)
		t4 := time.Now()
		if err := b.Destroy(); err != nil {
			t.Error(err)
		}
		t.Log("create", t1.Sub(t0), "start", t2.Sub(t1), "run", t3.Sub(t2), "usage", t4.Sub(t3), "destroy", time.Since(t4))
		time.Sleep(500 * time.Millisecond)
	}
}
