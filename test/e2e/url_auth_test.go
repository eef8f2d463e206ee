package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"regexp"
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

// rootOf reads the root credentials that a server with auth on shows once.
func rootOf(t testing.TB, s *server) aws.Credentials {
	t.Helper()
	shown := regexp.MustCompile(`AWS_ACCESS_KEY_ID=(\S+)\n\s*AWS_SECRET_ACCESS_KEY=(\S+)\n`)
	var key []string
	harness.Eventually(t, 20*time.Second, "the server shows its first key", func() bool {
		key = shown.FindStringSubmatch(s.Said())
		return key != nil
	})
	return aws.Credentials{AccessKeyID: key[1], SecretAccessKey: key[2]}
}

// signed sends a request to a function URL with a signature for body, and with the body
// sent in its place.
func signed(t testing.TB, s *server, key aws.Credentials, address, body, sent string) page {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(within(t, time.Minute), "POST", s.URL+"/a%20b?x=1", strings.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = u.Host
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), key, r, hex.EncodeToString(sum[:]), "lambda", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return page{resp.StatusCode, resp.Header, string(text), err != nil}
}

func TestWhereSignaturesAreCheckedAFunctionURLLetsInWhomItsPolicyNames(t *testing.T) {
	s := start(t, "--auth", "on")
	key := rootOf(t, s)
	c := lambda.New(lambda.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL), Credentials: credentials.StaticCredentialsProvider{Value: key}})
	ctx := within(t, 2*time.Minute)
	create(t, c, "echo", needNode(t), "stream.echo", streamCode(t), func(in *lambda.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::000000000000:role/kiln") })
	made, err := c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("echo"), AuthType: types.FunctionUrlAuthTypeNone})
	if err != nil {
		t.Fatal(err)
	}
	address := aws.ToString(made.FunctionUrl)
	if got := visit(t, s, address, "GET", "/", ""); got.status != 403 || got.body != `{"Message":"Forbidden"}` {
		t.Errorf("without a policy: got %d %s", got.status, got.body)
	}
	for _, in := range []*lambda.AddPermissionInput{
		{StatementId: aws.String("url"), Action: aws.String("lambda:InvokeFunctionUrl"), FunctionUrlAuthType: types.FunctionUrlAuthTypeNone},
		{StatementId: aws.String("call"), Action: aws.String("lambda:InvokeFunction"), InvokedViaFunctionUrl: aws.Bool(true)},
	} {
		if got := visit(t, s, address, "GET", "/", ""); got.status != 403 {
			t.Errorf("before %s: got %d", *in.StatementId, got.status)
		}
		in.FunctionName, in.Principal = aws.String("echo"), aws.String("*")
		if _, err := c.AddPermission(ctx, in); err != nil {
			t.Fatal(err)
		}
	}
	if got := visit(t, s, address, "GET", "/", ""); got.status != 200 || !strings.Contains(got.body, `"accountId":"anonymous"`) {
		t.Errorf("with a policy: got %d %s", got.status, got.body)
	}

	if _, err := c.UpdateFunctionUrlConfig(ctx, &lambda.UpdateFunctionUrlConfigInput{FunctionName: aws.String("echo"), AuthType: types.FunctionUrlAuthTypeAwsIam}); err != nil {
		t.Fatal(err)
	}
	if got := visit(t, s, address, "GET", "/", ""); got.status != 403 {
		t.Errorf("unsigned: got %d %s", got.status, got.body)
	}
	if got := signed(t, s, key, address, "the body", "the body"); got.status != 200 || !strings.Contains(got.body, `"accessKey":"`+key.AccessKeyID+`"`) {
		t.Errorf("signed: got %d %s", got.status, got.body)
	}
	if got := signed(t, s, key, address, "the body", "another!"); got.status != 403 {
		t.Errorf("with another body: got %d %s", got.status, got.body)
	}
	if got := signed(t, s, aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: "wrong"}, address, "x", "x"); got.status != 403 {
		t.Errorf("with another secret: got %d %s", got.status, got.body)
	}
}
