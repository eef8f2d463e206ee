package environment_test

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
)

// orders gives what was asked of the box, without measurements.
func (b *box) ordered() string {
	var out []string
	for _, o := range b.log() {
		if o != "usage" {
			out = append(out, o)
		}
	}
	return strings.Join(out, ", ")
}

func TestRestFreezesAndTheNextCallThaws(t *testing.T) {
	b := newBox(loop(echo))
	r := start(t, b)
	for range 3 {
		r.free().Rest()
		poll(t, "frozen", func() bool { return r.State() == environment.Frozen })
		if _, err := r.Invoke(t.Context(), r.invocation("1")); err != nil {
			t.Fatal(err)
		}
	}
	r.free()
	want := "start /var/task/bootstrap, freeze, thaw, freeze, thaw, freeze, thaw"
	if got := b.ordered(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestACallThatFollowsRestAtOnceWaitsForTheFreeze(t *testing.T) {
	b := newBox(loop(echo))
	r := start(t, b)
	for range 200 {
		r.free().Rest()
		if o, err := r.Invoke(t.Context(), r.invocation("1")); err != nil || o.Failed {
			t.Fatalf("got %v, %v", o, err)
		}
	}
	r.free()
	if got := strings.Count(b.ordered(), "freeze, thaw"); got != 200 {
		t.Errorf("%d of 200 freezes were followed by a thaw", got)
	}
}

func TestRestOfABrokenEnvironmentAsksNothingOfTheBox(t *testing.T) {
	b := newBox(func(p *proc) sandbox.ExitStatus {
		if p.nth == 1 {
			return sandbox.ExitStatus{Code: 1}
		}
		return loop(echo)(p)
	})
	r := start(t, b)
	r.free().Rest()
	if o, err := r.Invoke(t.Context(), r.invocation("1")); err != nil || o.Failed {
		t.Fatalf("got %v, %v", o, err)
	}
	if got := b.ordered(); strings.Contains(got, "freeze") {
		t.Errorf("got %s", got)
	}
}

func TestCloseFailsWhatRunsAndLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, c := range []struct {
		when string
		code kiln.Code
		wait func(r *rig, running chan struct{})
		run  func(p *proc, running chan struct{}) sandbox.ExitStatus
	}{
		{"while the function runs", kiln.Internal, func(_ *rig, running chan struct{}) { <-running }, func(p *proc, running chan struct{}) sandbox.ExitStatus {
			if _, err := p.next(); err == nil {
				close(running)
			}
			<-p.ctx.Done()
			return sandbox.ExitStatus{}
		}},
		{"while a new process starts", kiln.Unavailable, func(_ *rig, running chan struct{}) { <-running }, func(p *proc, running chan struct{}) sandbox.ExitStatus {
			if p.nth == 1 {
				return sandbox.ExitStatus{Code: 1}
			}
			close(running)
			<-p.ctx.Done()
			return sandbox.ExitStatus{}
		}},
	} {
		t.Run(c.when, func(t *testing.T) {
			running := make(chan struct{})
			b := newBox(func(p *proc) sandbox.ExitStatus { return c.run(p, running) })
			r := start(t, b)
			r.free()
			inv := r.invocation("{}")
			result := make(chan error)
			go func() {
				_, err := r.Invoke(t.Context(), inv)
				result <- err
			}()
			c.wait(r, running)
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if err := <-result; kiln.CodeOf(err) != c.code {
				t.Errorf("got %v", err)
			}
			if got := b.ordered(); !strings.HasSuffix(got, "kill, destroy") {
				t.Errorf("got %s", got)
			}
			r.over()
		})
	}
	for _, when := range []string{"during init", "while it is idle", "while it rests", "twice at once"} {
		t.Run(when, func(t *testing.T) {
			r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
				if when == "during init" {
					<-p.ctx.Done()
				}
				return loop(echo)(p)
			}))
			switch when {
			case "while it is idle":
				r.invoke("1")
				r.free()
			case "while it rests":
				r.free().Rest()
				poll(t, "frozen", func() bool { return r.State() == environment.Frozen })
			case "twice at once":
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(func() { _ = r.Close() })
				}
				wg.Wait()
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			r.over()
		})
	}
	poll(t, "every goroutine ended", func() bool { return runtime.NumGoroutine() <= before })
}

// stubborn is a box that cannot be destroyed.
type stubborn struct{ *box }

func (s stubborn) Destroy() error {
	_ = s.box.Destroy() // it cannot fail
	return errors.New("busy")
}

func TestCloseTellsWhatIsLeft(t *testing.T) {
	o := options(nil, &sink{})
	o.Sandbox = stubborn{newBox(loop(echo))}
	e := environment.New(o)
	<-e.Idle()
	if err := e.Close(); err == nil || !strings.Contains(err.Error(), "busy") || !strings.Contains(err.Error(), "e1") {
		t.Errorf("got %v", err)
	}
}

func TestManyEnvironmentsOpenAndCloseWithoutALeak(t *testing.T) {
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			r := &rig{t: t, box: newBox(loop(echo)), sink: &sink{}}
			r.Environment = environment.New(options(r.box, r.sink))
			for range 5 {
				r.invoke("1")
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	poll(t, "every goroutine ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestAProvisionedEnvironmentMayInitializeLonger(t *testing.T) {
	slow := func(p *proc) sandbox.ExitStatus {
		select {
		case <-time.After(150 * time.Millisecond): // the init's own pace
		case <-p.ctx.Done():
		}
		return loop(echo)(p)
	}
	r := start(t, newBox(slow), func(o *environment.Options) { o.InitType = kiln.Provisioned })
	r.invoke("1")
	r.free()
	if lines := plain(r.sink.lines()); strings.Contains(lines, "Status") || !strings.Contains(lines, "INIT_REPORT Init Duration: # ms|Phase: init\n") {
		t.Errorf("got %s", lines)
	}
}
