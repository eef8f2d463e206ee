package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"kiln"
	"kiln/door/api"
	"kiln/door/auth"
	"kiln/door/auth/accounts"
	"kiln/door/lambda"
	"kiln/engine/catalog"
)

const stranger2 = "222222222222"

// organization is the one that all accounts of a guarded port are in.
const organization = "o-abcdefghij"

// ledger is a store in memory in the words of the accounts.
type ledger struct{ *store }

func (l ledger) Scan(ctx context.Context, prefix string, f func(accounts.Record) error) error {
	return l.store.Scan(ctx, prefix, func(r catalog.Record) error { return f(accounts.Record(r)) })
}

func (l ledger) Commit(ctx context.Context, writes []accounts.Write) ([]uint64, error) {
	var out []catalog.Write
	for _, w := range writes {
		out = append(out, catalog.Write(w))
	}
	return l.store.Commit(ctx, out)
}

// guarded is a port that checks signatures.
type guarded struct {
	*port
	book *accounts.Book
}

func newGuarded(t testing.TB, change ...func(*api.Options)) *guarded {
	t.Helper()
	book, err := accounts.Open(t.Context(), accounts.Options{Store: ledger{&store{m: map[string]catalog.Record{}}}, Key: accounts.Key{7}})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := auth.New(auth.Options{Keys: book, Organization: organization})
	if err != nil {
		t.Fatal(err)
	}
	p := newPort(t, append([]func(*api.Options){func(o *api.Options) { o.Auth, o.Accounts = gate, book }}, change...)...)
	return &guarded{p, book}
}

// signer is somebody with credentials.
type signer struct {
	g *guarded
	c accounts.Credentials
}

// user makes a user with policies: statements without "Effect":"Allow".
func (g *guarded) user(account, name string, statements ...string) signer {
	g.t.Helper()
	_, c, err := g.book.CreateUser(g.t.Context(), account, name)
	if err != nil {
		g.t.Fatal(err)
	}
	for i, s := range statements {
		if err := g.book.PutUserPolicy(g.t.Context(), account, name, fmt.Sprintf("p%d", i), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+s+`}]}`); err != nil {
			g.t.Fatal(err)
		}
	}
	return signer{g, c}
}

// role makes a role that functions can assume.
func (g *guarded) role(name string) {
	g.t.Helper()
	if _, err := g.book.CreateRole(g.t.Context(), accounts.Role{Account: account, Name: name, Trust: `{"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}); err != nil {
		g.t.Fatal(err)
	}
}

// do sends a signed request.
func (s signer) do(method, path, body string, headers ...string) reply {
	s.g.t.Helper()
	return s.g.send(s.sign(method, path, body, headers...))
}

func (s signer) sign(method, path, body string, headers ...string) *http.Request {
	s.g.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host, r.URL.Host = "localhost:4566", "localhost:4566"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	sum := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: s.c.AccessKeyID, SecretAccessKey: s.c.SecretAccessKey, SessionToken: s.c.SessionToken}
	if err := v4.NewSigner().SignHTTP(s.g.t.Context(), creds, r, hex.EncodeToString(sum[:]), "lambda", region, time.Now()); err != nil {
		s.g.t.Fatal(err)
	}
	return r
}

func notAuthorized(arn, action, resource, why string) string {
	return "User: " + arn + " is not authorized to perform: " + action + " on resource: " + resource + why
}

const invocation = "/2015-03-31/functions/f/invocations"

func TestNobodyPassesWithoutARightSignature(t *testing.T) {
	g := newGuarded(t)
	root := g.user(account, "root")
	g.role("any")
	wants(t, "create", root.do("POST", "/2015-03-31/functions", request(t, "f", nil)), 201)
	g.settle()
	if got := wants(t, "invoke", root.do("POST", invocation, `{"a":1}`), 200); got.body != `{"a":1}` {
		t.Errorf("got %s", got.body)
	}
	const invalidToken = "The security token included in the request is invalid."
	const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	unsigned := httptest.NewRequest("POST", invocation, strings.NewReader("{}"))
	unsigned.Host = "localhost"
	refused(t, "not signed", g.send(unsigned), 403, "MissingAuthenticationTokenException", "Missing Authentication Token")
	refused(t, "an account number", g.do("POST", invocation, "{}"), 403, "UnrecognizedClientException", invalidToken)
	wrong := root
	wrong.c.SecretAccessKey += "x"
	for _, r := range []*http.Request{wrong.sign("GET", "/2015-03-31/functions", ""), wrong.sign("POST", invocation, "{}"), wrong.sign("GET", "/_kiln/v1/version", ""), wrong.sign("DELETE", "/2015-03-31/functions/f", "")} {
		refused(t, "another secret: "+r.Method+" "+r.URL.Path, g.send(r), 403, "InvalidSignatureException", mismatch)
	}
	for name, body := range map[string]string{"another body": `{"a":2}`, "no body": "", "a longer body": `{"a":1} `} {
		r := root.sign("POST", invocation, `{"a":1}`)
		other := httptest.NewRequest("POST", invocation, strings.NewReader(body))
		r.Body = other.Body
		if got := g.send(r); got.status == 200 {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	// A body that no operation reads is held to the signature, too.
	r := root.sign("DELETE", "/2015-03-31/functions/f", "")
	r.Body, r.ContentLength = httptest.NewRequest("POST", "/", strings.NewReader("x")).Body, 1
	refused(t, "a body where there is none", g.send(r), 403, "InvalidSignatureException", mismatch)
	wants(t, "the function is still there", root.do("GET", "/2015-03-31/functions/f", ""), 200)
	if err := g.book.DeleteUser(t.Context(), account, "root"); err != nil {
		t.Fatal(err)
	}
	refused(t, "a user who is gone", root.do("POST", invocation, "{}"), 403, "UnrecognizedClientException", invalidToken)
	for _, open := range []string{"/healthz", "/readyz"} {
		wants(t, open, g.do("GET", open, "", "Authorization", ""), 200)
	}
}

func TestPoliciesOfUsersAndFunctionsDecide(t *testing.T) {
	g := newGuarded(t)
	root := g.user(account, "root")
	g.role("any")
	for _, f := range []string{"f", "h"} {
		wants(t, "create", root.do("POST", "/2015-03-31/functions", request(t, f, map[string]any{"Publish": true, "Tags": map[string]any{"team": "red"}})), 201)
	}
	g.settle()
	wants(t, "alias", root.do("POST", "/2015-03-31/functions/f/aliases", `{"Name":"live","FunctionVersion":"1"}`), 201)
	ann := g.user(account, "ann", `"Action":"lambda:InvokeFunction","Resource":"`+arn("f")+`:live"`, `"Action":"lambda:ListFunctions","Resource":"*"`)
	red := g.user(account, "red", `"Action":"lambda:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}`)
	who := "arn:aws:iam::" + account + ":user/ann"
	wants(t, "the alias", ann.do("POST", invocation+"?Qualifier=live", "{}"), 200)
	wants(t, "the alias by ARN", ann.do("POST", "/2015-03-31/functions/"+strings.ReplaceAll(arn("f"), ":", "%3A")+"%3Alive/invocations", "{}"), 200)
	wants(t, "list", ann.do("GET", "/2015-03-31/functions", ""), 200)
	for _, c := range []struct{ name, method, path, action, resource string }{
		{"the function", "POST", invocation, "lambda:InvokeFunction", arn("f")},
		{"a version", "POST", invocation + "?Qualifier=1", "lambda:InvokeFunction", arn("f") + ":1"},
		{"$LATEST", "POST", invocation + "?Qualifier=%24LATEST", "lambda:InvokeFunction", arn("f") + ":$LATEST"},
		{"another function", "POST", "/2015-03-31/functions/h/invocations?Qualifier=live", "lambda:InvokeFunction", arn("h") + ":live"},
		{"one that is not there", "POST", "/2015-03-31/functions/none/invocations", "lambda:InvokeFunction", arn("none")},
		{"streamed", "POST", "/2021-11-15/functions/f/response-streaming-invocations", "lambda:InvokeFunction", arn("f")},
		{"delete", "DELETE", "/2015-03-31/functions/f", "lambda:DeleteFunction", arn("f")},
		{"read", "GET", "/2015-03-31/functions/f/configuration", "lambda:GetFunctionConfiguration", arn("f")},
		{"layers", "GET", "/2018-10-31/layers", "lambda:ListLayers", "*"},
	} {
		body := "{}"
		if c.method != "POST" {
			body = ""
		}
		refused(t, c.name, ann.do(c.method, c.path, body), 403, "AccessDeniedException", notAuthorized(who, c.action, c.resource, " because no identity-based policy allows the "+c.action+" action"))
	}
	wants(t, "by tag", red.do("GET", "/2015-03-31/functions/f", ""), 200)
	if got := red.do("GET", "/2018-10-31/layers", ""); got.status != 403 {
		t.Errorf("what has no tag: %d", got.status)
	}

	// The function's own policy lets in whom it names, on exactly what it is of.
	grant := func(path, principal, sid string) {
		t.Helper()
		wants(t, "grant", root.do("POST", path, `{"StatementId":"`+sid+`","Action":"lambda:InvokeFunction","Principal":"`+principal+`"}`), 201)
	}
	grant(policyPath, who, "ann")
	wants(t, "named by the function", ann.do("POST", invocation, "{}"), 200)
	if got := ann.do("POST", invocation+"?Qualifier=1", "{}"); got.status != 403 {
		t.Errorf("the function's policy is not the version's: %d", got.status)
	}
	wants(t, "deny", root.do("PUT", "/2026-07-09/resource-policy/"+strings.ReplaceAll(arn("f"), ":", "%3A")+"%3Alive",
		`{"Policy":"`+quoted(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":{"AWS":"`+who+`"},"Action":"lambda:*","Resource":"*"}}`)+`"}`), 200)
	refused(t, "denied by the alias", ann.do("POST", invocation+"?Qualifier=live", "{}"), 403, "AccessDeniedException",
		notAuthorized(who, "lambda:InvokeFunction", arn("f")+":live", " with an explicit deny in a resource-based policy"))
	wants(t, "others are not", root.do("POST", invocation+"?Qualifier=live", "{}"), 200)

	// What an operation names by ARN is decided by the same policy.
	path := "/2026-07-09/resource-policy/" + strings.ReplaceAll(arn("h"), ":", "%3A")
	wants(t, "deny", root.do("PUT", path, `{"Policy":"`+quoted(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":["lambda:PutResourcePolicy","lambda:GetFunction"],"Resource":"*"}}`)+`"}`), 200)
	refused(t, "root is denied, too", root.do("PUT", path, `{"Policy":"{}"}`), 403, "AccessDeniedException",
		notAuthorized("arn:aws:iam::"+account+":root", "lambda:PutResourcePolicy", arn("h"), " with an explicit deny in a resource-based policy"))
	wants(t, "what is not denied", root.do("DELETE", path, ""), 204)
}

func TestBetweenAccountsBothMustAllow(t *testing.T) {
	g := newGuarded(t)
	root := g.user(account, "root")
	g.role("any")
	wants(t, "create", root.do("POST", "/2015-03-31/functions", request(t, "f", nil)), 201)
	g.settle()
	may, mayNot := g.user(stranger2, "may", `"Action":"lambda:*","Resource":"*"`), g.user(stranger2, "not")
	path := "/2015-03-31/functions/" + strings.ReplaceAll(arn("f"), ":", "%3A") + "/invocations"
	refused(t, "not let in", may.do("POST", path, "{}"), 403, "AccessDeniedException",
		notAuthorized("arn:aws:iam::"+stranger2+":user/may", "lambda:InvokeFunction", arn("f"), " because no resource-based policy allows the lambda:InvokeFunction action"))
	wants(t, "grant", root.do("POST", policyPath, `{"StatementId":"s","Action":"lambda:InvokeFunction","Principal":"`+stranger2+`"}`), 201)
	wants(t, "let in", may.do("POST", path, "{}"), 200)
	refused(t, "let in, but not by the own account", mayNot.do("POST", path, "{}"), 403, "AccessDeniedException",
		notAuthorized("arn:aws:iam::"+stranger2+":user/not", "lambda:InvokeFunction", arn("f"), " because no identity-based policy allows the lambda:InvokeFunction action"))
	for _, other := range []string{"GET " + strings.TrimSuffix(path, "/invocations"), "DELETE " + strings.TrimSuffix(path, "/invocations")} {
		method, target, _ := strings.Cut(other, " ")
		if got := may.do(method, target, ""); got.status != 403 {
			t.Errorf("%s, which nobody granted: %d %s", other, got.status, got.body)
		}
	}
	if got := may.do("POST", invocation, "{}"); got.status != 404 {
		t.Errorf("a name alone is a function of the own account: %d %s", got.status, got.body)
	}
}

func TestWhoIsLetInFromAnotherAccountBringsNoRoleAlong(t *testing.T) {
	g := newGuarded(t)
	root, other := g.user(account, "root"), g.user(stranger2, "root")
	g.role("any")
	wants(t, "create", root.do("POST", "/2015-03-31/functions", request(t, "f", nil)), 201)
	g.settle()
	wants(t, "grant", root.do("POST", policyPath, `{"StatementId":"s","Action":"lambda:*","Principal":"`+stranger2+`"}`), 201)
	path := "/2015-03-31/functions/" + strings.ReplaceAll(arn("f"), ":", "%3A") + "/configuration"
	wants(t, "what was granted", other.do("PUT", path, `{"Timeout":7}`), 200)
	g.settle()
	refused(t, "a role of the other account", other.do("PUT", path, `{"Role":"arn:aws:iam::`+stranger2+`:role/kiln"}`), 403, "AccessDeniedException", "Cross-account pass role is not allowed.")
	refused(t, "a role of the function's", other.do("PUT", path, `{"Role":"`+role+`"}`), 403, "AccessDeniedException",
		notAuthorized("arn:aws:iam::"+stranger2+":root", "iam:PassRole", role, " because no resource-based policy allows the iam:PassRole action"))
}

func TestAnOrganizationIsLetInAsAWhole(t *testing.T) {
	g := newGuarded(t)
	root, other := g.user(account, "root"), g.user(stranger2, "root")
	g.role("any")
	wants(t, "create", root.do("POST", "/2015-03-31/functions", request(t, "f", nil)), 201)
	g.settle()
	layer := wants(t, "publish", root.do("POST", "/2018-10-31/layers/l/versions", `{"Content":{"ZipFile":"`+code(t, "layer")+`"}}`), 201).members(t)["LayerVersionArn"].(string)
	path := "/2015-03-31/functions/" + strings.ReplaceAll(arn("f"), ":", "%3A") + "/invocations"
	find := "/2018-10-31/layers?find=LayerVersion&Arn=" + strings.ReplaceAll(layer, ":", "%3A")
	for org, status := range map[string]int{"o-zzzzzzzzzz": 403, organization: 200} {
		wants(t, "function", root.do("POST", policyPath, `{"StatementId":"`+org+`","Action":"lambda:InvokeFunction","Principal":"*","PrincipalOrgID":"`+org+`"}`), 201)
		wants(t, "layer", root.do("POST", "/2018-10-31/layers/l/versions/1/policy", `{"StatementId":"`+org+`","Action":"lambda:GetLayerVersion","Principal":"*","OrganizationId":"`+org+`"}`), 201)
		wants(t, "call for "+org, other.do("POST", path, "{}"), status)
		wants(t, "read for "+org, other.do("GET", find, ""), status)
		wants(t, "function", root.do("DELETE", policyPath+"/"+org, ""), 204)
		wants(t, "layer", root.do("DELETE", "/2018-10-31/layers/l/versions/1/policy/"+org, ""), 204)
	}
}

func TestAFunctionsRoleMustBeThereAndBePassed(t *testing.T) {
	g := newGuarded(t)
	root := g.user(account, "root")
	const cannot = "The role defined for the function cannot be assumed by Lambda."
	refused(t, "no role", root.do("POST", "/2015-03-31/functions", request(t, "f", nil)), 400, "InvalidParameterValueException", cannot)
	g.role("any")
	if _, err := g.book.CreateRole(t.Context(), accounts.Role{Account: account, Name: "ec2", Trust: `{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}`}); err != nil {
		t.Fatal(err)
	}
	refused(t, "a role for others", root.do("POST", "/2015-03-31/functions", request(t, "f", map[string]any{"Role": "arn:aws:iam::" + account + ":role/ec2"})), 400, "InvalidParameterValueException", cannot)
	refused(t, "another account's", root.do("POST", "/2015-03-31/functions", request(t, "f", map[string]any{"Role": "arn:aws:iam::" + stranger2 + ":role/any"})), 403, "AccessDeniedException", "Cross-account pass role is not allowed.")
	ann := g.user(account, "ann", `"Action":"lambda:*","Resource":"*"`)
	refused(t, "not passed", ann.do("POST", "/2015-03-31/functions", request(t, "f", nil)), 403, "AccessDeniedException",
		notAuthorized("arn:aws:iam::"+account+":user/ann", "iam:PassRole", role, " because no identity-based policy allows the iam:PassRole action"))
	bob := g.user(account, "bob", `"Action":"lambda:*","Resource":"*"`, `"Action":"iam:PassRole","Resource":"`+role+`","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}`)
	wants(t, "passed", bob.do("POST", "/2015-03-31/functions", request(t, "f", nil)), 201)
	g.settle()
	wants(t, "nothing is passed", ann.do("PUT", "/2015-03-31/functions/f/configuration", `{"Timeout":5}`), 200)
	g.settle()
	refused(t, "passed by an update", ann.do("PUT", "/2015-03-31/functions/f/configuration", `{"Role":"`+role+`"}`), 403, "AccessDeniedException",
		notAuthorized("arn:aws:iam::"+account+":user/ann", "iam:PassRole", role, " because no identity-based policy allows the iam:PassRole action"))
}

func TestInsideAFunctionMayWhatItsRoleMay(t *testing.T) {
	g := newGuarded(t)
	root := g.user(account, "root")
	g.role("any")
	g.role("worker")
	for _, f := range []string{"f", "caller"} {
		wants(t, "create", root.do("POST", "/2015-03-31/functions", request(t, f, nil)), 201)
	}
	g.settle()
	in := chamberOf(t, g.inside(), account, "caller") // whose role is worker
	who := "arn:aws:sts::" + account + ":assumed-role/worker/caller"
	refused(t, "a role without policies", in.do("POST", invocation, "{}"), 403, "AccessDeniedException",
		notAuthorized(who, "lambda:InvokeFunction", arn("f"), " because no identity-based policy allows the lambda:InvokeFunction action"))
	if err := g.book.PutRolePolicy(t.Context(), account, "worker", "p", `{"Statement":{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*","Condition":{"ArnEquals":{"lambda:SourceFunctionArn":"`+arn("caller")+`"}}}}`); err != nil {
		t.Fatal(err)
	}
	wants(t, "a role with a policy", in.do("POST", invocation, "{}"), 200)
	refused(t, "with somebody else's key", in.do("POST", invocation, "{}", "X-Amz-Security-Token", "", "Authorization", signedAs(account)), 403, "UnrecognizedClientException", "The security token included in the request is invalid.")
	refused(t, "with nothing", in.do("POST", invocation, "{}", "X-Amz-Security-Token", ""), 403, "MissingAuthenticationTokenException", "Missing Authentication Token")
	if err := g.book.DeleteRolePolicy(t.Context(), account, "worker", "p"); err != nil {
		t.Fatal(err)
	}
	if err := g.book.DeleteRole(t.Context(), account, "worker"); err != nil {
		t.Fatal(err)
	}
	if got := in.do("POST", invocation, "{}"); got.status != 403 {
		t.Errorf("a role that is gone: %d", got.status)
	}
}

func TestLayersAreForThoseWhomTheyLetIn(t *testing.T) {
	g := newGuarded(t)
	root, other := g.user(account, "root"), g.user(stranger2, "root")
	ann := g.user(account, "ann", `"Action":["lambda:CreateFunction","iam:PassRole"],"Resource":"*"`)
	away := g.user(stranger2, "away", `"Action":"lambda:GetLayerVersion","Resource":"*"`)
	g.role("any")
	made := wants(t, "publish", root.do("POST", "/2018-10-31/layers/l/versions", `{"Content":{"ZipFile":"`+code(t, "layer")+`"}}`), 201).members(t)
	layer := made["LayerVersionArn"].(string)
	with := request(t, "f", map[string]any{"Layers": []string{layer}})
	refused(t, "who may not read it", ann.do("POST", "/2015-03-31/functions", with), 403, "AccessDeniedException",
		notAuthorized("arn:aws:iam::"+account+":user/ann", "lambda:GetLayerVersion", layer, " because no identity-based policy allows the lambda:GetLayerVersion action"))
	wants(t, "who may", root.do("POST", "/2015-03-31/functions", with), 201)
	g.settle()
	find := "/2018-10-31/layers?find=LayerVersion&Arn=" + strings.ReplaceAll(layer, ":", "%3A")
	for _, who := range []signer{other, away} {
		if got := who.do("GET", find, ""); got.status != 403 || !strings.Contains(got.message(), "no resource-based policy allows the lambda:GetLayerVersion action") {
			t.Errorf("another account: %d %s", got.status, got.body)
		}
	}
	wants(t, "share", root.do("POST", "/2018-10-31/layers/l/versions/1/policy", `{"StatementId":"s","Action":"lambda:GetLayerVersion","Principal":"`+stranger2+`"}`), 201)
	for _, who := range []signer{other, away} {
		wants(t, "shared", who.do("GET", find, ""), 200)
	}
	nobody := g.user(stranger2, "nobody")
	if got := nobody.do("GET", find, ""); got.status != 403 || !strings.Contains(got.message(), "no identity-based policy") {
		t.Errorf("shared with the account, which does not let its user: %d %s", got.status, got.body)
	}
	if got := away.do("DELETE", "/2018-10-31/layers/"+strings.ReplaceAll(strings.TrimSuffix(layer, ":1"), ":", "%3A")+"/versions/1", ""); got.status != 403 {
		t.Errorf("shared is not given away: %d %s", got.status, got.body)
	}
}

// neighbour is a neighbour that says who asked.
type neighbour struct{}

func (neighbour) ServeAWS(w http.ResponseWriter, r *http.Request, who auth.Identity, requestID string) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %s %v %d", who.Account, who.Service, who.Principal, body, err, len(requestID))
}

func TestANeighbourIsFoundByTheServiceOfTheSignature(t *testing.T) {
	services := func(o *api.Options) { o.Services = map[string]api.Service{"sts": neighbour{}} }
	open := newPort(t, services)
	as := strings.Replace(signedAs(account), "/lambda/", "/sts/", 1)
	if got := open.do("POST", "/", "Action=X", "Authorization", as); got.status != 200 || got.body != account+" sts  Action=X <nil> 36" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := open.do("POST", "/", "Action=X", "Authorization", strings.Replace(as, "/sts/", "/sqs/", 1)); got.status != 501 {
		t.Errorf("another service: %d %s", got.status, got.body)
	}
	in := chamberOf(t, open.inside(), account, "f")
	if got := in.do("POST", "/", "Action=X", "Authorization", as); got.status != 200 || got.body != account+" sts arn:aws:sts::"+account+":assumed-role/worker/f Action=X <nil> 36" {
		t.Errorf("inside: %d %s", got.status, got.body)
	}

	g := newGuarded(t, services)
	root := g.user(account, "root")
	right := func(body, sent string) reply {
		r := httptest.NewRequest("POST", "/", strings.NewReader(sent))
		r.Host, r.URL.Host = "localhost", "localhost"
		sum := sha256.Sum256([]byte(body))
		creds := aws.Credentials{AccessKeyID: root.c.AccessKeyID, SecretAccessKey: root.c.SecretAccessKey}
		if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "sts", region, time.Now()); err != nil {
			t.Fatal(err)
		}
		return g.send(r)
	}
	if got := right("Action=X", "Action=X"); got.status != 200 || got.body != account+" sts arn:aws:iam::"+account+":root Action=X <nil> 36" {
		t.Errorf("signed: %d %s", got.status, got.body)
	}
	for name, c := range map[string]struct {
		got    reply
		status int
		want   string
	}{
		"another body":            {right("Action=X", "Action=Y"), 403, "<Code>SignatureDoesNotMatch</Code>"},
		"unknown key":             {g.do("POST", "/", "Action=X", "Authorization", as), 403, "<Code>InvalidClientTokenId</Code>"},
		"not signed":              {g.do("POST", "/", "Action=X", "Authorization", ""), 403, "<Code>MissingAuthenticationToken</Code>"},
		"half signed":             {g.do("POST", "/", "Action=X", "Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/x/sts/aws4_request"), 400, "<Code>IncompleteSignature</Code>"},
		"a JSON call":             {g.do("POST", "/", "{}", "Authorization", as, "X-Amz-Target", "Logs_20140328.X"), 403, `{"__type":"UnrecognizedClientException","message":"The security token`},
		"a body that is too long": {right("x", strings.Repeat("x", 1<<20+1)), 400, "<Code>RequestEntityTooLargeException</Code>"},
	} {
		if c.got.status != c.status || !strings.Contains(c.got.body, c.want) {
			t.Errorf("%s: %d %s", name, c.got.status, c.got.body)
		}
	}
}

func signedAs(account string) string {
	return "AWS4-HMAC-SHA256 Credential=" + account + "/20260101/" + region + "/lambda/aws4_request, SignedHeaders=host, Signature=0"
}

func TestUsersAreManagedByThoseWhoMay(t *testing.T) {
	g := newGuarded(t)
	home := g.user(kiln.DefaultAccount, "root")
	got := wants(t, "root of another account", home.do("POST", "/_kiln/v1/users?account="+account, `{"name":"root"}`), 201).members(t)
	key := got["keys"].([]any)[0].(map[string]any)
	root := signer{g, accounts.Credentials{AccessKeyID: key["accessKeyId"].(string), SecretAccessKey: key["secretAccessKey"].(string)}}
	wants(t, "list", root.do("GET", "/2015-03-31/functions", ""), 200)
	policy := quoted(`{"Statement":{"Effect":"Allow","Action":"lambda:List*","Resource":"*"}}`)
	made := wants(t, "user", root.do("POST", "/_kiln/v1/users", `{"name":"ann","policies":{"list":"`+policy+`"},"attached":["arn:aws:iam::aws:policy/service-role/AWSLambdaRole"]}`), 201)
	key = made.members(t)["keys"].([]any)[0].(map[string]any)
	secret := key["secretAccessKey"].(string)
	ann := signer{g, accounts.Credentials{AccessKeyID: key["accessKeyId"].(string), SecretAccessKey: secret}}
	wants(t, "ann lists", ann.do("GET", "/2015-03-31/functions", ""), 200)
	for name, r := range map[string]reply{"users": root.do("GET", "/_kiln/v1/users", ""), "user": root.do("GET", "/_kiln/v1/users/ann", "")} {
		wants(t, name, r, 200)
		if strings.Contains(r.body, secret) || !strings.Contains(r.body, ann.c.AccessKeyID) {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	for _, c := range []struct {
		who                        signer
		name, method, target, body string
		status                     int
	}{
		{ann, "ann makes users", "POST", "/_kiln/v1/users", `{"name":"bob"}`, 403},
		{ann, "ann reads users", "GET", "/_kiln/v1/users", "", 403},
		{ann, "ann gives herself more", "PUT", "/_kiln/v1/users/ann/policies/all", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, 403},
		{ann, "ann reads logs", "GET", "/_kiln/v1/logs?limit=1", "", 403},
		{root, "root of an account in another", "GET", "/_kiln/v1/users?account=" + kiln.DefaultAccount, "", 403},
		{root, "root of an account changes the server", "DELETE", "/_kiln/v1/runtimes/nodejs22.x", "", 403},
		{root, "root of an account sees all environments", "GET", "/_kiln/v1/environments", "", 403},
		{home, "the server's own does", "GET", "/_kiln/v1/runtimes", "", 200},
		{home, "the server's own reads any account", "GET", "/_kiln/v1/users?account=" + account, "", 200},
		{root, "a policy that is none", "PUT", "/_kiln/v1/users/ann/policies/x", "{}", 400},
		{root, "a user twice", "POST", "/_kiln/v1/users", `{"name":"ann"}`, 409},
		{root, "unknown members", "POST", "/_kiln/v1/users", `{"nam":"x"}`, 400},
		{root, "a user with a policy that is none", "POST", "/_kiln/v1/users", `{"name":"eve","policies":{"x":"{}"}}`, 400},
		{root, "a user with an unknown managed policy", "POST", "/_kiln/v1/users", `{"name":"eve","attached":["arn:aws:iam::aws:policy/None"]}`, 404},
		{root, "nothing was left of her", "GET", "/_kiln/v1/users/eve", "", 404},
		{root, "a key", "POST", "/_kiln/v1/users/ann/keys", "", 201},
		{root, "detach", "DELETE", "/_kiln/v1/users/ann/attached?arn=arn:aws:iam::aws:policy/service-role/AWSLambdaRole", "", 204},
		{root, "attach", "PUT", "/_kiln/v1/users/ann/attached?arn=arn:aws:iam::aws:policy/AdministratorAccess", "", 204},
		{ann, "ann may now", "GET", "/_kiln/v1/users", "", 200},
		{root, "no policy left", "DELETE", "/_kiln/v1/users/ann/policies/list", "", 204},
		{root, "her key goes", "DELETE", "/_kiln/v1/users/ann/keys/" + ann.c.AccessKeyID, "", 204},
		{ann, "ann is out", "GET", "/2015-03-31/functions", "", 403},
		{root, "ann goes", "DELETE", "/_kiln/v1/users/ann", "", 204},
		{root, "ann is gone", "DELETE", "/_kiln/v1/users/ann", "", 404},
		{home, "the last key", "DELETE", "/_kiln/v1/users/root/keys/" + home.c.AccessKeyID, "", 409},
		{home, "the last user", "DELETE", "/_kiln/v1/users/root", "", 409},
		{home, "nothing there", "POST", "/_kiln/v1/users/root/nothing", "", 404},
	} {
		if got := c.who.do(c.method, c.target, c.body); got.status != c.status {
			t.Errorf("%s: got %d %s, want %d", c.name, got.status, got.body, c.status)
		}
	}
	open := newPort(t)
	if got := open.do("GET", "/_kiln/v1/users", ""); got.status != 501 {
		t.Errorf("where nobody is asked: %d %s", got.status, got.body)
	}
}

// TestEveryOperationAsksForOnePermission goes over the whole model: with inputs that name
// something, no operation is about everything unless it is in this list.
func TestEveryOperationAsksForOnePermission(t *testing.T) {
	everything := map[string]bool{"ListFunctions": true, "ListLayers": true, "GetAccountSettings": true, "CreateEventSourceMapping": true, "ListEventSourceMappings": true,
		"CreateCodeSigningConfig": true, "ListCodeSigningConfigs": true, "ListCapacityProviders": true, "SendDurableExecutionCallbackFailure": true,
		"SendDurableExecutionCallbackHeartbeat": true, "SendDurableExecutionCallbackSuccess": true}
	seen, g := 0, newGuarded(t)
	typ := reflect.TypeFor[lambda.Service]()
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		in := reflect.New(m.Type.In(1).Elem())
		for j := range in.Elem().NumField() {
			f, name := in.Elem().Field(j), in.Elem().Type().Field(j).Name
			text := "thing"
			if strings.HasSuffix(name, "Arn") || name == "Resource" {
				text = "arn:aws:lambda:" + region + ":" + account + ":kind:thing"
			}
			switch {
			case f.Kind() == reflect.String:
				f.SetString(text)
			case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.String:
				f.Set(reflect.ValueOf(&text))
			}
		}
		action, resource := api.WishOf(g.Server, account, region, m.Name, in.Interface())
		if want := "lambda:" + m.Name; action != want && action != "lambda:InvokeFunction" && action != "lambda:GetLayerVersion" {
			t.Errorf("%s asks for %s", m.Name, action)
		}
		if (resource == "*") != everything[m.Name] {
			t.Errorf("%s is about %s", m.Name, resource)
		}
		seen++
	}
	if seen != 88 {
		t.Errorf("%d operations", seen)
	}
}
