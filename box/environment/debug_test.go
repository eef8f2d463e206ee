package environment_test

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"kiln/box/environment"
	"kiln/box/sandbox"
)

// debugged is a runtime whose program listens for a debugger and answers each of its
// lines.
func debugged(handle func(p *proc, event *reply) (string, error)) func(*proc) sandbox.ExitStatus {
	return func(p *proc) sandbox.ExitStatus {
		l, err := net.Listen("tcp", "127.0.0.1:"+p.env["KILN_DEBUG_PORT"])
		if err != nil {
			return sandbox.ExitStatus{Code: 8}
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					for s := bufio.NewScanner(c); s.Scan(); {
						fmt.Fprintf(c, "got %s\n", s.Text())
					}
				}()
			}
		}()
		return loop(handle)(p)
	}
}

var debugLine = regexp.MustCompile(`DEBUG A debugger may connect to (127\.0\.0\.1:\d+)`)

// debugger connects to where the log says.
func (r *rig) debugger() net.Conn {
	r.t.Helper()
	var address string
	until(r.t, "the address is in the log", func() bool {
		if m := debugLine.FindStringSubmatch(strings.Join(r.sink.lines(), "\n")); m != nil {
			address = m[1]
		}
		return address != ""
	})
	c, err := net.Dial("tcp", address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

func debugging(timeout time.Duration) func(*environment.Options) {
	return func(o *environment.Options) { o.Version.Config.Debug, o.Version.Config.Timeout = true, timeout }
}

func TestTheTimeoutStandsStillWhileADebuggerIsAttached(t *testing.T) {
	release := make(chan struct{})
	r := start(t, newBox(debugged(func(p *proc, event *reply) (string, error) {
		if string(event.body) == `"wait"` {
			select {
			case <-release:
			case <-p.ctx.Done():
			}
		}
		return string(event.body), nil
	})), debugging(300*time.Millisecond))
	r.free()
	c := r.debugger()
	in := bufio.NewReader(c)
	ask := func() {
		t.Helper()
		fmt.Fprintln(c, "breakpoint")
		if line, err := in.ReadString('\n'); err != nil || line != "got breakpoint\n" {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	ask()
	go func() {
		<-time.After(900 * time.Millisecond) // far beyond the timeout
		close(release)
	}()
	o, err := r.Invoke(t.Context(), r.invocation(`"wait"`))
	if err != nil || o.Failed || o.Report.Duration < 600*time.Millisecond {
		t.Errorf("got %+v, %v", o, err)
	}
	ask()
	// Without it, the timeout holds again; it also does for who is attached and leaves.
	release = make(chan struct{})
	inv := r.invocation(`"wait"`)
	r.free()
	go func() {
		<-time.After(100 * time.Millisecond)
		c.Close()
	}()
	if o, err := r.Invoke(t.Context(), inv); err != nil || !strings.Contains(string(o.Payload), "Task timed out after 0.30 seconds") || o.Report.Duration < 300*time.Millisecond {
		t.Errorf("got %+v, %v", o, err)
	}
	if o := r.invoke(`"go on"`); o.Failed {
		t.Errorf("got %s", o.Payload)
	}
}

func TestADebuggerKeepsABoxAwakeAndNobodyWaitsForOne(t *testing.T) {
	r := start(t, newBox(debugged(echo)), debugging(3*time.Second))
	if o := r.invoke("1"); o.Failed { // without any debugger
		t.Errorf("got %s", o.Payload)
	}
	r.free()
	r.Rest()
	until(t, "it rests", func() bool { return r.State() == environment.Frozen })
	c := r.debugger()
	fmt.Fprintln(c, "x")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "got x\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if got := r.box.said(); !strings.HasSuffix(got, "freeze\nthaw") {
		t.Errorf("got\n%s", got)
	}
	c.Close()
	until(t, "it rests again", func() bool { return strings.HasSuffix(r.box.said(), "freeze\nthaw\nfreeze") })
	if _, err := r.Invoke(t.Context(), r.invocation("2")); err != nil {
		t.Error(err)
	}
}

func TestADebuggerIsSentAwayWhereNothingListensAndAtTheEnd(t *testing.T) {
	r := start(t, newBox(loop(echo)), debugging(3*time.Second))
	r.free()
	c := r.debugger()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("got %d bytes of a program that does not listen", n)
	}
	if o, err := r.Invoke(t.Context(), r.invocation("1")); err != nil || o.Failed {
		t.Errorf("got %v, %v", o, err)
	}
	other := start(t, newBox(debugged(echo)), debugging(3*time.Second))
	other.free()
	c = other.debugger()
	fmt.Fprintln(c, "x")
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		t.Error(err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlives the environment")
	}
	if _, err := net.Dial("tcp", c.RemoteAddr().String()); err == nil {
		t.Error("the address outlives the environment")
	}
}

func TestTheDebuggerOfALanguageIsToldToListen(t *testing.T) {
	for family, want := range map[string]string{
		"nodejs":   "NODE_OPTIONS=--max-http-header-size=9000 --inspect=127.0.0.1:",
		"java":     "JAVA_TOOL_OPTIONS=-agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=127.0.0.1:",
		"provided": "",
	} {
		for _, on := range []bool{true, false} {
			envs := make(chan map[string]string, 1)
			r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
				envs <- p.env
				return loop(echo)(p)
			}), func(o *environment.Options) {
				o.Version.Config.Debug, o.Runtime.Family = on, family
				o.Version.Config.Environment = map[string]string{"NODE_OPTIONS": "--max-http-header-size=9000"}
			})
			r.free()
			env := <-envs
			name, value, _ := strings.Cut(want, "=")
			if got := env[name]; on && want != "" && got != value+env["KILN_DEBUG_PORT"] {
				t.Errorf("%s: got %s=%s", family, name, got)
			}
			if !on && (env["KILN_DEBUG_PORT"] != "" || strings.Contains(fmt.Sprint(env), "inspect=") || debugLine.MatchString(strings.Join(r.sink.lines(), "\n"))) {
				t.Errorf("%s: not asked for, but got %v", family, env)
			}
		}
	}
}
