package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// save writes one file as an editor does: beside it, then over it.
func save(t testing.TB, dir, name, text string) {
	t.Helper()
	tmp := filepath.Join(dir, name+"~")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// ours is the environment of a command that means the account and region of s.client.
func ours(s *server) []string {
	return append(s.environ(), "KILN_ACCOUNT=111111111111", "KILN_REGION=eu-west-1")
}

// hears waits until a command has said something on stderr.
func hears(t testing.TB, c *commandLine, what string) {
	t.Helper()
	eventually(t, time.Minute, "it says "+what, func() bool { _, talk := c.said(); return strings.Contains(talk, what) })
}

func TestDevRunsWhatWasSavedAtTheNextCall(t *testing.T) {
	needPython(t)
	s := start(t)
	c := s.client()
	dir := write(t, map[string]string{
		"app.py":        "def handler(e, c):\n    return 'one'\n",
		"function.yaml": "name: worked-on\nhandler: app.handler\ntimeout: 10s\n",
	})
	dev := begin(t, "", ours(s), "dev", dir)
	hears(t, dev, "save a file")
	if got := answer(t, c, "worked-on", `{}`); got != `"one"` {
		t.Fatal(got)
	}

	// A call that runs ends in the old code, which is gone from the folder by then.
	save(t, dir, "app.py", "import time\ndef handler(e, c):\n    print('begun', flush=True)\n    time.sleep(2)\n    return 'two'\n")
	hears(t, dev, "reloaded in")
	slow := make(chan string, 1)
	go func() {
		out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("worked-on"), Payload: []byte(`{}`)})
		if err != nil {
			slow <- err.Error()
			return
		}
		slow <- string(out.Payload)
	}()
	eventually(t, time.Minute, "the call runs", func() bool { out, _ := dev.said(); return strings.Contains(out, "begun") }) // by its log, too
	save(t, dir, "app.py", "def handler(e, c):\n    return 'three'\n")
	hears(t, dev, "(generation 3)")
	if got := answer(t, c, "worked-on", `{}`); got != `"three"` {
		t.Error(got)
	}
	if got := <-slow; got != `"two"` {
		t.Errorf("the call that ran got %s", got)
	}

	// What is of no interest is no reload; settings are brought along.
	save(t, dir, "notes.txt~", "x")
	save(t, dir, "function.yaml", "name: worked-on\nhandler: app.handler\ntimeout: 11s\nmemory: 256\n")
	hears(t, dev, "(generation 4)")
	config, err := c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("worked-on")})
	if err != nil || *config.MemorySize != 256 || *config.Timeout != 11 {
		t.Errorf("got %+v, %v", config, err)
	}

	// A second one is refused, and the folder holds nothing of ours.
	if code, _, talk := kiln(t, ours(s), "dev", dir); code != 3 || !strings.Contains(talk, "under development already") {
		t.Errorf("got %d %s", code, talk)
	}
	if _, err := os.Lstat(filepath.Join(dir, ".kiln-live")); !os.IsNotExist(err) {
		t.Errorf("the proof is still there: %v", err)
	}

	// In the end the code of the deploy is back: the second kiln dev has made one.
	save(t, dir, "app.py", "def handler(e, c):\n    return 'five'\n")
	hears(t, dev, "(generation 5)")
	dev.signal(t, syscall.SIGINT)
	if code := dev.end(t, time.Minute); code != 0 {
		t.Errorf("Ctrl-C: exit code %d", code)
	}
	eventually(t, time.Minute, "the deployed code answers", func() bool { return answer(t, c, "worked-on", `{}`) == `"three"` })
}

func TestDevCallsWithAnEventAndGoesOnAfterAMistake(t *testing.T) {
	needPython(t)
	s := start(t)
	dir := write(t, map[string]string{
		"app.py":     "def handler(e, c):\n    return e['name']\n",
		"event.json": `{"name": "Ada"}`,
	})
	dev := begin(t, "", ours(s), "dev", dir, "--name", "talks", "--event", "@"+filepath.Join(dir, "event.json"), "--poll", "50ms")
	eventually(t, time.Minute, "the first answer", func() bool { out, _ := dev.said(); return strings.Contains(out, "Ada") })
	save(t, dir, "app.py", "def handler(e, c):\n    return e['nam']\n")
	hears(t, dev, "the function failed: KeyError")
	save(t, dir, "event.json", `{"nam": "Bea"}`)
	eventually(t, time.Minute, "the second answer", func() bool { out, _ := dev.said(); return strings.Contains(out, "Bea") })
}

func TestDevReloadsANodeFunctionAndItsModules(t *testing.T) {
	needNode(t)
	s := start(t)
	c := s.client()
	dir := write(t, map[string]string{"index.mjs": "import { word } from './word.mjs';\nexport const handler = async () => word;\n", "word.mjs": "export const word = 'one';\n"})
	dev := begin(t, "", ours(s), "dev", dir, "--name", "modules")
	hears(t, dev, "save a file")
	if got := answer(t, c, "modules", `{}`); got != `"one"` {
		t.Fatal(got)
	}
	save(t, dir, "word.mjs", "export const word = 'two';\n")
	hears(t, dev, "reloaded in")
	if got := answer(t, c, "modules", `{}`); got != `"two"` {
		t.Error(got)
	}
}

func TestDevBuildsAProgramAndKeepsTheOldOneWhenThatFails(t *testing.T) {
	needJDK(t)
	s := start(t)
	c := s.client()
	for language, main := range map[string]string{"go": "main.go", "java": "Hello.java"} {
		t.Run(language, func(t *testing.T) {
			dir := write(t, map[string]string{})
			if code, _, talk := kiln(t, nil, "init", dir+"/fn", "--lang", language); code != 0 {
				t.Fatal(talk)
			}
			dir += "/fn"
			text, err := os.ReadFile(filepath.Join(dir, main))
			if err != nil {
				t.Fatal(err)
			}
			name := "compiled-" + language
			dev := begin(t, "", ours(s), "dev", dir, "--name", name)
			hears(t, dev, "save a file")
			if got := answer(t, c, name, `{"name":"Ada"}`); !strings.Contains(got, "Hello, Ada") {
				t.Fatal(got)
			}
			save(t, dir, main, string(text)+"\nfunc {\n")
			hears(t, dev, "still serves")
			if got := answer(t, c, name, `{"name":"Ada"}`); !strings.Contains(got, "Hello, Ada") {
				t.Errorf("got %s", got)
			}
			save(t, dir, main, strings.ReplaceAll(string(text), "Hello, ", "Goodbye, "))
			hears(t, dev, "reloaded in")
			if got := answer(t, c, name, `{"name":"Ada"}`); !strings.Contains(got, "Goodbye, Ada") {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestAFolderIsShownToWhoMayWriteThereOnly(t *testing.T) {
	needPython(t)
	s := start(t)
	code := write(t, map[string]string{"app.py": "def handler(e, c): return 1\n"})
	if status, _, talk := kiln(t, s.environ(), "deploy", code, "--name", "bound", "--account", "000000000000", "--region", "us-east-1"); status != 0 {
		t.Fatal(talk)
	}
	dir := t.TempDir()
	post := func(directory, proof string) (int, string) {
		body, err := json.Marshal(map[string]string{"directory": directory, "proof": proof})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.Post(s.URL+"/_kiln/v1/live/bound", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var line [200]byte
		n, _ := r.Body.Read(line[:]) // of an answer that does not end
		return r.StatusCode, string(line[:n])
	}
	const proof = "0123456789abcdef"
	for name, make := range map[string]func(at string) error{
		"no proof":        func(string) error { return nil },
		"another proof":   func(at string) error { return os.WriteFile(at, []byte("0123456789abcdeg"), 0o644) },
		"more than it":    func(at string) error { return os.WriteFile(at, []byte(proof+"0"), 0o644) },
		"a link to it":    func(at string) error { return os.Symlink(filepath.Join(dir, "elsewhere"), at) },
		"a folder for it": func(at string) error { return os.Mkdir(at, 0o755) },
		"a pipe for it":   func(at string) error { return syscall.Mkfifo(at, 0o644) },
	} {
		at := filepath.Join(dir, ".kiln-live")
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "elsewhere"), []byte(proof), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := make(at); err != nil {
			t.Fatal(err)
		}
		if status, text := post(dir, proof); status != 400 {
			t.Errorf("%s: got %d %s", name, status, text)
		}
	}
	at := filepath.Join(dir, ".kiln-live")
	if err := os.RemoveAll(at); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(proof), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, directory := range map[string]string{"a relative path": "x", "a file": at, "nothing": dir + "/missing"} {
		if status, text := post(directory, proof); status != 400 {
			t.Errorf("%s: got %d %s", name, status, text)
		}
	}
	if status, text := post(dir, proof); status != 200 || !strings.Contains(text, `"generation":1`) { // the right one is taken
		t.Errorf("got %d %s", status, text)
	}
}
