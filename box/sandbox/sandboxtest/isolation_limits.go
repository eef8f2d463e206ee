package sandboxtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kiln/box/sandbox"
)

const mega = 1 << 20

// usage measures a box.
func usage(t testing.TB, b sandbox.Sandbox) sandbox.Usage {
	t.Helper()
	u, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func withMemory(bytes int64) func(*sandbox.Spec) {
	return func(s *sandbox.Spec) { s.MemoryBytes = bytes }
}

func memoryLimit(t *testing.T, r *rig) {
	b := r.create(t, withMemory(64*mega))
	p := start(t, b, "hog", "200")
	p.wait(t)
	if got, want := p.Status(), (sandbox.ExitStatus{Signal: 9}); got != want {
		t.Errorf("got status %+v, want %+v\n%s", got, want, p.rest(t))
	}
	if got := usage(t, b).OOMKills; got < 1 {
		t.Errorf("got %d kills for want of memory, want some", got)
	}
	if got := usage(t, b).PeakMemoryBytes; got < 40*mega || got > 64*mega {
		t.Errorf("got a peak of %d MB, want nearly the limit and not more", got/mega)
	}
	run(t, b, "exit", "0")
	// The negative control: what fits is let live.
	q := start(t, b, "hog", "30")
	q.want(t, "took all 30")
}

func memoryEndsAll(t *testing.T, r *rig) {
	b := r.create(t, withMemory(64*mega))
	bystander := start(t, b, "deaf")
	bystander.want(t, "ready")
	p := start(t, b, "hogchild", "200")
	p.wait(t)
	bystander.wait(t)
	p.rest(t)
	run(t, b, "exit", "0")
}

func scratchIsNotMemory(t *testing.T, r *rig) {
	b := r.create(t, withMemory(128*mega), func(s *sandbox.Spec) { s.ScratchBytes = 512 * mega })
	p := start(t, b, "flood", "/tmp/large", "500", "stay")
	p.want(t, "wrote all")
	u := usage(t, b)
	if u.ScratchBytes < 500*mega {
		t.Fatalf("got %d MB in the scratch directory, want 500", u.ScratchBytes/mega)
	}
	if u.MemoryBytes > 32*mega || u.PeakMemoryBytes > 64*mega || u.OOMKills != 0 {
		t.Errorf("got %d MB, peak %d MB, %d kills; want the few megabytes of the program", u.MemoryBytes/mega, u.PeakMemoryBytes/mega, u.OOMKills)
	}
}

func peakIsRemembered(t *testing.T, r *rig) {
	b := r.create(t, withMemory(256*mega))
	p := start(t, b, "hog", "100", "free")
	p.want(t, "took all 100")
	p.want(t, "freed")
	u := usage(t, b)
	if u.MemoryBytes > 60*mega {
		t.Errorf("got %d MB in use, want what is left after 100 MB were freed", u.MemoryBytes/mega)
	}
	if u.PeakMemoryBytes < 90*mega || u.PeakMemoryBytes > 160*mega {
		t.Errorf("got a peak of %d MB, want about 100", u.PeakMemoryBytes/mega)
	}
	if err := b.KillAll(); err != nil {
		t.Fatal(err)
	}
	if got := usage(t, b).PeakMemoryBytes; got < u.PeakMemoryBytes {
		t.Errorf("the peak fell from %d to %d", u.PeakMemoryBytes, got)
	}
}

func scratchIsFull(t *testing.T, r *rig) {
	b := r.create(t)
	var got int
	out := run(t, b, "flood", "/tmp/large", "100")
	if _, err := fmt.Sscanf(out, "stopped after %d MiB:", &got); err != nil || !strings.Contains(out, "no space left") {
		t.Fatalf("got %q, want an end for want of space", out)
	}
	if got < 62 || got > 64 {
		t.Errorf("got %d MiB into a scratch directory of 64", got)
	}
	if got := usage(t, b).ScratchBytes; got < 62*mega || got > 65*mega {
		t.Errorf("got %d bytes used, want about 64 MiB", got)
	}
}

func scratchInodes(t *testing.T, r *rig) {
	b := r.create(t)
	out := run(t, b, "inodes", "/tmp", "100000")
	var got int
	if _, err := fmt.Sscanf(out, "made %d then ENOSPC", &got); err != nil {
		t.Fatalf("got %q, want an end for want of space", out)
	}
	if got < 1000 || got > 20000 {
		t.Errorf("got %d files, want a few thousand", got)
	}
}

func sparseFiles(t *testing.T, r *rig) {
	b := r.create(t)
	expect(t, run(t, b, "sparse", "/tmp/sparse"), map[string][]string{"truncate": {"EFBIG", "EINVAL"}, "fallocate": {"EFBIG", "ENOSPC"}})
}

func cpuQuota(t *testing.T, r *rig) {
	b := r.create(t, func(s *sandbox.Spec) { s.MilliCPU = 200 })
	// spend gives the processor time of a program that wants all it can get for
	// a second, and how long it took.
	spend := func() (used, passed time.Duration) {
		before, began := usage(t, b).CPU, time.Now()
		p := start(t, b, "spin", "1000")
		p.want(t, "ready")
		p.wait(t)
		return usage(t, b).CPU - before, time.Since(began)
	}
	// A loaded machine gives less than the quota, never more than it and what one
	// period lends.
	holds := func(milliCPU int64) {
		t.Helper()
		used, passed := spend()
		if most := passed*time.Duration(milliCPU)/1000 + 60*time.Millisecond; used > most || used == 0 {
			t.Errorf("got %v of processor time in %v at %d milliCPU, want at most %v", used, passed, milliCPU, most)
		}
	}
	holds(200)
	if err := b.Limit(100); err != nil {
		t.Fatal(err)
	}
	holds(100)
	// Very small quotas are a longer period, not an error.
	if err := b.Limit(5); err != nil {
		t.Error(err)
	}
	// The negative control: without a quota, more than any of the above.
	if err := b.Limit(0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "without a quota the program gets more than 350 milliCPU", func() bool {
		used, passed := spend()
		return used > passed*350/1000
	})
}

func forkBomb(t *testing.T, r *rig) {
	b := r.create(t, func(s *sandbox.Spec) { s.PIDs = 60 })
	p := start(t, b, "children", "500")
	var got int
	text := p.line(t)
	if _, err := fmt.Sscanf(text, "stopped after %d:", &got); err != nil {
		t.Fatalf("got %q, want an end", text)
	}
	if got < 2 || got > 60 {
		t.Errorf("got %d children of a limit of 60 processes and threads", got)
	}
	if got := usage(t, b).PIDs; got < 20 || got > 61 {
		t.Errorf("got %d processes and threads, want about 60", got)
	}
	if err := b.KillAll(); err != nil {
		t.Fatal(err)
	}
	p.rest(t)
	run(t, b, "exit", "0")
}

func descriptorLimit(t *testing.T, r *rig) {
	b := r.create(t, func(s *sandbox.Spec) { s.OpenFiles = 100 })
	out := run(t, b, "files")
	var got int
	if _, err := fmt.Sscanf(out, "opened %d then EMFILE", &got); err != nil || got < 80 || got > 97 {
		t.Errorf("got %q, want EMFILE before 100", out)
	}
}

func frozenMeansFrozen(t *testing.T, r *rig) {
	b := r.create(t)
	p := start(t, b, "busy", "4")
	p.want(t, "ready")
	eventually(t, "the busy program uses processor time", func() bool { return usage(t, b).CPU > 50*time.Millisecond })
	if err := b.Freeze(); err != nil {
		t.Fatal(err)
	}
	before, began := usage(t, b).CPU, time.Now()
	tick := time.NewTimer(time.Second)
	<-tick.C
	gained, passed := usage(t, b).CPU-before, time.Since(began)
	if gained*100 >= passed {
		t.Errorf("a frozen box gained %v in %v", gained, passed)
	}
	if err := b.Thaw(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the thawed program uses processor time", func() bool { return usage(t, b).CPU > before+50*time.Millisecond })
}
