package e2e_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// naughty is one Python function whose events ask for a fault.
const naughty = `
import json, os, signal, sys, threading, time
print("loaded")
spins = 0
def spin():
    global spins
    while True:
        spins += 1
def handler(event, context):
    do = event.get("do")
    if do == "timeout": time.sleep(60)
    if do == "ignore": signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)
    if do == "exit": sys.stdout.flush(); os._exit(event.get("code", 7))
    if do == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if do == "term": os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)
    if do == "sysexit": sys.exit(3)
    if do == "memory":
        hog = []
        while True: hog.append(bytearray(8 << 20))
    if do == "fork":
        pids = []
        try:
            while True:
                pid = os.fork()
                if pid == 0: time.sleep(60); os._exit(0)
                pids.append(pid)
        except OSError as e:
            for p in pids: os.kill(p, signal.SIGKILL)
            for p in pids: os.waitpid(p, 0)
            return [len(pids), e.strerror]
    if do == "fill":
        n = 0
        try:
            with open("/tmp/fill", "wb") as f:
                while True: n += f.write(b"x" * (1 << 20)); f.flush()
        except OSError as e:
            os.unlink("/tmp/fill")
            return [n >> 20, e.strerror]
    if do == "write":
        with open("/tmp/big", "wb") as f:
            for _ in range(event["mb"]): f.write(b"x" * (1 << 20))
        return os.path.getsize("/tmp/big") >> 20
    if do == "read": return os.path.exists("/tmp/big")
    if do == "big": return "x" * event["n"]
    if do == "flood":
        for n in range(event["lines"]): print("line %07d %s" % (n, "y" * 80))
        return "done"
    if do == "spin":
        threading.Thread(target=spin, daemon=True).start()
        return 0
    if do == "spins": return spins
    if do == "child":
        if os.fork() == 0: time.sleep(60); os._exit(0)
        os._exit(9)
    if do == "raise": raise KeyError("on purpose")
    if do == "cpu": return time.process_time()
    return "fine"
`

func naughtyFunction(t *testing.T, s *server, name string, set ...settings) *lambda.Client {
	c := s.client()
	create(t, c, name, needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: naughty}), set...)
	return c
}

func TestFaultsOfAFunctionGiveExactlyTheAnswersOfAWS(t *testing.T) {
	s := start(t)
	c := naughtyFunction(t, s, "naughty", timeout(2))
	for _, fault := range []struct{ event, kind, message, status string }{
		{`{"do":"timeout"}`, "Sandbox.Timedout", `^RequestId: [0-9a-f-]{36} Error: Task timed out after 2\.00 seconds$`, "Status: timeout"},
		{`{"do":"ignore"}`, "Sandbox.Timedout", `^RequestId: [0-9a-f-]{36} Error: Task timed out after 2\.00 seconds$`, "Status: timeout"},
		{`{"do":"exit"}`, "Runtime.ExitError", `^RequestId: [0-9a-f-]{36} Error: Runtime exited with error: exit status 7$`, "Status: error\tError Type: Runtime.ExitError"},
		{`{"do":"exit","code":0}`, "Runtime.ExitError", `^RequestId: [0-9a-f-]{36} Error: Runtime exited without providing a reason$`, "Status: error\tError Type: Runtime.ExitError"},
		{`{"do":"kill"}`, "Runtime.ExitError", `^RequestId: [0-9a-f-]{36} Error: Runtime exited with error: signal: killed$`, "Status: error\tError Type: Runtime.ExitError"},
		{`{"do":"term"}`, "Runtime.ExitError", `^RequestId: [0-9a-f-]{36} Error: Runtime exited with error: signal: terminated$`, "Status: error\tError Type: Runtime.ExitError"},
		{`{"do":"memory"}`, "Runtime.ExitError", `^RequestId: [0-9a-f-]{36} Error: Runtime exited with error: signal: killed$`, "Max Memory Used: 128 MB"},
		{`{"do":"child"}`, "Runtime.ExitError", `exit status 9$`, "Status: error\tError Type: Runtime.ExitError"},
		{`{"do":"raise"}`, "KeyError", `^'on purpose'$`, "REPORT RequestId"},
		{`{"do":"big","n":6291555}`, "Function.ResponseSizeTooLarge", `^Response payload size exceeded maximum allowed payload size \(6291556 bytes\)\.$`, "REPORT RequestId"},
	} {
		t.Run(fault.event, func(t *testing.T) {
			begin := time.Now()
			out := invoke(t, c, "naughty", fault.event)
			if took := time.Since(begin); !strings.Contains(fault.kind, "Timedout") && took > 20*time.Second {
				t.Errorf("an exit must be noticed at once, not after %v", took)
			}
			var e struct{ ErrorType, ErrorMessage string }
			if err := json.Unmarshal(out.Payload, &e); err != nil || aws.ToString(out.FunctionError) != "Unhandled" {
				t.Fatalf("%v: %.300s", err, out.Payload)
			}
			if e.ErrorType != fault.kind || !regexp.MustCompile(fault.message).MatchString(e.ErrorMessage) {
				t.Errorf("got %s: %s\nwant %s: %s", e.ErrorType, e.ErrorMessage, fault.kind, fault.message)
			}
			if log := tail(out); !strings.Contains(log, fault.status) {
				t.Errorf("the report lacks %q:\n%s", fault.status, log)
			}
			// The fault is over: the next call finds a working function.
			if got := answer(t, c, "naughty", `{}`); got != `"fine"` {
				t.Errorf("the call after the fault: %s", got)
			}
		})
	}
}

func TestTheLargestAnswerAndTheLargestEventPass(t *testing.T) {
	s := start(t)
	c := naughtyFunction(t, s, "large", memory(512))
	if got := answer(t, c, "large", `{"do":"big","n":6291554}`); len(got) != 6291556 {
		t.Errorf("the largest answer has %d bytes", len(got))
	}
	event := `{"pad":"` + strings.Repeat("x", 6291456-len(`{"pad":""}`)) + `"}`
	if got := answer(t, c, "large", event); got != `"fine"` {
		t.Errorf("the largest event: %.100s", got)
	}
	_, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("large"), Payload: []byte(event + " ")})
	if err == nil || !strings.Contains(err.Error(), "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)") {
		t.Errorf("one byte more: %v", err)
	}
}

func TestLimitsOfTheSandboxHold(t *testing.T) {
	s := start(t)
	c := naughtyFunction(t, s, "limits", timeout(60))
	roomy := naughtyFunction(t, s, "roomy", timeout(60), memory(2048)) // a thousand forks fill 128 MB first
	var got []any
	if err := json.Unmarshal([]byte(answer(t, roomy, "roomy", `{"do":"fork"}`)), &got); err != nil || got[1] != "Resource temporarily unavailable" || got[0].(float64) < 100 || got[0].(float64) > 1024 {
		t.Errorf("forking without end: %v %v", got, err)
	}
	if err := json.Unmarshal([]byte(answer(t, c, "limits", `{"do":"fill"}`)), &got); err != nil || got[1] != "No space left on device" || got[0].(float64) < 400 || got[0].(float64) > 512 {
		t.Errorf("filling /tmp of 512 MB: %v %v", got, err)
	}
	out := invoke(t, c, "limits", `{"do":"write","mb":400}`)
	if string(out.Payload) != "400" {
		t.Fatalf("400 MB in /tmp beside 128 MB of memory: %s\n%s", out.Payload, tail(out))
	}
	used := regexp.MustCompile(`Max Memory Used: (\d+) MB`).FindStringSubmatch(tail(out))
	var mb int
	if used == nil {
		t.Fatalf("no figure in %s", tail(out))
	}
	if fmt.Sscan(used[1], &mb); mb >= 128 {
		t.Errorf("writing to /tmp counted as memory: %d MB", mb)
	}
}

func TestTmpIsKeptOverAResetAndGoneWithTheEnvironment(t *testing.T) {
	s := start(t)
	c := naughtyFunction(t, s, "tmp")
	answer(t, c, "tmp", `{"do":"write","mb":1}`)
	failure(t, c, "tmp", `{"do":"exit"}`)
	if got := answer(t, c, "tmp", `{"do":"read"}`); got != "true" {
		t.Errorf("after a reset: %s", got)
	}
	if _, err := c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("tmp"), Description: aws.String("other")}); err != nil {
		t.Fatal(err)
	}
	if err := lambda.NewFunctionUpdatedV2Waiter(c).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("tmp")}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, c, "tmp", `{"do":"read"}`); got != "false" {
		t.Errorf("a new environment sees the files of the old one: %s", got)
	}
}

func TestABusyThreadStandsStillBetweenCalls(t *testing.T) {
	s := start(t)
	c := naughtyFunction(t, s, "busy")
	answer(t, c, "busy", `{"do":"spin"}`)
	cpu := func() (v float64) {
		if err := json.Unmarshal([]byte(answer(t, c, "busy", `{"do":"cpu"}`)), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := cpu()
	pause := 3 * time.Second
	<-time.After(pause) // the time in which the thread must not run is the subject of the test
	if gained := cpu() - before; gained > pause.Seconds()/10 {
		t.Errorf("the thread gained %.3f s of CPU in a pause of %v", gained, pause)
	}
}

func TestAFloodOfLogsIsAnsweredAndHarmsNobody(t *testing.T) {
	s := start(t)
	c := naughtyFunction(t, s, "flood", timeout(60))
	out := invoke(t, c, "flood", `{"do":"flood","lines":200000}`)
	if string(out.Payload) != `"done"` {
		t.Fatalf("got %s", out.Payload)
	}
	if log := tail(out); len(log) > 4096 || !strings.Contains(log, "line 0199999 ") || !strings.Contains(log, "REPORT RequestId") {
		t.Errorf("the tail has %d bytes:\n%s", len(log), log)
	}
}

func TestNeverAnsweringFunctionsDoNotStopOthers(t *testing.T) {
	s := start(t)
	c := naughtyFunction(t, s, "stuck", timeout(5))
	naughtyFunction(t, s, "free")
	var wg sync.WaitGroup
	for range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if kind, _ := failure(t, c, "stuck", `{"do":"timeout"}`); kind != "Sandbox.Timedout" {
				t.Errorf("got %s", kind)
			}
		}()
	}
	for range 50 {
		if got := answer(t, c, "free", `{}`); got != `"fine"` {
			t.Errorf("got %s", got)
		}
	}
	wg.Wait()
}
