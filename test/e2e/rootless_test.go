package e2e_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"kiln/test/harness"
)

// somebody is an ordinary user of every machine.
var somebody = &syscall.Credential{Uid: 65534, Gid: 65534}

// homeOf makes a data directory that belongs to an ordinary user.
func homeOf(t *testing.T, who *syscall.Credential) string {
	t.Helper()
	needRoot(t) // to become somebody else
	data := filepath.Join(t.TempDir(), "data")
	for dir := filepath.Dir(data); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(data, 0o700), os.Chown(data, int(who.Uid), int(who.Gid))); err != nil {
		t.Fatal(err)
	}
	return data
}

// startAs runs a server as an ordinary user.
func startAs(t *testing.T, who *syscall.Credential, data string, args ...string) *server {
	t.Helper()
	s := built.StartWith(t, harness.Options{Data: data, User: who, Args: args})
	return &server{s, s.Cmd, s.Done}
}

// pythonOf is the identifier of an interpreter that a user may run: root's own need not
// be one.
func pythonOf(t *testing.T, who *syscall.Credential) string {
	t.Helper()
	c := exec.Command(binary, "runtime", "ls", "-o", "json", "--data-dir", homeOf(t, who))
	c.Env = append(os.Environ(), "HOME=/nonexistent")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	out, err := c.Output()
	var list []struct{ Identifier, State string }
	if err := errors.Join(err, json.Unmarshal(out, &list)); err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if minor, ok := strings.CutPrefix(r.Identifier, "python3."); ok && r.State == "ready" && len(minor) == 2 { // 3.10 has match
			return r.Identifier
		}
	}
	t.Fatal("no Python runtime is ready for an ordinary user; make test installs python3")
	return ""
}

// told is a function that does as it is told.
const told = `import os, socket, time

def handler(event, context):
    match event.get("do"):
        case "sleep":
            time.sleep(event["seconds"])
        case "identity":
            with open("/tmp/mine", "w") as f:
                f.write("x" * 1000000)
            status = dict(l.split(":\t", 1) for l in open("/proc/self/status").read().splitlines() if ":\t" in l)
            return {"uid": os.getuid(), "capabilities": status["CapEff"], "processes": len([p for p in os.listdir("/proc") if p.isdigit()]),
                    "interfaces": [n for _, n in socket.if_nameindex()], "home": os.listdir("/root") + os.listdir("/home")}
        case "spin":
            pid = os.fork()
            if pid == 0:
                while True:
                    pass
            return pid
    return "fine"
`

func TestAnOrdinaryUserServesFunctions(t *testing.T) {
	data := homeOf(t, somebody)
	s := startAs(t, somebody, data)
	c := s.client()

	create(t, c, "in-go", "provided.al2023", "bootstrap", goFunction(t, "gofn"))
	if got := answer(t, c, "in-go", `{"Name":"ada"}`); !strings.Contains(got, `"hello":"ADA"`) {
		t.Errorf("a Go function: got %s", got)
	}
	create(t, c, "in-python", pythonOf(t, somebody), "app.handler", zipOf(t, file{Name: "app.py", Text: told}), timeout(2))
	if got := answer(t, c, "in-python", `{}`); got != `"fine"` {
		t.Errorf("a Python function: got %s", got)
	}
	var id struct {
		UID          int
		Capabilities string
		Processes    int
		Interfaces   []string
		Home         []string
	}
	if err := json.Unmarshal([]byte(answer(t, c, "in-python", `{"do":"identity"}`)), &id); err != nil {
		t.Fatal(err)
	}
	if id.UID < 1000 || id.UID == int(somebody.Uid) || strings.Trim(id.Capabilities, "0") != "" || id.Processes > 2 || len(id.Home) > 0 {
		t.Errorf("got %+v, want an unprivileged user alone in its box", id)
	}
	if !strings.Contains(strings.Join(id.Interfaces, " "), "lo") {
		t.Errorf("got interfaces %v, want a loopback device", id.Interfaces)
	}

	if kind, message := failure(t, c, "in-python", `{"do":"sleep","seconds":60}`); kind != "Sandbox.Timedout" || !strings.HasSuffix(message, "Task timed out after 2.00 seconds") {
		t.Errorf("a timeout: got %s, %s", kind, message)
	}
	if got := answer(t, c, "in-python", `{}`); got != `"fine"` {
		t.Errorf("after the timeout: got %s", got)
	}

	// What it lacks is said, where it starts and where it is asked.
	if said := s.said(); !strings.Contains(said, "linux (namespaces, rootless): without own user, memory limit, CPU limit, ") || !strings.Contains(said, "outbound network o") {
		t.Errorf("the server said %q", said)
	}
	r, err := http.Get(s.URL + "/_kiln/v1/doctor")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	var report struct {
		Isolation string
		Works     bool
		Findings  []struct{ Name, State, Found, Cost string }
	}
	if err := errors.Join(err, json.Unmarshal(text, &report)); err != nil {
		t.Fatal(err)
	}
	if report.Isolation != "namespaces, rootless" || !report.Works {
		t.Errorf("the doctor says %s", text)
	}
	for _, f := range report.Findings {
		if f.Name == "memory limit" && (f.State != "missing" || f.Cost == "") {
			t.Errorf("the doctor says %+v", f)
		}
	}
}

func TestAnOrdinaryUsersIdleFunctionsAreStopped(t *testing.T) {
	s := startAs(t, somebody, homeOf(t, somebody))
	c := s.client()
	create(t, c, "spinner", pythonOf(t, somebody), "app.handler", zipOf(t, file{Name: "app.py", Text: told}))
	answer(t, c, "spinner", `{"do":"spin"}`)
	ticks := func() (n int) {
		for _, p := range runtimes(s.Data, s) {
			text, err := os.ReadFile(p + "/stat")
			if err != nil {
				t.Fatal(err)
			}
			f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
			for _, field := range f[11:13] {
				k, err := strconv.Atoi(field)
				if err != nil {
					t.Fatal(err)
				}
				n += k
			}
		}
		return n
	}
	eventually(t, 20*time.Second, "a child that spins is stopped between invocations", func() bool {
		before, began := ticks(), time.Now()
		<-time.After(300 * time.Millisecond)
		return time.Duration(ticks()-before)*10*time.Millisecond < time.Since(began)/10
	})
	if got := answer(t, c, "spinner", `{}`); got != `"fine"` {
		t.Errorf("got %s", got)
	}
}

func TestAnOrdinaryUsersServerThatIsKilledLeavesNothing(t *testing.T) {
	data := homeOf(t, somebody)
	s := startAs(t, somebody, data)
	c := s.client()
	create(t, c, "sleeper", pythonOf(t, somebody), "app.handler", zipOf(t, file{Name: "app.py", Text: told}), timeout(60))
	busy := func() []string {
		inFlight := make(chan error, 1)
		client := s.client()
		go func() {
			_, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("sleeper"), Payload: []byte(`{"do":"sleep","seconds":50}`)}, func(o *lambda.Options) { o.RetryMaxAttempts = 1 })
			inFlight <- err
		}()
		t.Cleanup(func() {
			if err := <-inFlight; err == nil {
				t.Error("the call in flight was answered by a dead server")
			}
		})
		var inside []string
		eventually(t, 20*time.Second, "the function runs", func() bool { inside = runtimes(data, s); return len(inside) > 0 })
		return inside
	}
	gone := func(processes []string) {
		t.Helper()
		eventually(t, 10*time.Second, "every process of the server is gone", func() bool {
			for _, p := range processes {
				if text, err := os.ReadFile(p + "/stat"); err == nil && !strings.Contains(string(text), ") Z ") {
					return false
				}
			}
			return true
		})
	}

	// The process that the user sees.
	inside := append(busy(), "/proc/"+strconv.Itoa(innerOf(t, s)))
	s.kill(t)
	gone(inside)

	// The one in the user namespace. The first then says so and ends.
	s = startAs(t, somebody, data)
	if got := answer(t, s.client(), "sleeper", `{}`); got != `"fine"` {
		t.Errorf("after the kill: got %s", got)
	}
	inside = busy()
	if err := syscall.Kill(innerOf(t, s), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.done
	if got := s.cmd.ProcessState.ExitCode(); got != 3 || !strings.Contains(s.said(), "was killed by signal 9") {
		t.Errorf("got code %d and %q, want that it was killed", got, s.said())
	}
	gone(inside)

	s = startAs(t, somebody, data)
	if got := answer(t, s.client(), "sleeper", `{}`); got != `"fine"` {
		t.Errorf("after the second kill: got %s", got)
	}
}

// innerOf gives the server's process in the user namespace: its one child.
func innerOf(t *testing.T, s *server) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.PID()) + "/task/" + strconv.Itoa(s.PID()) + "/children")
	children := strings.Fields(string(text))
	if err != nil || len(children) == 0 { // another thread may have started it
		all, _ := filepath.Glob("/proc/" + strconv.Itoa(s.PID()) + "/task/*/children")
		for _, a := range all {
			text, _ := os.ReadFile(a)
			children = append(children, strings.Fields(string(text))...)
		}
	}
	if len(children) != 1 {
		t.Fatalf("got children %v of the server, want one", children)
	}
	pid, err := strconv.Atoi(children[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestAnOrdinaryUsersSecondServerIsRefusedAndACommandWithoutAServerWorks(t *testing.T) {
	data := homeOf(t, somebody)
	s := startAs(t, somebody, data)
	command := func(in string, args ...string) (string, int) {
		t.Helper()
		c := exec.Command(binary, args...)
		c.Env = append(os.Environ(), "HOME="+data, "NO_COLOR=1")
		c.Stdin = strings.NewReader(in)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: somebody}
		out, err := c.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), c.ProcessState.ExitCode()
	}
	out, code := command("", "serve", "--listen", "127.0.0.1:0", "--console", "off", "--data-dir", data)
	if code != 3 || !strings.Contains(out, "is in use by kiln with process id "+strconv.Itoa(s.PID())+", which serves "+s.URL) {
		t.Errorf("a second server: got code %d, %q", code, out)
	}

	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, "app.py"), []byte("def handler(event, context):\n    return event['word'] * 2\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	out, code = command(`{"word": "ja"}`, "run", dir, "--runtime", pythonOf(t, somebody), "--handler", "app.handler", "--event", "-", "--quiet")
	if code != 0 || strings.TrimSpace(out) != `"jaja"` {
		t.Errorf("kiln run: got code %d, %q", code, out)
	}
	out, code = command(`{}`, "run", dir, "--runtime", pythonOf(t, somebody), "--handler", "app.handler", "--event", "-", "--quiet")
	if code != 1 || !strings.Contains(out, "KeyError") {
		t.Errorf("kiln run of what fails: got code %d, %q", code, out)
	}
	out, code = command("", "doctor")
	if code != 0 || !strings.Contains(out, "namespaces, rootless") {
		t.Errorf("kiln doctor: got code %d, %q", code, out)
	}
	if left, err := filepath.Glob(filepath.Join(data, "run", "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
