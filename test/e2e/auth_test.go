package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"kiln/test/harness"
)

// homeAccount is the one that a server's own root is of.
const homeAccount = "000000000000"

// accessKey is an access key of a server that checks signatures.
type accessKey struct{ id, secret, token string }

// environ is the environment of a command that signs with the key.
func (k accessKey) environ(s *server) []string {
	return append(s.environ(), "AWS_ACCESS_KEY_ID="+k.id, "AWS_SECRET_ACCESS_KEY="+k.secret, "AWS_SESSION_TOKEN="+k.token)
}

// client is aws-sdk-go-v2 that signs with the key.
func (k accessKey) client(s *server) *lambda.Client {
	return lambda.New(lambda.Options{Region: harness.Region, BaseEndpoint: aws.String(s.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(k.id, k.secret, k.token)})
}

var shown = regexp.MustCompile(`AWS_ACCESS_KEY_ID=(\S+)\s+AWS_SECRET_ACCESS_KEY=(\S+)`)

// rootKey is the key that a server shows when it first starts.
func rootKey(t testing.TB, s *server) accessKey {
	t.Helper()
	k := rootOf(t, s)
	return accessKey{id: k.AccessKeyID, secret: k.SecretAccessKey}
}

// newUser makes a user with the command line, as somebody, and gives its key.
func newUser(t testing.TB, s *server, as accessKey, args ...string) accessKey {
	t.Helper()
	code, out, talk := kiln(t, as.environ(s), append([]string{"user", "create"}, args...)...)
	found := shown.FindStringSubmatch(out)
	if code != 0 || found == nil {
		t.Fatalf("kiln user create %v: %d\n%s%s", args, code, out, talk)
	}
	return accessKey{id: found[1], secret: found[2]}
}

// code gives the exception of an error of the SDK, "" for none.
func exceptionOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	name, _ := harness.APIError(t, err)
	return name
}

// asRole is a role other than the usual one.
func asRole(arn string) settings {
	return func(in *lambda.CreateFunctionInput) { in.Role = &arn }
}

// lister asks the API inside as the documentation says, and gives its credentials away.
const lister = `import json, os, urllib.request, urllib.error
def handler(event, context):
    if "keys" in event:
        return [os.environ[n] for n in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + "/2015-03-31/functions/", headers={"X-Amz-Security-Token": os.environ["AWS_SESSION_TOKEN"]})
    try:
        with urllib.request.urlopen(request) as answer:
            return [f["FunctionName"] for f in json.load(answer)["Functions"]]
    except urllib.error.HTTPError as e:
        return json.load(e)["Message"]
`

func TestAServerWithAuthLetsInWhomItKnowsAndDoesWhatPoliciesAllow(t *testing.T) {
	s := start(t, "--auth", "on")
	root := rootKey(t, s)
	ctx, c := within(t, 4*time.Minute), root.client(s)
	role := aws.String("arn:aws:iam::" + homeAccount + ":role/kiln") // which every account has
	create(t, c, "echo", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: "def handler(event, context):\n    return event\n"}), asRole(*role))
	call := func(c *lambda.Client, name string) error {
		out, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"a":1}`)})
		if err == nil && (out.FunctionError != nil || string(out.Payload) != `{"a": 1}`) {
			t.Errorf("%s answered %s", name, out.Payload)
		}
		return err
	}
	if err := call(c, "echo"); err != nil {
		t.Fatal(err)
	}

	// Whoever is not known, or signs wrongly, is not let in.
	for want, k := range map[string]accessKey{
		"UnrecognizedClientException": {id: "111111111111", secret: "secret"}, "InvalidSignatureException": {id: root.id, secret: root.secret + "x"},
	} {
		if got := exceptionOf(t, call(k.client(s), "echo")); got != want {
			t.Errorf("%s: got %q, want %s", k.id, got, want)
		}
	}
	if got := sendSigned(t, s, root, "GET", "/2015-03-31/functions/", "", time.Now().Add(-time.Hour)); !strings.Contains(got, "InvalidSignatureException") || !strings.Contains(got, "Signature expired: ") {
		t.Errorf("a clock that is an hour late: %s", got)
	}
	if got := sendSigned(t, s, root, "GET", "/2015-03-31/functions/", "", time.Now().Add(-10*time.Minute)); !strings.HasPrefix(got, "200 ") {
		t.Errorf("a clock that is ten minutes late: %s", got)
	}
	if got := get(t, presign(t, s, root, "/2015-03-31/functions/echo", time.Minute)); !strings.HasPrefix(got, "200 ") {
		t.Errorf("a presigned URL: %s", got)
	}
	if got := get(t, strings.Replace(presign(t, s, root, "/2015-03-31/functions/echo", time.Minute), "functions/echo", "functions/", 1)); !strings.Contains(got, "403 InvalidSignatureException") {
		t.Errorf("a presigned URL for something else: %s", got)
	}
	if got := get(t, s.URL+"/2015-03-31/functions/"); !strings.Contains(got, "403 MissingAuthenticationTokenException") {
		t.Errorf("not signed: %s", got)
	}

	// A user may what its policies say, and nothing once it is gone.
	dir := write(t, map[string]string{"invoke.json": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:*:*:function:echo"}]}`})
	ann := newUser(t, s, root, "ann", "--policy", "invoke="+filepath.Join(dir, "invoke.json"))
	if err := call(ann.client(s), "echo"); err != nil {
		t.Error(err)
	}
	_, err := ann.client(s).ListFunctions(ctx, &lambda.ListFunctionsInput{})
	if name, text := harness.APIError(t, err); name != "AccessDeniedException" || text != "User: arn:aws:iam::"+homeAccount+":user/ann is not authorized to perform: lambda:ListFunctions on resource: * because no identity-based policy allows the lambda:ListFunctions action" {
		t.Errorf("%s %q", name, text)
	}
	if code, _, talk := kiln(t, ann.environ(s), "user", "create", "eve"); code != 3 || !strings.Contains(talk, "not authorized to perform: iam:CreateUser") {
		t.Errorf("ann makes a user: %d %s", code, talk)
	}
	if code, out, talk := kiln(t, root.environ(s), "user", "policy", "attach", "ann", "AWSLambda_ReadOnlyAccess"); code != 0 {
		t.Errorf("attach: %d %s%s", code, out, talk)
	}
	if code, out, talk := kiln(t, ann.environ(s), "ls", "--region", harness.Region); code != 0 || !strings.Contains(out, "echo") {
		t.Errorf("ann lists: %d %s%s", code, out, talk)
	}

	// Another account needs both sides.
	other := newUser(t, s, root, "root", "--account", "222222222222")
	arn := "arn:aws:lambda:" + harness.Region + ":" + homeAccount + ":function:echo"
	if got := exceptionOf(t, call(other.client(s), arn)); got != "AccessDeniedException" {
		t.Errorf("another account: %q", got)
	}
	grant := &lambda.AddPermissionInput{FunctionName: aws.String("echo"), StatementId: aws.String("other"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("222222222222")}
	if _, err := c.AddPermission(ctx, grant); err != nil {
		t.Fatal(err)
	}
	if err := call(other.client(s), arn); err != nil {
		t.Errorf("another account that was let in: %v", err)
	}
	if got := exceptionOf(t, call(other.client(s), "echo")); got != "ResourceNotFoundException" {
		t.Errorf("a function of its own: %q", got)
	}
	if code, _, talk := kiln(t, root.environ(s), "user", "key", "rm", "ann", ann.id); code != 0 {
		t.Fatal(talk)
	}
	if got := exceptionOf(t, call(ann.client(s), "echo")); got != "UnrecognizedClientException" {
		t.Errorf("a key that is gone: %q", got)
	}
}

func TestAFunctionIsItsRoleInsideAndOutside(t *testing.T) {
	s := start(t, "--auth", "on")
	root := rootKey(t, s)
	ctx, c := within(t, 4*time.Minute), root.client(s)
	create(t, c, "lister", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: lister}), asRole("arn:aws:iam::"+homeAccount+":role/kiln"))
	var parts []string
	if text := answer(t, c, "lister", `{"keys":1}`); json.Unmarshal([]byte(text), &parts) != nil || len(parts) != 3 || !strings.HasPrefix(parts[0], "ASIA") {
		t.Fatalf("credentials of a function: %s", text)
	}
	session := accessKey{parts[0], parts[1], parts[2]}
	const denied = "User: arn:aws:sts::" + homeAccount + ":assumed-role/kiln/lister is not authorized to perform: lambda:ListFunctions on resource: * because no identity-based policy allows the lambda:ListFunctions action"
	check := func(what, want string) {
		t.Helper()
		if got := answer(t, c, "lister", "{}"); got != want {
			t.Errorf("%s, inside: %s", what, got)
		}
		got := `["lister"]`
		if _, err := session.client(s).ListFunctions(ctx, &lambda.ListFunctionsInput{}); err != nil {
			_, text := harness.APIError(t, err)
			got = `"` + text + `"`
		}
		if got != want {
			t.Errorf("%s, outside: %s", what, got)
		}
	}
	iam := func(args ...string) {
		t.Helper()
		pythonClient(t)
		cmd := exec.CommandContext(ctx, "../../.cache/venv/bin/aws", append([]string{"iam"}, args...)...)
		cmd.Env = root.environ(s)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("aws iam %v: %v\n%s", args, err, out)
		}
	}
	check("a role that may only log", `"`+denied+`"`)
	iam("put-role-policy", "--role-name", "kiln", "--policy-name", "list", "--policy-document", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:ListFunctions","Resource":"*"}]}`)
	check("a role that may list", `["lister"]`)
	iam("delete-role-policy", "--role-name", "kiln", "--policy-name", "list")
	check("a policy that is gone", `"`+denied+`"`)
	session.secret += "x"
	if _, err := session.client(s).ListFunctions(ctx, &lambda.ListFunctionsInput{}); exceptionOf(t, err) != "InvalidSignatureException" {
		t.Errorf("a session with another secret: %v", err)
	}
}

func TestUsersOutliveTheServer(t *testing.T) {
	needRoot(t)
	data := t.TempDir()
	s := startIn(t, data, "--auth", "on")
	root := rootKey(t, s)
	ann := newUser(t, s, root, "ann", "--attach", "AWSLambda_ReadOnlyAccess")
	s.kill(t)
	for _, file := range []string{"accounts.db", "accounts.db-wal", "catalog.db", "catalog.db-wal"} {
		text, err := os.ReadFile(filepath.Join(data, file))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, secret := range []string{root.secret, ann.secret} {
			if strings.Contains(string(text), secret) {
				t.Errorf("a secret stands in %s", file)
			}
		}
	}
	again := startIn(t, data, "--auth", "on")
	for name, k := range map[string]accessKey{"root": root, "ann": ann} {
		if _, err := k.client(again).ListFunctions(t.Context(), &lambda.ListFunctionsInput{}); err != nil {
			t.Errorf("%s after a crash: %v", name, err)
		}
	}
	if shown.MatchString(again.said()) {
		t.Error("the root credentials were shown a second time")
	}
}

func TestBoto3AndTheAWSCommandLineSignRight(t *testing.T) {
	py := needPython(t)
	s := start(t, "--auth", "on", "--listen", "0.0.0.0:0")
	home := rootKey(t, s)
	root := newUser(t, s, home, "root", "--account", harness.Account)
	for _, program := range [][]string{{pythonClient(t), "testdata/auth_boto.py", py}, {"bash", "testdata/auth_cli.sh", py}, {pythonClient(t), "testdata/boto_life.py", py}} {
		cmd := exec.CommandContext(within(t, 4*time.Minute), program[0], program[1:]...)
		cmd.Env = append(root.environ(s), "KILN="+binary)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", program, err, out)
		}
	}
}

// sendSigned signs a request at a time with AWS's own signer and gives status, exception and body.
func sendSigned(t testing.TB, s *server, k accessKey, method, path, body string, at time.Time) string {
	t.Helper()
	r, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret}, r, hex.EncodeToString(sum[:]), "lambda", harness.Region, at); err != nil {
		t.Fatal(err)
	}
	return verdict(t, r)
}

// presign gives a URL that is good for a while.
func presign(t testing.TB, s *server, k accessKey, path string, life time.Duration) string {
	t.Helper()
	q := url.Values{"X-Amz-Expires": {strconv.Itoa(int(life / time.Second))}}
	r, err := http.NewRequest(http.MethodGet, s.URL+path+"?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	empty := sha256.Sum256(nil)
	target, _, err := v4.NewSigner().PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret}, r, hex.EncodeToString(empty[:]), "lambda", harness.Region, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// get asks for a URL.
func get(t testing.TB, target string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return verdict(t, r)
}

// verdict sends a request and writes down the answer.
func verdict(t testing.TB, r *http.Request) string {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var e struct{ Message string }
	_ = json.Unmarshal(body, &e) // an answer that is no refusal has no message
	return strings.Join([]string{resp.Status[:3], resp.Header.Get("X-Amzn-Errortype"), e.Message}, " ")
}

func TestWhoMayUseLambdaDeploysWithTheCommandLine(t *testing.T) {
	py := needPython(t)
	s := start(t, "--auth", "on")
	ann := newUser(t, s, rootKey(t, s), "ann", "--attach", "AWSLambda_FullAccess")
	dir := write(t, map[string]string{"app.py": "def handler(event, context):\n    print('hello')\n    return event\n"})
	for _, c := range []struct{ args, want string }{
		{"deploy " + dir + " --name mine --runtime " + py + " --handler app.handler", ""},
		{"invoke mine --payload [1]", "[1]"},
		{"logs mine", "hello"},
		{"ls", "mine"},
		{"rm mine", "mine"},
	} {
		if code, out, talk := kiln(t, ann.environ(s), strings.Fields(c.args)...); code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("kiln %s: %d\n%s%s", c.args, code, out, talk)
		}
	}
	if code, _, talk := kiln(t, ann.environ(s), "runtime", "rm", "nodejs22.x"); code == 0 || !strings.Contains(talk, "kiln:ChangeRuntimes") {
		t.Errorf("ann changes the server: %d %s", code, talk)
	}
}

func TestTheOutcomeOfAnEventGoesWhereTheRoleMayCall(t *testing.T) {
	py := needPython(t)
	pythonClient(t)
	s := start(t, "--auth", "on")
	root := rootKey(t, s)
	c, role := root.client(s), asRole("arn:aws:iam::"+homeAccount+":role/kiln")
	code := zipOf(t, file{Name: "app.py", Text: evented})
	create(t, c, "worker", py, "app.handler", code, role)
	create(t, c, "told", py, "app.handler", code, role)
	told := "arn:aws:lambda:" + harness.Region + ":" + homeAccount + ":function:told"
	if _, err := c.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{
		FunctionName: aws.String("worker"), DestinationConfig: &types.DestinationConfig{OnSuccess: &types.OnSuccess{Destination: &told}}}); err != nil {
		t.Fatal(err)
	}
	send(t, c, "worker", `{"n": 1}`)
	denied := "assumed-role/kiln/worker is not authorized to perform: lambda:InvokeFunction on resource: " + told
	eventually(t, time.Minute, "the server says that the role may not call the destination", func() bool { return strings.Contains(s.said(), denied) })
	cmd := exec.CommandContext(within(t, time.Minute), "../../.cache/venv/bin/aws", "iam", "put-role-policy", "--role-name", "kiln", "--policy-name", "told", "--policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"`+told+`"}]}`)
	cmd.Env = root.environ(s)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	send(t, c, "worker", `{"n": 2}`)
	var log string
	eventually(t, time.Minute, "the destination is told", func() bool {
		_, log, _ = kiln(t, root.environ(s), "logs", "told", "--region", harness.Region)
		return strings.Contains(log, `"requestPayload": {"n": 2}`)
	})
	if strings.Contains(log, `"requestPayload": {"n": 1}`) {
		t.Errorf("it was told of what the role might not: %s", log)
	}
}
