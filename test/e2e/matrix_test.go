package e2e_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"kiln/test/harness"
)

// row is one runtime identifier of the matrix: what its descriptor says, what serves
// it here, and what came of it.
type row struct {
	Identifier, Family, Version, Deprecated, NPM string
	Debian                                       *struct{ Suite string }

	state, source, how string
	ran                string // the version of what ran the matrix; "" when nothing did
}

// cheap are the runtimes that every run fetches; a full one fetches all that it can.
var cheap = []string{"nodejs10.x", "nodejs26.x"}

// readRows gives a row for each descriptor, in the order of their names.
func readRows(t testing.TB) []*row {
	t.Helper()
	files, err := filepath.Glob("../../box/runtimes/descriptors/*.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d descriptors, %v", len(files), err)
	}
	var rows []*row
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r := new(row)
		if err := json.Unmarshal(text, r); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		rows = append(rows, r)
	}
	return rows
}

// fetch brings the runtimes of the run into a data directory. What comes from a suite
// that changes daily may fail; it is then no row of this run.
func fetch(t testing.TB, data string, rows []*row) {
	t.Helper()
	full := os.Getenv("KILN_TEST_FULL") != ""
	states := runtimesOf(t, "--data-dir", data)
	for _, r := range rows {
		if prefetched(data, r) {
			continue
		}
		if states[r.Identifier].State != "fetchable" || !full && !slices.Contains(cheap, r.Identifier) {
			continue
		}
		var out []byte
		var err error
		for range 3 { // a public server
			out, err = exec.CommandContext(within(t, 4*time.Minute), binary, "runtime", "add", r.Identifier, "--data-dir", data).CombinedOutput()
			if err == nil {
				break
			}
		}
		if err == nil {
			continue
		}
		if r.Debian != nil && (r.Debian.Suite == "sid" || r.Debian.Suite == "forky") {
			t.Logf("%s is not to be had today: %s", r.Identifier, out)
			continue
		}
		t.Errorf("fetch %s: %v\n%s", r.Identifier, err, out)
	}
}

// listed is one line of `kiln runtime ls`.
type listed struct{ Identifier, State, Source, How string }

// runtimesOf asks the command line for all runtimes.
func runtimesOf(t testing.TB, args ...string) map[string]listed {
	t.Helper()
	out, err := exec.CommandContext(within(t, time.Minute), binary, append([]string{"runtime", "ls", "-o", "json"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []listed
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]listed, len(list))
	for _, l := range list {
		all[l.Identifier] = l
	}
	return all
}

// recorded is what functions on AWS saw and how their errors were answered.
type recorded struct {
	Introspection map[string]struct {
		Ctx         map[string]any
		Environment map[string]string
	}
	Uncaught map[string]map[string]any
}

func readRecorded(t testing.TB) (r recorded) {
	t.Helper()
	text, err := os.ReadFile("../../box/runtimes/testdata/recorded/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil || len(r.Introspection) < 20 || len(r.Uncaught) < 20 {
		t.Fatalf("%d, %d recordings, %v", len(r.Introspection), len(r.Uncaught), err)
	}
	return r
}

// nearest gives the recorded identifier that stands for another of its family: itself,
// else the next newer one, else the newest.
func nearest[T any](recordings map[string]T, rows []*row, r *row) string {
	if _, ok := recordings[r.Identifier]; ok {
		return r.Identifier
	}
	var known []*row
	for _, other := range rows {
		if _, ok := recordings[other.Identifier]; ok && other.Family == r.Family {
			known = append(known, other)
		}
	}
	slices.SortFunc(known, func(a, b *row) int { return compareDotted(a.Version, b.Version) })
	for _, other := range known {
		if compareDotted(other.Version, r.Version) >= 0 {
			return other.Identifier
		}
	}
	if len(known) == 0 {
		return ""
	}
	return known[len(known)-1].Identifier
}

// compareDotted orders versions part by part.
func compareDotted(a, b string) int {
	numbers := func(s string) (all []int) {
		for _, part := range strings.Split(s, ".") {
			n := 0
			_, _ = fmt.Sscan(part, &n) // what is no number is 0
			all = append(all, n)
		}
		return all
	}
	return slices.Compare(numbers(a), numbers(b))
}

// TestEachRuntimeRunsTheMatrix runs one function of each language on every runtime
// identifier that can be had here.
func TestEachRuntimeRunsTheMatrix(t *testing.T) {
	needRoot(t)
	rows, known := readRows(t), readRecorded(t)
	data := t.TempDir()
	fetch(t, data, rows)
	s := startIn(t, data)
	states := runtimesOf(t, "--endpoint-url", s.URL)
	var names sync.Map
	t.Run("runtimes", func(t *testing.T) {
		for _, r := range rows {
			l := states[r.Identifier]
			r.state, r.source, r.how = l.State, l.Source, l.How
			f := fixtures[r.Family]
			if r.state != "ready" || f == nil {
				continue
			}
			t.Run(r.Identifier, func(t *testing.T) {
				t.Parallel()
				m := &trial{T: t, row: r, fixture: f, client: s.client(), known: known, rows: rows}
				m.run()
				names.Store(r.Identifier, m.version)
			})
		}
	})
	ran := 0
	for _, r := range rows {
		if v, ok := names.Load(r.Identifier); ok {
			r.ran = v.(string)
			ran++
		}
	}
	// What needs no interpreter, what was fetched, and what make test installs.
	must := []string{"provided.al2023", "go1.x", "java17", "nodejs10.x", "nodejs26.x"}
	if runtime.GOARCH == "amd64" {
		must = append(must, "dotnetcore2.1", "dotnetcore3.1")
	}
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		must = nil // only some rows were asked for
	}
	for _, must := range must {
		if i := slices.IndexFunc(rows, func(r *row) bool { return r.Identifier == must }); rows[i].ran == "" {
			t.Errorf("%s did not run: %s %s", must, rows[i].state, rows[i].how)
		}
	}
	t.Logf("%d of %d runtimes ran", ran, len(rows))
	if os.Getenv("KILN_TEST_UPDATE") != "" && !t.Failed() {
		writeRuntimes(t, rows)
	}
}

// trial is the matrix of one runtime.
type trial struct {
	*testing.T
	*row
	*fixture
	client *lambda.Client
	known  recorded
	rows   []*row
	// version is what the interpreter says of itself.
	version string
}

// name gives the function of one part of the matrix.
func (m *trial) name(part string) string {
	return strings.ReplaceAll(m.Identifier, ".", "_") + "-" + part
}

// make creates the function of a part.
func (m *trial) make(part, handler string, code []byte, set ...settings) string {
	m.Helper()
	create(m, m.client, m.name(part), m.Identifier, handler, code, append([]settings{memory(1024)}, set...)...)
	return m.name(part)
}

func (m *trial) run() {
	code, handler := m.code(m), m.handler
	variable := variables(map[string]string{"TEST_KEY": "TEST_VAL"})
	main := m.make("main", handler, code, variable)
	slow := m.make("slow", handler, code, timeout(1))
	timedOut := m.later(slow, `{"do":"sleep"}`)

	if got, want := answer(m, m.client, main, `{"value":"é€","list":[1,2.5,null,true]}`), `{"list":[1,2.5,null,true],"value":"é€"}`; normal(m, got) != want {
		m.Errorf("echo: got %s, want %s", got, want)
	}
	m.look(main)
	m.fails(main)
	m.background(main)
	m.logs(main)
	if kind, message := failure(m, m.client, main, `{"do":"exit"}`); kind != "Runtime.ExitError" || !strings.HasSuffix(message, "exit status 3") {
		m.Errorf("exit: got %s: %s", kind, message)
	}
	if got := normal(m, answer(m, m.client, main, `{"after":1}`)); got != `{"after":1}` {
		m.Errorf("after an exit: got %s", got)
	}
	for part, b := range m.broken {
		files := slices.Clone(b.files)
		for i := range files {
			files[i].Text = strings.Replace(files[i].Text, "VERSION", m.Version, 1)
		}
		name := m.make(part, cmp.Or(b.handler, handler), zipOf(m, files...))
		kind, message := failure(m, m.client, name, `{}`)
		if kind != b.kind || !strings.Contains(message, b.message) {
			m.Errorf("%s: got %s: %s\nwant %s: %s", part, kind, message, b.kind, b.message)
		}
	}
	m.wrapper(code)
	m.structured(code)
	out := <-timedOut
	if out.err != nil {
		m.Fatal(out.err)
	}
	if kind, message := harness.FailureOf(m, slow, out.answer); kind != "Sandbox.Timedout" || !strings.HasSuffix(message, "Task timed out after 1.00 seconds") {
		m.Errorf("timeout: got %s: %s", kind, message)
	}
}

// later calls a function while other things are done.
func (m *trial) later(name, payload string) <-chan answered {
	done := make(chan answered, 1)
	ctx := within(m, 2*time.Minute)
	go func() { // it ends with its context at the latest
		out, err := m.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(payload)})
		done <- answered{out, err}
	}()
	return done
}

type answered struct {
	answer *lambda.InvokeOutput
	err    error
}

// look compares the context and the variables with what AWS showed.
func (m *trial) look(name string) {
	m.Helper()
	var seen struct {
		Ctx         map[string]any
		Environment map[string]string
		Version     string
	}
	text := answer(m, m.client, name, `{"do":"look"}`)
	if err := json.Unmarshal([]byte(text), &seen); err != nil {
		m.Fatalf("%v: %s", err, text)
	}
	m.version = strings.TrimPrefix(strings.TrimPrefix(seen.Version, "go"), "1.8.0_")
	if m.version != strings.TrimPrefix(seen.Version, "go") {
		m.version = "8u" + m.version
	}
	stand := nearest(m.known.Introspection, m.rows, m.row)
	want := m.known.Introspection[stand]
	filled := strings.NewReplacer("<function-name:1>", name, "<region>", "eu-west-1", "<partition>", "aws")
	for member, value := range want.Ctx {
		got, ok := seen.Ctx[member]
		text, isText := value.(string)
		switch {
		case !ok:
			m.Errorf("the context lacks %s", member)
		case isText && strings.Contains(filled.Replace(text), "<"):
			if got == "" || got == nil {
				m.Errorf("context: %s is empty", member)
			}
		case isText:
			value = filled.Replace(text)
			fallthrough
		default:
			if fmt.Sprint(got) != fmt.Sprint(value) {
				m.Errorf("context: %s: got %v, want %v", member, got, value)
			}
		}
	}
	if stand == m.Identifier {
		m.compareVariables(seen.Environment, want.Environment, filled)
		return
	}
	for variable, value := range map[string]string{
		"AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "TEST_KEY": "TEST_VAL", "LANG": "en_US.UTF-8", "TZ": ":UTC", "_HANDLER": m.handler,
	} {
		if got := seen.Environment[variable]; got != value {
			m.Errorf("%s: got %q, want %q", variable, got, value)
		}
	}
	wanted := "AWS_Lambda_" + m.Identifier
	if m.Family == "provided" {
		wanted = ""
	}
	if got := seen.Environment["AWS_EXECUTION_ENV"]; got != wanted {
		m.Errorf("AWS_EXECUTION_ENV: got %q, want %q", got, wanted)
	}
}

// Variables that are not as AWS has them, each with the reason.
var (
	absentVariables = map[string]string{
		"NODE_EXTRA_CA_CERTS":      "AWS's own bundle of authorities",
		"LC_CTYPE":                 "Python 3 sets it where the locale is not installed, and that of Debian's roots is",
		"SSL_CERT_FILE":            "an empty file that spares AWS's system a second read of its authorities",
		"_LAMBDA_TELEMETRY_LOG_FD": "not every runtime is given one",
	}
	addedVariables = map[string]string{
		"AWS_ENDPOINT_URL":         "where clients find kiln instead of AWS",
		"_LAMBDA_TELEMETRY_LOG_FD": "a runtime may have one that did not show it",
		"LC_CTYPE":                 "Python 3 sets it where the locale is not installed",
	}
	changedVariables = map[string]string{
		"AWS_LAMBDA_RUNTIME_API":   "an address inside of the environment",
		"AWS_XRAY_DAEMON_ADDRESS":  "likewise",
		"_AWS_XRAY_DAEMON_ADDRESS": "likewise",
		"RUBYLIB":                  "it names the folder of AWS's own client",
	}
)

func (m *trial) compareVariables(got, want map[string]string, filled *strings.Replacer) {
	m.Helper()
	for _, variable := range slices.Sorted(maps.Keys(want)) {
		value, here := got[variable]
		expected := filled.Replace(want[variable])
		if variable == "_HANDLER" {
			expected = m.handler
		}
		switch {
		case !here && absentVariables[variable] != "":
		case !here:
			m.Errorf("the variable %s is missing", variable)
		case changedVariables[variable] != "" || strings.Contains(expected, "<") || variable == "_LAMBDA_TELEMETRY_LOG_FD":
			if value == "" {
				m.Errorf("%s is empty", variable)
			}
		case value != expected:
			m.Errorf("%s: got %q, want %q", variable, value, expected)
		}
	}
	for variable := range got {
		if _, ok := want[variable]; !ok && addedVariables[variable] == "" {
			m.Errorf("AWS has no variable %s (%q)", variable, got[variable])
		}
	}
}

// fails compares the answer to an uncaught error with AWS's, member by member.
func (m *trial) fails(name string) {
	m.Helper()
	out := invoke(m, m.client, name, `{"do":"fail"}`)
	if aws.ToString(out.FunctionError) != "Unhandled" {
		m.Fatalf("fail: answered %s", out.Payload)
	}
	want := m.uncaught
	if want == nil {
		want = m.known.Uncaught[nearest(m.known.Uncaught, m.rows, m.row)]
	}
	var got map[string]any
	if err := json.Unmarshal(out.Payload, &got); err != nil {
		m.Fatalf("%v: %s", err, out.Payload)
	}
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		m.Errorf("an uncaught error: members %v, want %v", g, w)
	}
	for member, value := range want {
		text, _ := value.(string)
		message := strings.TrimPrefix(fmt.Sprint(got[member]), m.messagePrefix)
		if !strings.HasPrefix(text, "<") && message != strings.TrimPrefix(text, m.messagePrefix) {
			m.Errorf("an uncaught error: %s: got %v, want %v", member, got[member], value)
		}
	}
	if log := tail(out); m.errorLog != "" && !strings.Contains(log, m.errorLog) {
		m.Errorf("the log lacks %q:\n%s", m.errorLog, log)
	}
}

// background checks what becomes of an error that no caller waits for.
func (m *trial) background(name string) {
	m.Helper()
	out := invoke(m, m.client, name, `{"do":"background"}`)
	if got := string(out.Payload); !strings.Contains(got, m.aside) {
		m.Errorf("an error aside: got %s, want %s", got, m.aside)
	}
	if log := tail(out); !strings.Contains(log, "nobody waits for this") {
		m.Errorf("an error aside is not in the log:\n%s", log)
	}
}

// logs checks the lines of the log in AWS's form.
func (m *trial) logs(name string) {
	m.Helper()
	out := invoke(m, m.client, name, `{"do":"log"}`)
	if got := string(out.Payload); got != `"logged"` {
		m.Errorf("log: got %s\n%s", got, tail(out))
	}
	for _, line := range append(m.lines, "printed") {
		// Without a telemetry descriptor a message is kept in one record by carriage returns.
		if log := strings.ReplaceAll(tail(out), "\r", "\n"); !strings.Contains(log, line) {
			m.Errorf("the log lacks %q:\n%s", line, log)
		}
	}
}

// structured checks the log in JSON from the level WARN on: objects of the function
// where AWS's runtime of this version writes them, lines of text where it does not, and
// objects of the platform in any case.
func (m *trial) structured(code []byte) {
	m.Helper()
	name := m.make("json", m.handler, code, func(in *lambda.CreateFunctionInput) {
		in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson, ApplicationLogLevel: types.ApplicationLogLevelWarn}
	})
	out := invoke(m, m.client, name, `{"do":"log"}`)
	seen := make(map[string]map[string]any) // by message, or by the platform's type
	log := tail(out)
	for line := range strings.Lines(log) {
		var object map[string]any
		if json.Unmarshal([]byte(line), &object) != nil {
			continue
		}
		for _, member := range []string{"message", "type"} {
			if text, ok := object[member].(string); ok {
				seen[text] = object
			}
		}
	}
	if seen["platform.report"] == nil || seen["platform.start"] == nil {
		m.Errorf("JSON: no record of the platform's:\n%s", log)
	}
	if m.warned == "" || compareDotted(m.Version, m.objectsSince) < 0 {
		// Lines of text of Ruby have no level: they count as INFO, and are left out.
		written := strings.Contains(strings.ReplaceAll(log, "\r", "\n"), cmp.Or(m.warned, "a warning"))
		if want := m.warned != "" && m.Family != "ruby"; written != want {
			m.Errorf("JSON: a warning as text: got %v, want %v:\n%s", written, want, log)
		}
		return
	}
	got := seen[m.warned]
	if got == nil {
		m.Fatalf("JSON: no object with the message %q:\n%s", m.warned, log)
	}
	id, _ := got["requestId"].(string)
	if java, ok := got["AWSRequestId"].(string); ok {
		id = java
	}
	if level := fmt.Sprint(got["level"]); level != m.warnLevel || len(id) != 36 || got["timestamp"] == nil {
		m.Errorf("JSON: got %v, want level %s, a request and a time", got, m.warnLevel)
	}
	for _, hidden := range []string{"a debug line", "an info line"} {
		if strings.Contains(log, hidden) {
			m.Errorf("JSON: a line below the level WARN:\n%s", log)
		}
	}
}

// wrapper checks that a script of the function's is run around the runtime.
func (m *trial) wrapper(code []byte) {
	m.Helper()
	script := file{Name: "wrapper", Text: "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n", Mode: 0o755}
	name := m.make("wrapper", m.handler, withFile(m, code, script), variables(map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}))
	var seen struct{ Environment map[string]string }
	text := answer(m, m.client, name, `{"do":"look"}`)
	if err := json.Unmarshal([]byte(text), &seen); err != nil {
		m.Fatalf("%v: %s", err, text)
	}
	want := "yes"
	if m.Family == "provided" {
		want = "" // a custom runtime has no bootstrap of AWS that would look for one
	}
	if got := seen.Environment["WRAPPED"]; got != want {
		m.Errorf("AWS_LAMBDA_EXEC_WRAPPER: got %q, want %q", got, want)
	}
}

// normal gives JSON with its members in order.
func normal(t testing.TB, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
