package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// insideCode is the Python function of these tests; more files may go beside it.
func insideCode(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/inside.py")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// clientOf is AWS's client of an account.
func clientOf(url, account string) *lambda.Client {
	return lambda.New(lambda.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(url),
		Credentials: credentials.NewStaticCredentialsProvider(account, "secret", ""),
	})
}

// insideServer starts a server with the function "inside".
func insideServer(t *testing.T, args ...string) (*server, *lambda.Client) {
	t.Helper()
	s := start(t, args...)
	c := s.client()
	create(t, c, "inside", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: insideCode(t)}), memory(256), timeout(60))
	return s, c
}

// ask calls the function and reads its answer.
func ask(t testing.TB, c *lambda.Client, event, into any) {
	t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	if text := answer(t, c, "inside", string(payload)); json.Unmarshal([]byte(text), into) != nil {
		t.Fatalf("%s answered %s", payload, text)
	}
}

// object is an event.
type object map[string]any

// arnOf is the ARN of a function of account 111111111111.
func arnOf(name string) string { return "arn:aws:lambda:eu-west-1:111111111111:function:" + name }

func TestAFunctionCallsTheAPIWithoutASignatureAndItself(t *testing.T) {
	s, c := insideServer(t)
	var raw struct {
		URL       string
		Functions []string
		Answer    []any
	}
	ask(t, c, object{"do": "raw", "name": "inside", "payload": object{"x": 1}}, &raw)
	if raw.URL != s.URL {
		t.Errorf("the endpoint inside is %s, outside it is %s", raw.URL, s.URL)
	}
	if !slices.Equal(raw.Functions, []string{arnOf("inside")}) {
		t.Errorf("functions: %q", raw.Functions)
	}
	if len(raw.Answer) != 2 || raw.Answer[0] != 200.0 || raw.Answer[1] != `{"x": 1}` {
		t.Errorf("the nested call: %v", raw.Answer)
	}
	if got := answer(t, c, "inside", `{"do":"self","depth":5}`); got != `[200, [200, [200, [200, [200, "bottom"]]]]]` {
		t.Errorf("five calls of itself, one inside the other: %s", got)
	}
	var download []string
	ask(t, c, object{"do": "download"}, &download)
	if len(download) != 2 || !strings.HasPrefix(download[0], s.URL+"/_kiln/v1/packages/") || download[1] != "PK" {
		t.Errorf("its own code: %q", download)
	}
}

func TestBoto3FromThePackageFindsTheAPIByItself(t *testing.T) {
	s := start(t)
	py := needPython(t)
	dir := t.TempDir()
	install(t, dir, pythonAbs(t), "-m", "pip", "install", "--disable-pip-version-check", "--no-compile", "--target", dir, "boto3==1.44.5")
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(insideCode(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	c := s.client()
	create(t, c, "inside", py, "app.handler", zipDir(t, dir), memory(512), timeout(120))
	var got struct {
		Functions      []string
		Answer         string
		Foreign, Trace string
	}
	ask(t, c, object{"do": "boto", "name": "inside", "payload": object{"do": "trace"}}, &got)
	if !slices.Equal(got.Functions, []string{arnOf("inside")}) {
		t.Errorf("functions: %q", got.Functions)
	}
	if got.Foreign != "UnrecognizedClientException: The security token included in the request is invalid." {
		t.Errorf("signed with another account's key: %q", got.Foreign)
	}
	// boto3 hands the trace on by itself; kiln leaves it as it is.
	if root, _, _ := strings.Cut(got.Trace, ";"); !strings.HasPrefix(root, "Root=1-") || !strings.HasPrefix(got.Answer, root) {
		t.Errorf("the nested call has the trace %q, its caller %q", got.Answer, got.Trace)
	}
}

func TestAGoFunctionMakesAHundredNestedCallsAtOnceWithAWSsClient(t *testing.T) {
	s := start(t)
	c := s.client()
	create(t, c, "caller", "provided.al2023", "bootstrap", goFunction(t, "caller"), memory(128), timeout(120))
	var got struct {
		Functions []string
		Answers   map[string]int
	}
	text := answer(t, c, "caller", `{"List":true,"Invoke":"caller","Payload":{},"Times":100}`)
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Functions, []string{arnOf("caller")}) {
		t.Errorf("functions: %q", got.Functions)
	}
	if len(got.Answers) != 1 || got.Answers[`{"Functions":null,"Answers":{}}`] != 100 {
		t.Errorf("the nested calls answered %v", got.Answers)
	}
}

func TestAFunctionSeesItsOwnAccountAndNothingOfKiln(t *testing.T) {
	s, c := insideServer(t, "--console", "127.0.0.1:0")
	theirs := clientOf(s.URL, "222222222222")
	create(t, theirs, "inside", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: insideCode(t)}), memory(256), timeout(60))
	var raw struct{ Functions []string }
	ask(t, theirs, object{"do": "raw", "name": "inside", "payload": object{}}, &raw)
	if want := []string{"arn:aws:lambda:eu-west-1:222222222222:function:inside"}; !slices.Equal(raw.Functions, want) {
		t.Errorf("functions of the other account: %q", raw.Functions)
	}
	var token string
	ask(t, c, object{"do": "token"}, &token)

	const list = "/2015-03-31/functions/"
	signed := func(key string) string {
		return "AWS4-HMAC-SHA256 Credential=" + key + "/20261124/eu-west-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64)
	}
	for _, x := range []struct {
		name, method, path string
		headers            object
		status             int
		text               string
	}{
		{"a made-up key", "GET", list, object{"Authorization": signed("test"), "X-Amz-Security-Token": nil}, 200, "222222222222"},
		{"another account's key", "GET", list, object{"Authorization": signed("111111111111"), "X-Amz-Security-Token": nil}, 403, "The security token included in the request is invalid."},
		{"another environment's token", "GET", list, object{"X-Amz-Security-Token": token}, 403, "The security token included in the request is invalid."},
		{"neither signature nor token", "GET", list, object{"X-Amz-Security-Token": nil}, 403, "Missing Authentication Token"},
		{"a presigned URL of anybody's", "GET", list + "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=222222222222%2F20261124%2Feu-west-1%2Flambda%2Faws4_request&X-Amz-SignedHeaders=host&X-Amz-Signature=0", object{"X-Amz-Security-Token": nil}, 403, "Missing Authentication Token"},
		{"another account's function", "GET", list + arnOf("inside"), nil, 403, "null"},
		{"version", "GET", "/_kiln/v1/version", nil, 403, "not served inside"},
		{"environments", "GET", "/_kiln/v1/environments", nil, 403, "not served inside"},
		{"logs", "GET", "/_kiln/v1/logs", nil, 403, "not served inside"},
		{"fetching a runtime", "POST", "/_kiln/v1/runtimes/nodejs22.x", nil, 403, "not served inside"},
		{"health", "GET", "/healthz", nil, 403, "not served inside"},
		{"readiness", "GET", "/readyz", nil, 403, "not served inside"},
		{"metrics", "GET", "/metrics", nil, 404, "nothing is at /metrics"},
		{"a package without a ticket", "GET", "/_kiln/v1/packages/" + strings.Repeat("0", 64), nil, 403, "not valid"},
	} {
		var got []any
		ask(t, theirs, object{"do": "send", "method": x.method, "path": x.path, "headers": x.headers}, &got)
		if len(got) != 2 || got[0] != float64(x.status) || !strings.Contains(got[1].(string), x.text) {
			t.Errorf("%s: got %v, want %d with %q", x.name, got, x.status, x.text)
		}
	}

	// The console, the port of the host and what other environments have are elsewhere.
	console := consoleOf(t, s)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	closed := []string{strings.TrimPrefix(console, "http://"), "[::1]:" + port, "127.0.0.2:" + port}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			closed = append(closed, net.JoinHostPort(ip.String(), port))
		}
	}
	var reached map[string]string
	ask(t, theirs, object{"do": "reach", "addresses": append(closed, "127.0.0.1:"+port)}, &reached)
	for _, a := range closed {
		if reached[a] == "open" || reached[a] == "" {
			t.Errorf("%s is %q inside", a, reached[a])
		}
	}
	if reached["127.0.0.1:"+port] != "open" {
		t.Errorf("the API itself is %q inside", reached["127.0.0.1:"+port])
	}
}

// consoleOf reads where the status page is.
func consoleOf(t testing.TB, s *server) string {
	t.Helper()
	var holder struct{ Console string }
	text, err := os.ReadFile(filepath.Join(s.Data, "kiln.lock"))
	if err != nil || json.Unmarshal(text, &holder) != nil || holder.Console == "" {
		t.Fatalf("the lock says no console: %s, %v", text, err)
	}
	return holder.Console
}

func TestAServerForAllAddressesIsReachedInsideByTheEnvironmentsOwnListenerOnly(t *testing.T) {
	s, c := insideServer(t, "--listen", "0.0.0.0:0", "--insecure-listen")
	var raw struct {
		URL       string
		Functions []string
	}
	ask(t, c, object{"do": "raw", "name": "inside", "payload": object{}}, &raw)
	if raw.URL != s.URL || len(raw.Functions) != 1 {
		t.Errorf("got %+v, want the API at %s", raw, s.URL)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, a := range addresses {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			all = append(all, net.JoinHostPort(ip.String(), port))
		}
	}
	var reached map[string]string
	ask(t, c, object{"do": "reach", "addresses": all}, &reached)
	for a, how := range reached {
		if how == "open" {
			t.Errorf("the server's own port is reached inside at %s", a)
		}
	}
}

func TestAnAnswerWaitsForAFrozenEnvironment(t *testing.T) {
	s, c := insideServer(t)
	// The environment that asks is frozen before the other one has answered. A call
	// that came too late to need another one is made again.
	for there := 1; there == 1; {
		if got := answer(t, c, "inside", `{"do":"ask","name":"inside","payload":{"do":"sleep","seconds":1.5}}`); got != `"asked"` {
			t.Fatal(got)
		}
		eventually(t, 30*time.Second, "the nested call is over", func() bool {
			all, idle := environmentsOf(t, s, "idle")
			there = all
			return idle == all
		})
	}
	var wg sync.WaitGroup
	heard := make(chan string, 2)
	for range 2 { // the two environments that there are: one of them has asked
		wg.Go(func() {
			out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("inside"), Payload: []byte(`{"do":"hear"}`)})
			if err == nil {
				heard <- string(out.Payload)
			}
		})
	}
	wg.Wait()
	close(heard)
	var got []string
	for h := range heard {
		got = append(got, h)
	}
	if !slices.Contains(got, `"\"slept\""`) {
		t.Errorf("heard %q", got)
	}
}

func TestAProcessThatDiesWithARequestUnderWayHarmsNobody(t *testing.T) {
	_, c := insideServer(t)
	for range 3 {
		kind, _ := failure(t, c, "inside", `{"do":"leave","name":"inside","payload":{"do":"sleep","seconds":1},"after":0.3}`)
		if kind != "Runtime.ExitError" {
			t.Errorf("got %s", kind)
		}
		if got := answer(t, c, "inside", `{"do":"self","depth":1}`); got != `[200, "bottom"]` {
			t.Errorf("after that: %s", got)
		}
	}
}

func TestSilentConnectionsOfOneFunctionTakeNothingFromOthers(t *testing.T) {
	s, c := insideServer(t)
	create(t, c, "other", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: insideCode(t)}), memory(256), timeout(60))
	if got := answer(t, c, "other", `{"do":"self","depth":1}`); got != `[200, "bottom"]` {
		t.Fatal(got)
	}
	before := descriptors(t, s)
	var got []any
	ask(t, c, object{"do": "flood"}, &got)
	if len(got) != 2 || got[0].(float64) < 900 {
		t.Fatalf("the function opened %v", got)
	}
	// 256 of its connections are taken up; the others wait without costing anything.
	if now := descriptors(t, s); now > before+400 {
		t.Errorf("the server had %d descriptors and has %d", before, now)
	}
	if got := answer(t, c, "other", `{"do":"self","depth":1}`); got != `[200, "bottom"]` {
		t.Errorf("the other function: %s", got)
	}
}

// descriptors counts what the server has open.
func descriptors(t testing.TB, s *server) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestAServerThatStopsEndsNestedCallsThatDoNot(t *testing.T) {
	s, c := insideServer(t, "--drain-timeout", "1s")
	done := make(chan error, 1)
	go func() {
		_, err := c.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: aws.String("inside"),
			Payload: []byte(`{"do":"raw","name":"inside","payload":{"do":"sleep","seconds":50}}`)}, func(o *lambda.Options) { o.RetryMaxAttempts = 1 })
		done <- err
	}()
	eventually(t, 30*time.Second, "both run", func() bool { _, busy := environmentsOf(t, s, "busy"); return busy == 2 })
	begin := time.Now()
	s.stop(t)
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("the server took %v to stop", took)
	}
	if err := <-done; err == nil {
		t.Error("the outer call was answered as if nothing had happened")
	}
	if said := s.said(); strings.Contains(said, "panic") || !strings.Contains(said, "Stopp") {
		t.Errorf("the server said:\n%s", said)
	}
}

// environmentsOf counts the environments of a server and those in a state.
func environmentsOf(t testing.TB, s *server, state string) (all, in int) {
	t.Helper()
	r, err := http.Get(s.URL + "/_kiln/v1/environments")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var list []struct{ State string }
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.State == state {
			in++
		}
	}
	return len(list), in
}

func TestInsideItIsPlainHTTPAlsoWhereTheServerSpeaksTLS(t *testing.T) {
	needRoot(t)
	dir, data := t.TempDir(), t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certificate(t, cert, key, 1)
	s := begin(t, "", nil, "serve", "--listen", "127.0.0.1:0", "--console", "off", "--data-dir", data, "--tls-cert", cert, "--tls-key", key)
	t.Cleanup(func() { s.signal(t, syscall.SIGTERM); s.end(t, time.Minute); assertNothingLeft(t, data) })
	var url string
	eventually(t, time.Minute, "the server is ready", func() bool {
		url = endpoint(data, s.cmd.Process.Pid)
		_, talk := s.said()
		return url != "" && strings.Contains(talk, "is ready")
	})
	fn := write(t, map[string]string{"app.py": insideCode(t), "function.yaml": "name: inside\nruntime: " + needPython(t) + "\nhandler: app.handler\ntimeout: 30\nmemory: 256\n"})
	env := []string{"KILN_ENDPOINT=" + url, "SSL_CERT_FILE=" + cert}
	if code, _, talk := kiln(t, env, "deploy", fn); code != 0 {
		t.Fatal(talk)
	}
	code, out, talk := kiln(t, env, "invoke", "inside", "--payload", `{"do":"raw","name":"inside","payload":{"n":1}}`)
	if want := `"url": "` + strings.Replace(url, "https://", "http://", 1) + `"`; code != 0 || !strings.Contains(out, want) || !strings.Contains(out, `[200, "{\"n\": 1}"]`) {
		t.Errorf("got %d %s %s, want %s and the nested answer", code, out, talk, want)
	}
}

func TestWithoutIsolationTheAPIInsideIsAListenerOfItsOwn(t *testing.T) {
	s, c := insideServer(t, "--sandbox", "process")
	var raw struct {
		URL       string
		Functions []string
		Answer    []any
	}
	ask(t, c, object{"do": "raw", "name": "inside", "payload": object{}}, &raw)
	if raw.URL == s.URL || !strings.HasPrefix(raw.URL, "http://127.0.0.1:") || len(raw.Functions) != 1 || len(raw.Answer) != 2 || raw.Answer[0] != 200.0 {
		t.Errorf("got %+v; the server is at %s", raw, s.URL)
	}
	var got []any
	ask(t, c, object{"do": "send", "method": "GET", "path": "/healthz"}, &got)
	if len(got) != 2 || got[0] != 403.0 {
		t.Errorf("health: %v", got)
	}
	r, err := http.Get(raw.URL + "/2015-03-31/functions/") // anybody on the host can try
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if text, _ := io.ReadAll(r.Body); r.StatusCode != 403 || !strings.Contains(string(text), "Missing Authentication Token") {
		t.Errorf("without the token: %s %s", r.Status, text)
	}
}

func TestAFunctionThatRunsOnceCallsTheAPIToo(t *testing.T) {
	needRoot(t)
	fn := write(t, map[string]string{"app.py": insideCode(t), "function.yaml": "name: inside\nruntime: " + needPython(t) + "\nhandler: app.handler\ntimeout: 30\nmemory: 256\n"})
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"do":"self","depth":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, talk := kiln(t, nil, "run", fn, "--event", event, "--data-dir", t.TempDir())
	if code != 0 || strings.TrimSpace(out) != `[200, [200, "bottom"]]` {
		t.Errorf("got %d %s\n%s", code, out, talk)
	}
}
