package environment_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
	"kiln/telemetry"
)

// Kinds of frames: text and JSON of no level, and text of the level error.
const text, inJSON, errorText = 0x03, 0x01, 0x17

func managed(o *environment.Options) { o.Runtime.Family = "python" }

// record gives what a function prints in one invocation as records.
func records(t *testing.T, print func(p *proc), change ...func(*environment.Options)) []string {
	t.Helper()
	r := start(t, newBox(loop(func(p *proc, event *reply) (string, error) {
		print(p)
		return "{}", nil
	})), append(change, managed)...)
	r.invoke("{}")
	r.free()
	return r.sink.function()
}

func wantRecords(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	for i := range want {
		if got[i] != "1 "+want[i] {
			t.Errorf("record %d: got %q, want %q", i, got[i], want[i])
		}
	}
}

func TestAMessageOfManyLinesIsOneRecordInItsPlace(t *testing.T) {
	wantRecords(t, records(t, func(p *proc) {
		p.print("before\n")
		p.frame(text, "[ERROR] Oh\nTraceback:\n  here\n")
		p.print("between\nhalf ")
		p.frame(text, "\x00\xffany\rthing\n\n")
		p.print("a line\n")
		p.frame(text, "")
		p.frame(text, "last words")
	}), "before", "[ERROR] Oh\nTraceback:\n  here", "between", "\x00\xffany\rthing\n", "half a line", "last words")
}

func TestAFrameMayComeInAnyPieces(t *testing.T) {
	stream := append([]byte("one\n"), frameOf(text, "two\nlines\n", time.Now())...)
	stream = append(stream, "three\n"...)
	stream = append(stream, frameOf(errorText, "four", time.Now())...)
	for size := 1; size <= 20; size++ {
		wantRecords(t, records(t, func(p *proc) {
			for rest := stream; len(rest) > 0; {
				n := min(size, len(rest))
				_, _ = p.stdout.Write(rest[:n]) // the same pipe
				rest = rest[n:]
				if n == size && len(rest)%3 == 0 {
					time.Sleep(50 * time.Microsecond) // the writer's own pace: the reader may come in between
				}
			}
		}), "one", "two\nlines", "three", "four")
	}
}

func TestTextThatLooksAlmostLikeAFrameStaysText(t *testing.T) {
	frame := func(change func([]byte)) string {
		b := frameOf(text, "x", time.Now())
		change(b)
		return string(b)
	}
	kind := frame(func(b []byte) { b[3] = 0x42 })
	length := frame(func(b []byte) { b[4] = 0xff })
	old := frame(func(b []byte) { b[8], b[9] = 0, 0 })
	wantRecords(t, records(t, func(p *proc) {
		p.print(strings.ReplaceAll(kind, "\n", " ") + "\n")
		p.print(strings.ReplaceAll(length, "\n", " ") + "\n")
		p.print(strings.ReplaceAll(old, "\n", " ") + "\n")
		p.print("\xa5\n\xa5\x5a\n\xa5\x5a\x00\n")
		p.print("at the end \xa5\x5a\x00\x03")
	}), strings.ReplaceAll(kind, "\n", " "), strings.ReplaceAll(length, "\n", " "), strings.ReplaceAll(old, "\n", " "),
		"\xa5", "\xa5\x5a", "\xa5\x5a\x00", "at the end \xa5\x5a\x00\x03")
}

func TestALongMessageIsSplitAndAFalseTimeIsNotBelieved(t *testing.T) {
	const most = 256 << 10
	r := start(t, newBox(loop(func(p *proc, event *reply) (string, error) {
		p.frame(text, strings.Repeat("a", 2*most+5)+"\n")
		_, _ = p.files[62].Write(frameOf(text, "from the future", time.Now().Add(time.Hour)))
		_, _ = p.files[62].Write(frameOf(text, "from the past", time.Now().Add(-2*time.Hour)))
		_, _ = p.files[62].Write(frameOf(text, "a second ago", time.Now().Add(-time.Second)))
		return "{}", nil
	})), managed)
	began := time.Now()
	r.invoke("{}")
	r.free()
	var got []string
	for _, e := range r.sink.all() {
		if e.Type == telemetry.Line {
			got = append(got, fmt.Sprint(len(e.Line)))
			switch early := e.Time.Before(began); string(e.Line) {
			case "a second ago":
				if !early {
					t.Errorf("%s is of %s", e.Line, e.Time)
				}
			default:
				if early && len(e.Line) < most || e.Time.After(time.Now()) {
					t.Errorf("%.20s is of %s", e.Line, e.Time)
				}
			}
		}
	}
	if want := fmt.Sprint([]int{most, most, 5, 15, 13, 12}); fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestAMessageThatItsProcessDidNotFinishIsARecordAllTheSame(t *testing.T) {
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		if p.nth == 1 {
			_, _ = p.files[62].Write(frameOf(text, "half a message", time.Now())[:20])
			return sandbox.ExitStatus{Code: 3}
		}
		p.print("again\n")
		return loop(echo)(p)
	}), managed)
	r.invoke("{}")
	r.free()
	if got := strings.Join(r.sink.function(), "; "); got != "- half; 1 again" {
		t.Errorf("got %q", got)
	}
}

func TestARuntimeOfTheFunctionsOwnGetsNoFrames(t *testing.T) {
	r := start(t, newBox(loop(func(p *proc, event *reply) (string, error) {
		p.print(string(frameOf(text, "a\nb", time.Now())) + "\n")
		return fmt.Sprintf(`"%d %s"`, len(p.files), p.env["_LAMBDA_TELEMETRY_LOG_FD"]), nil
	})))
	if o := r.invoke("{}"); string(o.Payload) != `"0 "` {
		t.Errorf("got %s", o.Payload)
	}
	r.free()
}

func TestInALogOfJSONTheLevelsDecideWhatIsKept(t *testing.T) {
	const at = `"timestamp":"2024-11-02T16:51:31.587199Z"`
	r := start(t, newBox(loop(func(p *proc, event *reply) (string, error) {
		p.print(`{"level":"debug",` + at + "}\n" + `{"level":"error",` + at + "}\nplain\n")
		p.frame(0x0b, "a frame of DEBUG")
		p.frame(errorText, "a frame of ERROR")
		p.frame(inJSON, `{"level":"WARN",`+at+`}`)
		p.frame(0x0a, `{"level":"DEBUG",`+at+`}`)
		return "{}", nil
	})), managed, func(o *environment.Options) {
		o.Version.Config.Logging = kiln.Logging{Format: kiln.FormatJSON, ApplicationLevel: kiln.LevelWarn, SystemLevel: kiln.LevelInfo}
	})
	inv := r.invocation("{}")
	inv.WantTail = true
	r.free()
	o, err := r.Invoke(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	r.free()
	want := []string{
		`{"time":"#","type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init","runtimeVersion":"provided:al2023.v1","runtimeVersionArn":"arn:aws:lambda:eu-west-1::runtime:1","functionName":"hello","functionVersion":"$LATEST","instanceId":"STREAM","instanceMaxMemory":134217728}}`,
		`{"time":"#","type":"platform.start","record":{"requestId":"00000000-0000-4000-8000-000000000001","functionArn":"arn:aws:lambda:eu-west-1:123456789012:function:hello","version":"$LATEST","tracing":{"type":"X-Amzn-Trace-Id","value":"` + inv.Trace + `"}}}`,
		`{"level":"error",` + at + `}`, "a frame of ERROR", `{"level":"WARN",` + at + `}`,
		`{"time":"#","type":"platform.report","record":{"requestId":"00000000-0000-4000-8000-000000000001","metrics":{"durationMs":#,"billedDurationMs":#,"memorySizeMB":128,"maxMemoryUsedMB":9,"initDurationMs":#},"status":"success","tracing":{"type":"X-Amzn-Trace-Id","value":"` + inv.Trace + `"}}}`,
	}
	stream := r.sink.all()[0].Source.Stream
	same := func(line string) string {
		line = strings.ReplaceAll(line, stream, "STREAM")
		for _, member := range []string{`"time":"`, `"durationMs":`, `"billedDurationMs":`, `"initDurationMs":`} {
			if i := strings.Index(line, member); i >= 0 && strings.HasPrefix(line, `{"time"`) {
				i += len(member)
				j := i + strings.IndexAny(line[i:], `",}`)
				line = line[:i] + "#" + line[j:]
			}
		}
		return line
	}
	got := r.sink.lines()
	if len(got) != len(want) {
		t.Fatalf("got\n%s", strings.Join(got, "\n"))
	}
	for i := range want {
		if line := same(got[i]); line != want[i] {
			t.Errorf("got  %s\nwant %s", line, want[i])
		}
	}
	if tail, whole := string(o.Tail), strings.Join(got[1:], "\n")+"\n"; tail != whole {
		t.Errorf("the tail is\n%swant\n%s", tail, whole)
	}
}

func TestAFloodOfFramesIsBoundedAndCounted(t *testing.T) {
	c := &counter{}
	const size, calls = 1 << 20, 100
	r := start(t, newBox(loop(func(p *proc, _ *reply) (string, error) {
		for range calls {
			p.frame(text, strings.Repeat("x", size))
		}
		p.print("the end\n")
		return "{}", nil
	})), managed, func(o *environment.Options) { o.Sink, o.Version.Config.Timeout = c, 900*time.Second })
	r.free()
	began := time.Now()
	if _, err := r.Invoke(t.Context(), r.invocation("{}")); err != nil {
		t.Fatal(err)
	}
	r.free()
	c.mu.Lock()
	defer c.mu.Unlock()
	if most := int64(32+8*time.Since(began).Seconds()+8) << 20; c.bytes > most {
		t.Errorf("%d MB were passed on, at most %d are right", c.bytes>>20, most>>20)
	}
	if c.dropped < calls/2 || c.dropped > calls {
		t.Errorf("%d of %d messages are told as dropped", c.dropped, calls)
	}
}
