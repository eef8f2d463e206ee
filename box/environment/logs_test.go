package environment_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"kiln/box/environment"
	"kiln/box/sandbox"
	"kiln/telemetry"
)

func shortTimeout(o *environment.Options) { o.Version.Config.Timeout = 100 * time.Millisecond }

// function gives the lines of the function, each with its request's number.
func (s *sink) function() []string {
	var out []string
	for _, e := range s.all() {
		if e.Type == telemetry.Line {
			id := "-"
			if e.RequestID != "" {
				id = strings.TrimLeft(e.RequestID[24:], "0")
			}
			out = append(out, id+" "+string(e.Line))
		}
	}
	return out
}

func TestOfTenThousandLastLinesNoneIsMissingOrElsewhere(t *testing.T) {
	const calls = 10000
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		// As the bootstraps of kiln do: the answer and the question for the next event
		// leave in one write, right behind the last line that is printed.
		var pending string
		for {
			if err := p.conn().sendAll(pending + "GET " + api + "invocation/next HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
				return sandbox.ExitStatus{}
			}
			if pending != "" {
				if _, err := p.main.read(); err != nil {
					return sandbox.ExitStatus{}
				}
			}
			event, err := p.main.read()
			if err != nil {
				return sandbox.ExitStatus{}
			}
			pending = fmt.Sprintf("POST %sinvocation/%s/response HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", api, event.id())
			end := "\n"
			if event.id()[35]%2 == 0 {
				end = "" // every other one without its end
			}
			p.print("last words of " + event.id() + end)
		}
	}))
	for i := range calls {
		r.invoke("{}")
		if i%1000 == 500 {
			r.free().Rest()
			if _, err := r.Invoke(t.Context(), r.invocation("{}")); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.free()
	var id string
	lines, state := 0, telemetry.Report
	for _, e := range r.sink.all() {
		switch e.Type {
		case telemetry.Start:
			if state != telemetry.Report {
				t.Fatalf("START of %s behind %s", e.RequestID, state)
			}
			id = e.RequestID
		case telemetry.Line:
			if state != telemetry.Start || e.RequestID != id || string(e.Line) != "last words of "+id {
				t.Fatalf("line %q of %s behind %s of %s", e.Line, e.RequestID, state, id)
			}
			lines++
		case telemetry.End:
			if state != telemetry.Line || e.RequestID != id {
				t.Fatalf("END of %s behind %s of %s", e.RequestID, state, id)
			}
		case telemetry.InitStart, telemetry.InitRuntimeDone, telemetry.InitReport:
			continue
		}
		state = e.Type
	}
	if lines != r.n || lines < calls {
		t.Errorf("%d lines of %d calls", lines, r.n)
	}
}

// sendAll writes text as it is.
func (c *client) sendAll(text string) error {
	_, err := c.Write([]byte(text))
	return err
}

func TestLinesBelongToTheRequestDuringWhichTheyWereWritten(t *testing.T) {
	idle := make(chan struct{})
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		p.print("init\n")
		for {
			event, err := p.next()
			if err != nil {
				return sandbox.ExitStatus{}
			}
			if p.nth == 1 && string(event.body) == "1" {
				go func() {
					<-idle
					p.print("in the background\npartly")
					idle <- struct{}{}
				}()
			}
			p.print("before\n")
			if _, err := p.respond(event.id(), "{}"); err != nil {
				return sandbox.ExitStatus{}
			}
			p.print("after\n")
		}
	}))
	r.invoke("1")
	r.free()
	idle <- struct{}{}
	<-idle
	if _, err := r.Invoke(t.Context(), r.invocation("2")); err != nil {
		t.Fatal(err)
	}
	r.free()
	got := strings.Join(r.sink.function(), "\n")
	want := "- init\n1 before\n1 after\n- in the background\n- partly\n2 before\n2 after"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBytesPassAsTheyAre(t *testing.T) {
	lines := []string{"\x00nul\xff\xfe", "", "\x1b[31mred", `forged
END RequestId: x`[:6], "a\rb", "ünïcödé", "tab\tbed "}
	r := start(t, newBox(loop(func(p *proc, _ *reply) (string, error) {
		p.print(strings.Join(lines, "\n") + "\n")
		return "{}", nil
	})))
	r.invoke("{}")
	r.free()
	got := r.sink.function()
	if len(got) != len(lines) {
		t.Fatalf("got %q", got)
	}
	for i, line := range lines {
		if got[i] != "1 "+line {
			t.Errorf("got %q, want %q", got[i], line)
		}
	}
}

func TestALineAbove256KBIsSplit(t *testing.T) {
	const most = 256 << 10
	r := start(t, newBox(loop(func(p *proc, event *reply) (string, error) {
		switch string(event.body) {
		case "1":
			p.print(strings.Repeat("a", most) + "\nb\n")
		case "2":
			p.print(strings.Repeat("c", 2*most+7) + "\nd\n")
		case "3":
			p.print(strings.Repeat("e", most+1))
		}
		return "{}", nil
	})))
	for _, n := range []string{"1", "2", "3"} {
		r.invoke(n)
	}
	r.free()
	var got []string
	for _, l := range r.sink.function() {
		got = append(got, fmt.Sprintf("%s%d", l[:3], len(l)-2))
	}
	want := fmt.Sprintf("[1 a%d 1 b1 2 c%d 2 c%d 2 c7 2 d1 3 e%d 3 e1]", most, most, most, most)
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

// counter is a sink that keeps nothing.
type counter struct {
	sink
	bytes, dropped int64
}

func (c *counter) Emit(e telemetry.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += int64(len(e.Line)) + 1
	c.dropped += e.Count
	if e.Type != telemetry.Line {
		c.events = append(c.events, e)
	}
}

func TestAFloodIsBoundedAndStallsNothing(t *testing.T) {
	for _, line := range []string{strings.Repeat("x", 99) + "\n", strings.Repeat("y", 1000)} { // the second never ends its line
		chunk := bytes.Repeat([]byte(line), 1000)
		var written int64
		b := newBox(loop(func(p *proc, _ *reply) (string, error) {
			for written < 200<<20 {
				n, err := p.stdout.Write(chunk)
				if err != nil {
					return "", err
				}
				written += int64(n)
			}
			return "{}", nil
		}))
		c := &counter{}
		r := start(t, b, func(o *environment.Options) { o.Sink, o.Version.Config.Timeout = c, 900*time.Second })
		r.free()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		if o, err := r.Invoke(t.Context(), r.invocation("{}")); err != nil || o.Failed {
			t.Fatalf("got %v, %v", o, err)
		}
		took := time.Since(began)
		r.free()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if most := int64(32+8*took.Seconds()+8) << 20; c.bytes > most {
			t.Errorf("%d MB of %d MB were passed on, at most %d are right", c.bytes>>20, written>>20, most>>20)
		}
		if c.dropped == 0 && took < 10*time.Second {
			t.Error("nothing is said of what was dropped")
		}
		if line[0] == 'x' {
			if kept := (c.bytes - int64(len(c.events))) / 100; kept+c.dropped != written/100 {
				t.Errorf("%d kept and %d dropped of %d lines", kept, c.dropped, written/100)
			}
		}
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 10<<20 {
			t.Errorf("memory grew by %d MB", grown>>20)
		}
	}
}

func TestAThreadThatWritesForEverHoldsNoInvocation(t *testing.T) {
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		go func() {
			chunk := bytes.Repeat([]byte("noise\n"), 10000)
			for p.ctx.Err() == nil {
				if _, err := p.stdout.Write(chunk); err != nil {
					return
				}
			}
		}()
		return loop(echo)(p)
	}), func(o *environment.Options) { o.Sink = &counter{} })
	for range 50 {
		if o := r.invoke("1"); o.Failed {
			t.Fatalf("got %s", o.Payload)
		}
	}
	r.free()
}

func TestTheStreamIsNamedAsOnAWS(t *testing.T) {
	for group, want := range map[string]string{"": "[$LATEST]", "/aws/lambda/hello": "[$LATEST]", "/shared": "hello[$LATEST]"} {
		r := start(t, newBox(loop(echo)), func(o *environment.Options) { o.Version.Config.LogGroup = group })
		r.free()
		s := r.sink.all()[0].Source
		day, rest := s.Stream[:11], s.Stream[11:]
		if _, err := time.Parse("2006/01/02/", day); err != nil {
			t.Errorf("got %q", s.Stream)
		}
		if name, id := rest[:len(rest)-32], rest[len(rest)-32:]; name != want || strings.Trim(id, "0123456789abcdef") != "" {
			t.Errorf("group %q: got %q", group, s.Stream)
		}
		if group == "" {
			group = "/aws/lambda/hello"
		}
		if s.Group != group || s.Environment != "e1" || s.Version != "$LATEST" {
			t.Errorf("got %+v", s)
		}
	}
}
