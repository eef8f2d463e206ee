package hostile_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"kiln/test/harness"
)

// event is what the attacker in testdata is asked for; see there.
type event struct {
	Do     string
	Paths  []string `json:",omitempty"`
	Dir    string   `json:",omitempty"`
	Marker string   `json:",omitempty"`
	Text   string   `json:",omitempty"`
	Token  string   `json:",omitempty"`
	PIDs   []int    `json:",omitempty"`
	Dial   []string `json:",omitempty"`
	Limit  int64    `json:",omitempty"`
	Millis int64    `json:",omitempty"`
	Hold   bool     `json:",omitempty"`
}

// report is what the attacker says came of it.
type report struct {
	Results map[string]string
	Numbers map[string]int64
	Texts   map[string]string
}

// attackerZip is the attacker as a package.
func attackerZip(t testing.TB, more ...harness.File) []byte {
	t.Helper()
	program := harness.File{Name: "bootstrap", Text: string(kiln.GoProgram(t, "testdata/attacker")), Mode: 0o755}
	return harness.Zip(t, append([]harness.File{program}, more...)...)
}

// attackerPath is the attacker as a program on the host, which everybody may run.
func attackerPath(t testing.TB) string {
	t.Helper()
	path := filepath.Join(kiln.Work, "attacker")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.WriteFile(path, kiln.GoProgram(t, "testdata/attacker"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// trial is one test's attack on a server: the functions that it made, which go with
// it, and the invariants, which are checked then.
type trial struct {
	*place
	mu        sync.Mutex
	functions []string
}

// trial begins one.
func (p *place) trial(t testing.TB) *trial {
	t.Helper()
	x := &trial{place: p}
	descriptors := p.descriptors(t)
	t.Cleanup(func() { p.afterwards(t, x.functions, descriptors) })
	return x
}

var notName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// name makes the name of a function of this test, which is deleted with it.
func (x *trial) name(t testing.TB, part string) string {
	name := notName.ReplaceAllString(t.Name(), "-")
	name = strings.Trim(name[:min(len(name), 50)]+"-"+part, "-")
	x.mu.Lock()
	defer x.mu.Unlock()
	x.functions = append(x.functions, name)
	return name
}

// attacker makes an attack function.
func (x *trial) attacker(t testing.TB, part string, set ...harness.Settings) string {
	t.Helper()
	name := x.name(t, part)
	harness.Create(t, x.client, name, "provided.al2023", "bootstrap", attackerZip(t), set...)
	return name
}

// ask has a function do an attack that it must survive.
func (x *trial) ask(t testing.TB, name string, e event) report {
	t.Helper()
	r, _ := x.askForTail(t, name, e)
	return r
}

// askForTail does so and gives the end of its log, too.
func (x *trial) askForTail(t testing.TB, name string, e event) (report, string) {
	t.Helper()
	out := x.call(t, name, e)
	if out.FunctionError != nil {
		t.Fatalf("%s, asked for %s, ended with %s\n%s", name, e.Do, out.Payload, harness.Tail(out))
	}
	return reportOf(t, out.Payload), harness.Tail(out)
}

// call has a function do an attack and gives whatever the caller gets.
func (x *trial) call(t testing.TB, name string, e event) *lambda.InvokeOutput {
	t.Helper()
	return harness.Invoke(t, x.client, name, payload(t, e))
}

// attack is the usual test: one function, one attack.
func (x *trial) attack(t testing.TB, e event, set ...harness.Settings) report {
	t.Helper()
	return x.ask(t, x.attacker(t, "", set...), e)
}

// payload is an event as JSON.
func payload(t testing.TB, e event) string {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// reportOf reads a report.
func reportOf(t testing.TB, text []byte) report {
	t.Helper()
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if wrong := r.Results["attack"]; wrong != "" {
		t.Fatal(wrong)
	}
	return r
}

// control does an attack on the host, as root and without a sandbox: the negative
// control. change alters how the program is run.
func control(t testing.TB, e event, change ...func(*exec.Cmd)) report {
	t.Helper()
	c := exec.CommandContext(harness.Within(t, time.Minute), attackerPath(t), "once", payload(t, e))
	c.Dir = "/"
	var talk bytes.Buffer
	c.Stderr = &talk
	for _, f := range change {
		f(c)
	}
	out, err := c.Output()
	if err != nil {
		t.Fatalf("the attacker on the host: %v\n%s%s", err, out, talk.Bytes())
	}
	// What it prints itself comes before its report.
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	return reportOf(t, []byte(lines[len(lines)-1]))
}

// apart runs a control in namespaces of its own, so that what it does to the kernel
// ends with it.
func apart(flags uintptr) func(*exec.Cmd) {
	return func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: flags} }
}

// as runs a control as an ordinary user.
func as(uid uint32) func(*exec.Cmd) {
	return func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
}

// scratch is a folder of the host for controls, which everybody may enter.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(kiln.Work, "control-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// refused holds everything that was tried to a list of acceptable answers, but what
// is named "wanted…", which must be ok, and what except says otherwise of.
func (r report) refused(t testing.TB, acceptable []string, except map[string][]string) {
	t.Helper()
	tried := 0
	for name, got := range r.Results {
		want := acceptable
		if strings.HasPrefix(name, "wanted") {
			want = []string{"ok"}
		} else {
			tried++
		}
		if other, ok := except[name]; ok {
			want = other
		}
		if !slices.Contains(want, got) {
			t.Errorf("%s: got %s, want one of %v", name, got, want)
		}
	}
	for name := range except {
		if _, ok := r.Results[name]; !ok {
			t.Errorf("%s was not tried", name)
		}
	}
	if tried == 0 {
		t.Error("nothing was tried")
	}
}

// worked holds a control to success: each of these must have worked on the host.
func (r report) worked(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if got := r.Results[name]; got != "ok" {
			t.Errorf("without a sandbox %s: got %q, want ok: this attack proves nothing", name, got)
		}
	}
}

// needPython gives the identifier of a Python runtime that this machine can serve.
func needPython(t testing.TB) string {
	t.Helper()
	return need(t, "python3", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9")
}

// needNode gives the identifier of a Node.js runtime that this machine can serve.
func needNode(t testing.TB) string {
	t.Helper()
	return need(t, "nodejs", "nodejs24.x", "nodejs22.x", "nodejs20.x", "nodejs18.x")
}

// need gives the first runtime that is ready. What the machine lacks, make test
// installs.
func need(t testing.TB, program string, identifiers ...string) string {
	t.Helper()
	harness.NeedRoot(t)
	id := kiln.Ready(identifiers...)
	if id == "" {
		t.Fatalf("none of %v is ready on this machine; make test installs %s", identifiers, program)
	}
	return id
}
