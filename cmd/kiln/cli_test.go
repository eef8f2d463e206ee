package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// result is what a command line did.
type result struct {
	code      int
	out, talk string
}

// runKiln runs a command line in this process.
func runKiln(t *testing.T, env []string, stdin string, args ...string) result {
	t.Helper()
	var out, talk bytes.Buffer
	w := fakeWorld(env...)
	w.program, w.args, w.in, w.out, w.talk = "kiln", args, strings.NewReader(stdin), &out, &talk
	code := run(t.Context(), w)
	return result{code, out.String(), talk.String()}
}

// fake is a server that answers as it is told and keeps what it was asked.
type fake struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]http.HandlerFunc // "GET /path"
	asked   []request
}

type request struct {
	line, authorization string
	header              http.Header
	query               string
	body                []byte
}

// fakeServer starts a fake; answers are by method and path.
func fakeServer(t *testing.T, answers map[string]http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{answers: answers}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		line := r.Method + " " + r.URL.Path
		f.mu.Lock()
		f.asked = append(f.asked, request{line, r.Header.Get("Authorization"), r.Header, r.URL.RawQuery, body.Bytes()})
		answer, ok := f.answers[line]
		f.mu.Unlock()
		if !ok {
			says(404, "ResourceNotFoundException", map[string]any{"Type": "User", "Message": "Function not found"})(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// says answers with a status, an exception ("" for none) and a body.
func says(status int, exception string, body any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-RequestId", "11111111-2222-4333-8444-555555555555")
		if exception != "" {
			w.Header().Set("X-Amzn-ErrorType", exception)
		}
		w.WriteHeader(status)
		switch b := body.(type) {
		case string:
			_, _ = w.Write([]byte(b))
		default:
			_ = json.NewEncoder(w).Encode(b)
		}
	}
}

// lines gives the requests as "GET /path", in order.
func (f *fake) lines() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, r := range f.asked {
		out = append(out, r.line)
	}
	return out
}

// body gives the JSON body of the last request of a line.
func (f *fake) body(t *testing.T, line string) map[string]any {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.asked) - 1; i >= 0; i-- {
		if f.asked[i].line == line {
			var m map[string]any
			if err := json.Unmarshal(f.asked[i].body, &m); err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
	t.Fatalf("no request %q in %q", line, f.asked)
	return nil
}

// active is a configuration that can be called.
func active(more map[string]any) map[string]any {
	c := map[string]any{
		"FunctionName": "hello", "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:hello", "Runtime": "python3.11", "Handler": "app.handler",
		"MemorySize": 128, "Timeout": 3, "CodeSize": 2048, "CodeSha256": "x", "State": "Active", "LastUpdateStatus": "Successful", "Architectures": []string{"x86_64"},
		"LastModified": "2026-01-02T03:04:05.000+0000", "Version": "$LATEST",
	}
	for k, v := range more {
		c[k] = v
	}
	return c
}

func TestInvokeSaysHowItWentByStreamAndExitCode(t *testing.T) {
	const path = "POST /2015-03-31/functions/hello/invocations"
	tail := base64.StdEncoding.EncodeToString([]byte("START\nhi \x1b[31mred\nREPORT\n"))
	ok := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Log-Type") == "Tail" {
			w.Header().Set("X-Amz-Log-Result", tail)
		}
		w.Header().Set("X-Amz-Executed-Version", "$LATEST")
		says(200, "", `{"a":1}`)(w, r)
	}
	failed := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		says(200, "", `{"errorType":"KeyError","errorMessage":"'name'"}`)(w, r)
	}
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"from":"file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		answer      http.HandlerFunc
		stdin       string
		args        []string
		code        int
		out         string
		talk        []string
		quiet       bool
		wantPayload string
	}{
		"an answer":            {answer: ok, args: []string{"--payload", `{"x":1}`}, out: "{\"a\":1}\n", quiet: true, wantPayload: `{"x":1}`},
		"an event from a file": {answer: ok, args: []string{"--payload", "@" + event}, out: "{\"a\":1}\n", quiet: true, wantPayload: `{"from":"file"}`},
		"an event from stdin":  {answer: ok, stdin: "[1]", args: []string{"-p", "-"}, out: "{\"a\":1}\n", quiet: true, wantPayload: "[1]"},
		"with the log":         {answer: ok, args: []string{"--log"}, out: "{\"a\":1}\n", talk: []string{"START\n", `hi \x1b[31mred`, "REPORT\n"}},
		"as JSON":              {answer: ok, args: []string{"-o", "json"}, out: "{\n  \"executedVersion\": \"$LATEST\",\n  \"payload\": {\n    \"a\": 1\n  },\n  \"requestId\": \"11111111-2222-4333-8444-555555555555\",\n  \"statusCode\": 200\n}\n", quiet: true},
		"a function error":     {answer: failed, code: 1, out: "{\"errorType\":\"KeyError\",\"errorMessage\":\"'name'\"}\n", talk: []string{"kiln: the function failed: KeyError: 'name'"}},
		"no such function":     {answer: says(404, "ResourceNotFoundException", map[string]any{"Type": "User", "Message": "Function not found: arn"}), code: 3, talk: []string{"no function hello in account 000000000000, region us-east-1", "kiln ls"}},
		"throttled":            {answer: says(429, "TooManyRequestsException", map[string]any{"Type": "User", "message": "Rate Exceeded.", "Reason": "ConcurrentInvocationLimitExceeded"}), code: 3, talk: []string{"ConcurrentInvocationLimitExceeded", "try again"}},
		"not kiln at all":      {answer: says(404, "", "<html>no</html>"), code: 3, talk: []string{"<html>no</html>", "a kiln server?"}},
		"an event that is no JSON": {
			answer: ok, args: []string{"--payload", "{x}"}, code: 2, talk: []string{"not valid JSON", "byte 2"},
		},
		"a file without its @":     {answer: ok, args: []string{"--payload", event}, code: 2, talk: []string{"write @" + event}},
		"a file that is not there": {answer: ok, args: []string{"--payload", "@/no/such"}, code: 2, talk: []string{"/no/such does not exist"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := fakeServer(t, map[string]http.HandlerFunc{path: tt.answer})
			got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, tt.stdin, append([]string{"invoke", "hello"}, tt.args...)...)
			if got.code != tt.code || got.out != tt.out {
				t.Errorf("got %d %q, want %d %q; stderr %q", got.code, got.out, tt.code, tt.out, got.talk)
			}
			for _, part := range tt.talk {
				if !strings.Contains(got.talk, part) {
					t.Errorf("stderr is %q, want it to say %q", got.talk, part)
				}
			}
			if tt.quiet && got.talk != "" {
				t.Errorf("stderr is %q, want nothing", got.talk)
			}
			if tt.wantPayload != "" && string(f.asked[0].body) != tt.wantPayload {
				t.Errorf("sent %q, want %q", f.asked[0].body, tt.wantPayload)
			}
		})
	}
}

func TestRequestsAreSignedAsTheAccountInItsRegion(t *testing.T) {
	f := fakeServer(t, map[string]http.HandlerFunc{"GET /2015-03-31/functions": says(200, "", map[string]any{"Functions": []any{}})})
	env := []string{"KILN_ENDPOINT=" + f.URL, "KILN_REGION=eu-west-1", "AWS_REGION=us-west-2"}
	if got := runKiln(t, env, "", "ls", "--account", "111122223333"); got.code != 0 || got.out != "" || !strings.Contains(got.talk, "account 111122223333, region eu-west-1") {
		t.Errorf("got %+v", got)
	}
	if a := f.asked[0].authorization; !strings.Contains(a, "Credential=111122223333/") || !strings.Contains(a, "/eu-west-1/lambda/aws4_request") {
		t.Errorf("signed as %q", a)
	}
	if got := runKiln(t, env, "", "ls", "--account", "12"); got.code != exitUsage || !strings.Contains(got.talk, "12 digits") {
		t.Errorf("a wrong account: got %+v", got)
	}
}

func TestAKeyOfAUserIsTakenFromTheVariables(t *testing.T) {
	f := fakeServer(t, map[string]http.HandlerFunc{"GET /2015-03-31/functions": says(200, "", map[string]any{"Functions": []any{}})})
	const own, aws = "KILN_ACCESS_KEY_ID=AKIAKILN KILN_SECRET_ACCESS_KEY=s", "AWS_ACCESS_KEY_ID=AKIAAWS AWS_SECRET_ACCESS_KEY=s AWS_SESSION_TOKEN=t"
	for _, c := range []struct{ name, env, args, want string }{
		{"kiln's", own, "ls", "AKIAKILN"},
		{"kiln's before AWS's", own + " " + aws, "ls", "AKIAKILN"},
		{"AWS's", aws, "ls", "AKIAAWS"},
		{"AWS's, but an account was named", aws, "ls --account 111122223333", "111122223333"},
		{"AWS's, but an account was named in a variable", aws + " KILN_ACCOUNT=111122223333", "ls", "111122223333"},
		{"AWS's, which are no user's", "AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test", "ls", "000000000000"},
		{"none", "", "ls", "000000000000"},
	} {
		before := len(f.asked)
		got := runKiln(t, append(strings.Fields(c.env), "KILN_ENDPOINT="+f.URL), "", strings.Fields(c.args)...)
		if got.code != 0 || len(f.asked) == before || !strings.Contains(f.asked[len(f.asked)-1].authorization, "Credential="+c.want+"/") {
			t.Errorf("%s: got %+v", c.name, got)
		}
	}
	if got := runKiln(t, []string{"KILN_ACCESS_KEY_ID=AKIA", "KILN_ENDPOINT=" + f.URL}, "", "ls"); got.code != exitUsage || !strings.Contains(got.talk, "KILN_SECRET_ACCESS_KEY") {
		t.Errorf("half a key: got %+v", got)
	}
}

func TestUsersAreMadeShownAndChanged(t *testing.T) {
	made := map[string]any{"account": "000000000000", "name": "ann", "arn": "arn:aws:iam::000000000000:user/ann", "created": "2026-11-24T11:00:00Z",
		"keys": []any{map[string]any{"accessKeyId": "AKIA1", "secretAccessKey": "shh"}}, "attached": []any{"arn:aws:iam::aws:policy/AWSLambda_FullAccess"}}
	f := fakeServer(t, map[string]http.HandlerFunc{
		"POST /_kiln/v1/users": says(201, "", made), "GET /_kiln/v1/users": says(200, "", []any{made}), "DELETE /_kiln/v1/users/ann": says(204, "", nil),
		"POST /_kiln/v1/users/ann/keys": says(201, "", map[string]any{"accessKeyId": "AKIA2", "secretAccessKey": "new"}), "DELETE /_kiln/v1/users/ann/keys/AKIA1": says(204, "", nil),
		"PUT /_kiln/v1/users/ann/attached": says(204, "", nil), "PUT /_kiln/v1/users/ann/policies/p": says(204, "", nil), "DELETE /_kiln/v1/users/eve": says(404, "", map[string]any{"code": "not found", "message": "The user with name eve cannot be found."}),
	})
	for _, c := range []struct {
		args, in, out, talk string
		code                int
	}{
		{"user create ann --attach AWSLambda_FullAccess", "", "AWS_ACCESS_KEY_ID=AKIA1\nAWS_SECRET_ACCESS_KEY=shh\n", "shown this once", 0},
		{"user create ann --policy x", "", "", "NAME=FILE", exitUsage},
		{"user create", "", "", "the name of a user", exitUsage},
		{"user ls", "", "ann   AKIA1  AWSLambda_FullAccess  2026-11-24", "", 0},
		{"user ls -o json", "", `"accessKeyId": "AKIA1"`, "", 0},
		{"user key create ann", "", "AWS_SECRET_ACCESS_KEY=new", "", 0},
		{"user key rm ann AKIA1", "", "", "", 0},
		{"user policy attach ann AdministratorAccess", "", "", "", 0},
		{"user policy put ann p -", `{"Statement":[]}`, "", "", 0},
		{"user policy put ann p /no/such/file", "", "", "no such file", exitUsage},
		{"user rm ann --account 111122223333", "", "", "", 0},
		{"user rm eve", "", "", "cannot be found", exitPlatform},
		{"user nothing", "", "", `"nothing"`, exitUsage},
	} {
		got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, c.in, strings.Fields(c.args)...)
		if got.code != c.code || !strings.Contains(got.out, c.out) || !strings.Contains(got.talk, c.talk) {
			t.Errorf("%s: got %+v", c.args, got)
		}
	}
}

func TestNoServerIsSaidWithWhatToDo(t *testing.T) {
	f := fakeServer(t, nil)
	f.Close()
	got := runKiln(t, nil, "", "ls", "--endpoint-url", f.URL)
	if got.code != exitPlatform || !strings.Contains(got.talk, "no server answers at "+f.URL) || !strings.Contains(got.talk, "kiln serve") || strings.Count(got.talk, "\n") != 1 {
		t.Errorf("got %+v", got)
	}
	if got := runKiln(t, nil, "", "ls", "--endpoint-url", "localhost:4566"); got.code != exitUsage || !strings.Contains(got.talk, "http://host:port") {
		t.Errorf("an endpoint without scheme: got %+v", got)
	}
}

func TestLsPrintsATableOrJSON(t *testing.T) {
	pages := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("Marker") == "" {
			says(200, "", map[string]any{"Functions": []any{active(nil)}, "NextMarker": "m"})(w, r)
			return
		}
		says(200, "", map[string]any{"Functions": []any{active(map[string]any{"FunctionName": "a-second-one", "MemorySize": 1024, "CodeSize": 3 << 20})}})(w, r)
	}
	f := fakeServer(t, map[string]http.HandlerFunc{"GET /2015-03-31/functions": pages})
	got := runKiln(t, []string{"AWS_ENDPOINT_URL=" + f.URL}, "", "ls")
	rows := strings.Split(got.out, "\n")
	if got.code != 0 || len(rows) != 4 || !strings.HasPrefix(rows[0], "NAME          RUNTIME     HANDLER      MEMORY   TIMEOUT  CODE    MODIFIED") ||
		!strings.HasPrefix(rows[1], "hello         python3.11  app.handler  128 MB   3 s      2.0 KB  ") || !strings.HasPrefix(rows[2], "a-second-one  python3.11  app.handler  1024 MB  3 s      3.0 MB  ") {
		t.Errorf("got %+v", got)
	}
	var list []struct{ FunctionName string }
	if got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL, "KILN_OUTPUT=json"}, "", "ls"); json.Unmarshal([]byte(got.out), &list) != nil || len(list) != 2 || list[1].FunctionName != "a-second-one" {
		t.Errorf("as JSON: got %+v", got)
	}
}

func TestRmGoesOnAndSaysWhatItCouldNot(t *testing.T) {
	f := fakeServer(t, map[string]http.HandlerFunc{"DELETE /2015-03-31/functions/b": says(204, "", "")})
	got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", "rm", "a", "b")
	if got.code != exitPlatform || got.out != "b\n" || !strings.Contains(got.talk, "no function a in") {
		t.Errorf("got %+v", got)
	}
}

func TestDescribeTellsVersionsAndAliases(t *testing.T) {
	f := fakeServer(t, map[string]http.HandlerFunc{
		"GET /2015-03-31/functions/hello": says(200, "", map[string]any{
			"Configuration": active(map[string]any{"State": "Pending", "StateReason": "The function is being created.", "Environment": map[string]any{"Variables": map[string]string{"B": "2", "A": "1\x1b[2J"}}}),
			"Concurrency":   map[string]any{"ReservedConcurrentExecutions": 0}, "Tags": map[string]string{"team": "x"},
		}),
		"GET /2015-03-31/functions/hello/versions": says(200, "", map[string]any{"Versions": []any{active(nil), active(map[string]any{"Version": "1", "Description": "first"})}}),
		"GET /2015-03-31/functions/hello/aliases":  says(200, "", map[string]any{"Aliases": []any{map[string]any{"Name": "prod", "FunctionVersion": "1", "RoutingConfig": map[string]any{"AdditionalVersionWeights": map[string]float64{"2": 0.25}}}}}),
	})
	got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", "describe", "hello")
	for _, line := range []string{
		"Function      hello", "State         Pending: The function is being created.", "Reserved      0 at a time", `Environment   A=1\x1b[2J`, "Environment   B=2",
		"Tag           team=x", "Version       1  first", "Alias         prod → 1, 25 % → 2",
	} {
		if !strings.Contains(got.out, line+"\n") {
			t.Errorf("got %q, want the line %q", got.out, line)
		}
	}
	if got.code != 0 || got.talk != "" {
		t.Errorf("got %d, stderr %q", got.code, got.talk)
	}
}

func TestLogsPrintsLinesAndAsksForWhatWasAsked(t *testing.T) {
	line := func(text string) string {
		text = strings.ReplaceAll(text, "\x1b", `\u001b`)
		return fmt.Sprintf(`{"time":"2026-01-02T03:04:05.678Z","type":"function","function":"hello","requestId":"r","text":"%s"}`+"\n", text)
	}
	f := fakeServer(t, map[string]http.HandlerFunc{"GET /_kiln/v1/logs": says(200, "", line("one")+line("two\x1b[2J")+line(`three\n03:04:05.679 REPORT`)+line(`four\rfive\r\nsix\r`))})
	got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", "logs", "hello", "-f", "--since", "5m", "--request-id", "r")
	if got.code != 0 || strings.Count(got.out, "\n") != 7 || !strings.Contains(got.out, ".678 one\n") || !strings.Contains(got.out, `two\x1b[2J`) || !strings.Contains(got.out, "three\n             03:04:05.679 REPORT\n") || !strings.HasSuffix(got.out, ".678 four\n             five\n             six\n") {
		t.Errorf("got %+v", got)
	}
	if q := f.asked[0].query; q != "follow=1&function=hello&requestId=r&since=5m" {
		t.Errorf("asked %q", q)
	}
	if got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", "logs", "hello", "-o", "json"); got.code != 0 || strings.Count(got.out, "\n") != 4 || !strings.HasPrefix(got.out, `{"time":`) {
		t.Errorf("as JSON: got %+v", got)
	}
	f.answers["GET /_kiln/v1/logs"] = says(200, "", "")
	if got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", "logs", "hello"); got.code != exitPlatform || !strings.Contains(got.talk, "no function hello") {
		t.Errorf("of no function: got %+v", got)
	}
	f.answers["GET /2015-03-31/functions/hello/configuration"] = says(200, "", active(nil))
	if got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", "logs", "hello"); got.code != 0 || got.out != "" || got.talk != "No lines match.\n" {
		t.Errorf("of a quiet function: got %+v", got)
	}
}

func TestRuntimesOfAServer(t *testing.T) {
	f := fakeServer(t, map[string]http.HandlerFunc{
		"GET /_kiln/v1/version":                says(200, "", map[string]any{}),
		"GET /_kiln/v1/runtimes":               says(200, "", `[{"identifier":"python3.11","state":"ready","source":"/usr/bin/python3.11"},{"identifier":"nodejs10.x","state":"fetchable","how":"kiln runtime add nodejs10.x","deprecated":"2021-07-30"}]`),
		"POST /_kiln/v1/runtimes/nodejs10.x":   says(200, "", `{"done":1,"total":2}`+"\n"+`{"done":2,"ready":true}`+"\n"),
		"POST /_kiln/v1/runtimes/nodejs12.x":   says(200, "", `{"done":1}`+"\n"+`{"problem":{"code":"unavailable","message":"the disk is full"}}`+"\n"),
		"POST /_kiln/v1/runtimes/nodejs14.x":   says(200, "", `{"done":1}`+"\n"),
		"POST /_kiln/v1/runtimes/nodejs99.x":   says(404, "", `{"code":"not found","message":"nodejs99.x is not a runtime"}`),
		"DELETE /_kiln/v1/runtimes/nodejs10.x": says(204, "", ""),
		"DELETE /_kiln/v1/runtimes/nodejs12.x": says(409, "", `{"code":"conflict","message":"it was not fetched"}`),
		"GET /_kiln/v1/doctor":                 says(200, "", `{"architecture":"arm64","works":false,"findings":[{"name":"namespaces","state":"required","cost":"no isolation"},{"name":"seccomp","state":"ok","found":"yes","cost":"x"}]}`),
	})
	env := []string{"KILN_ENDPOINT=" + f.URL}
	if got := runKiln(t, env, "", "runtime", "ls"); got.code != 0 || !strings.Contains(got.out, "nodejs10.x  fetchable                       kiln runtime add nodejs10.x; deprecated by AWS since 2021-07-30\n") {
		t.Errorf("got %+v", got)
	}
	if got := runKiln(t, env, "", "runtime", "add", "nodejs10.x"); got.code != 0 || got.out != "nodejs10.x\n" {
		t.Errorf("got %+v", got)
	}
	for id, want := range map[string]string{"nodejs12.x": "the disk is full", "nodejs14.x": "half-way", "nodejs99.x": "nodejs99.x is not a runtime"} {
		if got := runKiln(t, env, "", "runtime", "add", id); got.code != exitPlatform || got.out != "" || !strings.Contains(got.talk, want) {
			t.Errorf("%s: got %+v", id, got)
		}
	}
	if got := runKiln(t, env, "", "runtime", "rm", "nodejs10.x"); got.code != 0 || got.out != "nodejs10.x\n" {
		t.Errorf("got %+v", got)
	}
	if got := runKiln(t, env, "", "runtime", "rm", "nodejs12.x"); got.code != exitPlatform || !strings.Contains(got.talk, "it was not fetched") {
		t.Errorf("got %+v", got)
	}
	if got := runKiln(t, nil, "", "doctor", "--endpoint-url", f.URL); got.code != exitFunction || !strings.Contains(got.out, "namespaces  required") || !strings.Contains(got.talk, "kiln serve cannot work here without namespaces — --sandbox process works without") {
		t.Errorf("got %+v", got)
	}
}

func TestAnInterruptedCommandEndsWith130(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := fakeServer(t, map[string]http.HandlerFunc{"POST /2015-03-31/functions/hello/invocations": func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}})
	var out, talk bytes.Buffer
	w := fakeWorld("KILN_ENDPOINT=" + f.URL)
	w.args, w.out, w.talk = []string{"invoke", "hello"}, &out, &talk
	if code := run(ctx, w); code != exitInterrupted || talk.Len() > 0 {
		t.Errorf("got %d, stderr %q", code, talk.String())
	}
}
