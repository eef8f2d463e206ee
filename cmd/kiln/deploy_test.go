package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	configurationPath = "GET /2015-03-31/functions/hello/configuration"
	createPath        = "POST /2015-03-31/functions"
	codePath          = "PUT /2015-03-31/functions/hello/code"
	changePath        = "PUT /2015-03-31/functions/hello/configuration"
)

// pythonFolder is a folder named hello with a Python function, and a function.yaml
// if text is not empty.
func pythonFolder(t *testing.T, yaml string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hello")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("app.py", "def handler(event, context):\n    return event\n")
	write("event.json", "{}")
	if yaml != "" {
		write("function.yaml", yaml)
	}
	return dir
}

// serverWithRuntimes is a fake that has two Pythons and no function yet.
func serverWithRuntimes(t *testing.T, answers map[string]http.HandlerFunc) *fake {
	t.Helper()
	f := fakeServer(t, answers)
	f.answers["GET /_kiln/v1/version"] = says(200, "", map[string]any{"architecture": "arm64"})
	f.answers["GET /_kiln/v1/runtimes"] = says(200, "", `[{"identifier":"python3.9","state":"ready"},{"identifier":"python3.11","state":"ready"},{"identifier":"python3.14","state":"missing"},{"identifier":"nodejs22.x","state":"fetchable"}]`)
	return f
}

// becomes makes the answer of a call after which the function is Pending, then
// Active.
func (f *fake) becomes(status int, after map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		pending := true
		f.answers[configurationPath] = func(w http.ResponseWriter, r *http.Request) {
			if pending {
				pending = false
				says(200, "", active(map[string]any{"State": "Pending", "LastUpdateStatus": "InProgress"}))(w, r)
				return
			}
			says(200, "", after)(w, r)
		}
		f.mu.Unlock()
		says(status, "", active(map[string]any{"State": "Pending"}))(w, r)
	}
}

func TestDeployCreatesAndWaitsUntilItCanBeCalled(t *testing.T) {
	f := serverWithRuntimes(t, map[string]http.HandlerFunc{})
	f.answers[createPath] = f.becomes(201, active(nil))
	dir := pythonFolder(t, "memory: 512\ntimeout: 10s\nenvironment:\n  STAGE: dev\n  N: 1\nexclude: [event.json]\ndescription: says hello\ncpu: strict\n")
	got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", "deploy", dir, "--memory", "1024", "--env", "N=2", "--env", "X=a=b")
	if got.code != 0 || got.out != "arn:aws:lambda:us-east-1:000000000000:function:hello\n" {
		t.Fatalf("got %+v", got)
	}
	for _, part := range []string{"hello: created", "kiln invoke hello --payload @" + dir + "/event.json --endpoint-url " + f.URL, "aws --endpoint-url " + f.URL + " --region us-east-1 --no-sign-request lambda invoke --function-name hello"} {
		if !strings.Contains(got.talk, part) {
			t.Errorf("stderr is %q, want it to say %q", got.talk, part)
		}
	}
	if lines := f.lines(); lines[len(lines)-1] != configurationPath || lines[len(lines)-2] != configurationPath {
		t.Errorf("it did not wait for the function: %q", lines)
	}
	body := f.body(t, createPath)
	code := body["Code"].(map[string]any)["ZipFile"].(string)
	delete(body, "Code")
	want := map[string]any{
		"FunctionName": "hello", "Runtime": "python3.11", "Handler": "app.handler", "Role": "arn:aws:iam::000000000000:role/kiln", "Description": "says hello",
		"MemorySize": 1024.0, "Timeout": 10.0, "Architectures": []any{"arm64"}, "Environment": map[string]any{"Variables": map[string]any{"STAGE": "dev", "N": "2", "X": "a=b"}},
		"Tags": map[string]any{"kiln:cpu": "strict"},
	}
	if a, b := asJSON(t, body), asJSON(t, want); a != b {
		t.Errorf("sent %s\nwant %s", a, b)
	}
	raw, err := base64.StdEncoding.DecodeString(code)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil || len(z.File) != 1 || z.File[0].Name != "app.py" {
		t.Errorf("the package holds %v, %v", z, err)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDeployChangesOnlyWhatDiffers(t *testing.T) {
	dir := pythonFolder(t, "")
	f, err := readFunction(dir)
	if err != nil {
		t.Fatal(err)
	}
	z, err := f.pack(t.Context(), fakeWorld())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(z)
	same := active(map[string]any{"CodeSha256": base64.StdEncoding.EncodeToString(digest[:]), "Runtime": "python3.9", "Environment": map[string]any{"Variables": map[string]string{"A": "1"}}})
	tests := map[string]struct {
		there  map[string]any
		args   []string
		writes []string
		talk   string
		change string
	}{
		"nothing":     {there: same, talk: "hello: nothing to change"},
		"the code":    {there: active(map[string]any{"Runtime": "python3.9"}), writes: []string{codePath}, talk: "hello: new code ("},
		"the timeout": {there: same, args: []string{"--timeout", "9s"}, writes: []string{changePath}, talk: "hello: new settings", change: `{"Timeout":9}`},
		"the runtime": {there: same, args: []string{"--runtime", "python3.11"}, writes: []string{changePath}, talk: "hello: new settings", change: `{"Runtime":"python3.11"}`},
		"same values": {there: same, args: []string{"--memory", "128", "--env", "A=1"}, talk: "nothing to change"},
		"environment": {there: same, args: []string{"--env", "B=2"}, writes: []string{changePath}, talk: "new settings", change: `{"Environment":{"Variables":{"B":"2"}}}`},
		"both":        {there: active(nil), args: []string{"--memory", "256"}, writes: []string{codePath, changePath}, talk: "new code, new settings", change: `{"MemorySize":256}`},
		"published":   {there: same, args: []string{"--publish"}, writes: []string{"POST /2015-03-31/functions/hello/versions"}, talk: "version 7"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := serverWithRuntimes(t, map[string]http.HandlerFunc{})
			f.answers[configurationPath] = says(200, "", tt.there)
			f.answers[codePath], f.answers[changePath] = f.becomes(200, tt.there), f.becomes(200, tt.there)
			f.answers["POST /2015-03-31/functions/hello/versions"] = says(201, "", active(map[string]any{"Version": "7"}))
			got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", append([]string{"deploy", dir}, tt.args...)...)
			if got.code != 0 || !strings.Contains(got.talk, tt.talk) {
				t.Errorf("got %+v, want it to say %q", got, tt.talk)
			}
			var writes []string
			for _, line := range f.lines() {
				if !strings.HasPrefix(line, "GET ") {
					writes = append(writes, line)
				}
			}
			if !slices.Equal(writes, tt.writes) {
				t.Errorf("sent %q, want %q", writes, tt.writes)
			}
			if tt.change != "" {
				if got := asJSON(t, f.body(t, changePath)); got != tt.change {
					t.Errorf("changed %s, want %s", got, tt.change)
				}
			}
		})
	}
}

func TestDeployChangesTheTagsThatDiffer(t *testing.T) {
	const tagPath = "POST /2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:hello"
	for _, tt := range []struct {
		name string
		args []string
		want string // "" is that nothing is sent
	}{
		{"another division of the processor", []string{"--cpu", "strict"}, `{"Tags":{"kiln:cpu":"strict"}}`},
		{"two at once", []string{"--cpu", "strict", "--sigterm", "on"}, `{"Tags":{"kiln:cpu":"strict","kiln:sigterm":"on"}}`},
		{"what it has", []string{"--cpu", "burst", "--sigterm", "off"}, ""},
		{"none asked for", nil, ""},
	} {
		f := serverWithRuntimes(t, map[string]http.HandlerFunc{tagPath: says(204, "", "")})
		f.answers[configurationPath] = says(200, "", active(nil))
		f.answers[codePath] = f.becomes(200, active(nil))
		f.answers["GET /2015-03-31/functions/hello"] = says(200, "", map[string]any{"Configuration": active(nil), "Tags": map[string]string{"kiln:cpu": "burst"}})
		got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", append([]string{"deploy", pythonFolder(t, "")}, tt.args...)...)
		if got.code != 0 || strings.Contains(got.talk, "new settings") != (tt.want != "") {
			t.Errorf("%s: got %+v", tt.name, got)
		}
		if sent := slices.Contains(f.lines(), tagPath); sent != (tt.want != "") {
			t.Errorf("%s: tags were sent: %v", tt.name, sent)
		} else if sent && asJSON(t, f.body(t, tagPath)) != tt.want {
			t.Errorf("%s: sent %s, want %s", tt.name, asJSON(t, f.body(t, tagPath)), tt.want)
		}
	}
}

func TestDeploySaysWhyItCannot(t *testing.T) {
	failedCreate := func(f *fake) {
		f.answers[createPath] = f.becomes(201, active(map[string]any{"State": "Failed", "StateReason": "python3.11 is not here"}))
	}
	failedUpdate := func(f *fake) {
		f.answers[configurationPath] = says(200, "", active(nil))
		f.answers[codePath] = f.becomes(200, active(map[string]any{"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no space"}))
	}
	refused := func(f *fake) {
		f.answers[createPath] = says(400, "InvalidParameterValueException", map[string]any{"Type": "User", "message": "MemorySize is wrong"})
	}
	tests := map[string]struct {
		yaml string
		file string // in place of the folder
		args []string
		set  func(*fake)
		code int
		want []string
	}{
		"a function that fails to begin":     {set: failedCreate, code: 3, want: []string{"cannot be put in place: python3.11 is not here"}},
		"an update that fails":               {set: failedUpdate, code: 3, want: []string{"no space", "the code before it still serves"}},
		"what the server refuses":            {set: refused, code: 3, want: []string{"MemorySize is wrong (InvalidParameterValueException, HTTP 400)"}},
		"an unknown key":                     {yaml: "\nmemroy: 128\n", code: 2, want: []string{"function.yaml:2", `"memroy"`, `nearest is "memory"`}},
		"a wrong value":                      {yaml: "timeout: 1.5s\n", code: 2, want: []string{"function.yaml:1", "whole seconds"}},
		"a list for a table":                 {yaml: "environment: [a]\n", code: 2, want: []string{"function.yaml:1", "table of names"}},
		"a wrong pattern":                    {yaml: "exclude: ['[']\n", code: 2, want: []string{"function.yaml:1", "cannot be understood"}},
		"a wrong flag value":                 {args: []string{"--memory", "much"}, code: 2, want: []string{"--memory", "number of MB"}},
		"a wrong division of the processor":  {yaml: "cpu: fast\n", code: 2, want: []string{"function.yaml:1", "strict or burst"}},
		"a wrong wish for SIGTERM":           {yaml: "sigterm: yes\n", code: 2, want: []string{"function.yaml:1", "on or off"}},
		"a wrong --env":                      {args: []string{"--env", "A"}, code: 2, want: []string{"NAME=VALUE"}},
		"no Node on the server":              {args: []string{"--runtime", "nodejs"}, code: 3, want: []string{"no nodejs is ready", "kiln runtime add nodejs22.x"}},
		"nothing that is a function":         {file: "README", code: 2, want: []string{"neither a zip, nor a Linux program"}},
		"a script without a handler":         {file: "x.py", code: 2, want: []string{"--handler app.handler"}},
		"a program for another architecture": {file: "/proc/self/exe", args: []string{"--architecture", "riscv"}, code: 2, want: []string{"not for riscv"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := serverWithRuntimes(t, map[string]http.HandlerFunc{})
			if tt.set != nil {
				tt.set(f)
			}
			path := pythonFolder(t, tt.yaml)
			switch {
			case strings.HasPrefix(tt.file, "/"):
				path = tt.file
			case tt.file != "":
				path = filepath.Join(path, tt.file)
				if err := os.WriteFile(path, []byte("some text\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", append([]string{"deploy", path}, tt.args...)...)
			if got.code != tt.code || got.out != "" {
				t.Errorf("got %+v, want code %d", got, tt.code)
			}
			for _, part := range tt.want {
				if !strings.Contains(got.talk, part) {
					t.Errorf("stderr is %q, want it to say %q", got.talk, part)
				}
			}
		})
	}
}

func TestInitSaysWhatItWroteAndWhatToDoNext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	got := runKiln(t, nil, "", "init", dir, "--lang", "shell")
	want := filepath.Join(dir, "README.md") + "\n" + filepath.Join(dir, "bootstrap") + "\n" + filepath.Join(dir, "event.json") + "\n"
	if got.code != 0 || got.out != want || !strings.Contains(got.talk, "kiln run "+dir+" --event "+dir+"/event.json") {
		t.Errorf("got %+v", got)
	}
	if got := runKiln(t, nil, "", "init", dir, "--lang", "shell"); got.code != exitPlatform || !strings.Contains(got.talk, "nothing was written") {
		t.Errorf("a second time: got %+v", got)
	}
}

func TestTheNewestRuntimeIsThatOfTheHighestNumbers(t *testing.T) {
	list := []runtimeEntry{{Identifier: "python3.9", State: "ready"}, {Identifier: "python3.11", State: "ready"}, {Identifier: "python3.12", State: "missing"}, {Identifier: "nodejs8.10", State: "ready"}, {Identifier: "nodejs10.x", State: "ready"}, {Identifier: "nodejs4.3-edge", State: "ready"}}
	for family, want := range map[string]string{"python": "python3.11", "nodejs": "nodejs10.x"} {
		if got, err := newestRuntime(list, family); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", family, got, err, want)
		}
	}
}
