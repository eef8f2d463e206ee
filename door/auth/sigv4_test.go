package auth_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/policy"
)

const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// noon is when the gate of these tests is asked.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// ring is a gate's keys: one of a user and one of a session.
type ring struct{}

func (ring) Key(id, token string) (auth.Key, error) {
	caller := &auth.Caller{Principal: policy.Principal{ARN: "arn:aws:iam::111111111111:user/u", Account: "111111111111", Type: "User"}}
	switch {
	case id == keyID && token == "":
		return auth.Key{Secret: secret, Caller: caller}, nil
	case id == "ASIASESSION" && token == "token/+=":
		return auth.Key{Secret: secret, Caller: caller}, nil
	case id == "ASIASESSION" && token == "old":
		return auth.Key{}, auth.ErrExpired
	}
	return auth.Key{}, auth.ErrUnknownKey
}

func verifier(t testing.TB) *auth.Gate {
	t.Helper()
	g, err := auth.New(auth.Options{Keys: ring{}, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// draft is a request that AWS's own signer signs.
type draft struct {
	method, url, body string
	headers           []string // pairs
	key, token        string
	region, service   string
	at                time.Time
	hash              string // "" is that of the body
	expires           string // of a presigned URL; "" is signed in the header
}

// signed gives the request as a server reads it.
func (d draft) signed(t testing.TB) *http.Request {
	t.Helper()
	out, err := http.NewRequest(d.method, d.url, strings.NewReader(d.body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(d.headers); i += 2 {
		out.Header.Add(d.headers[i], d.headers[i+1])
	}
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	hash, at := d.hash, d.at
	if hash == "" {
		sum := sha256.Sum256([]byte(d.body))
		hash = hex.EncodeToString(sum[:])
	}
	if at.IsZero() {
		at = noon
	}
	creds := aws.Credentials{AccessKeyID: or(d.key, keyID), SecretAccessKey: secret, SessionToken: d.token}
	signer := v4.NewSigner()
	if d.expires == "" {
		err = signer.SignHTTP(t.Context(), creds, out, hash, or(d.service, "lambda"), or(d.region, "eu-west-1"), at)
	} else {
		q := out.URL.Query()
		q.Set("X-Amz-Expires", d.expires)
		out.URL.RawQuery = q.Encode()
		var target string
		var with http.Header
		if target, with, err = signer.PresignHTTP(t.Context(), creds, out, hash, or(d.service, "lambda"), or(d.region, "eu-west-1"), at); err == nil {
			out, err = http.NewRequest(d.method, target, strings.NewReader(d.body))
			for name, values := range with {
				if name != "Host" {
					out.Header[name] = values
				}
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return arrive(t, out)
}

// arrive sends a request to a server and gives it as that reads it.
func arrive(t testing.TB, out *http.Request) *http.Request {
	t.Helper()
	in := httptest.NewRequest(out.Method, out.URL.RequestURI(), out.Body)
	in.Host, in.Header, in.ContentLength = out.URL.Host, out.Header, out.ContentLength
	if out.ContentLength == 0 {
		in.Body = http.NoBody
	}
	return in
}

// admit lets the gate judge a request, head and body.
func admit(t testing.TB, g *auth.Gate, r *http.Request) (auth.Identity, error) {
	t.Helper()
	who, seal, err := g.Verify(r, "lambda")
	if err != nil {
		return who, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return who, seal.Check(sha256.Sum256(body))
}

const somewhere = "http://localhost:4566/2015-03-31/functions/f/invocations"

func TestWhatAWSClientsSignIsLetIn(t *testing.T) {
	g := verifier(t)
	for _, c := range []struct {
		name string
		draft
	}{
		{"no body", draft{method: "GET", url: "http://localhost:4566/2015-03-31/functions/"}},
		{"a body", draft{method: "POST", url: somewhere, body: `{"a":1}`}},
		{"headers", draft{method: "POST", url: somewhere, body: "{}", headers: []string{"X-Amz-Invocation-Type", "RequestResponse", "Content-Type", "application/json", "X-Amz-Log-Type", "  Tail   of  it "}}},
		{"a header twice", draft{method: "GET", url: somewhere, headers: []string{"X-Amz-Meta", "b", "X-Amz-Meta", "a"}}},
		{"a query", draft{method: "GET", url: "http://localhost/2015-03-31/functions?Marker=a%2Fb%3D&MaxItems=3&FunctionVersion=ALL&Empty=&Alone"}},
		{"a value twice", draft{method: "GET", url: "http://localhost/?a=2&a=1&A=3"}},
		{"spaces in the query", draft{method: "GET", url: "http://localhost/?a=b%20c&d=e+f&g=%2B"}},
		{"Unicode", draft{method: "GET", url: "http://localhost/2015-03-31/functions/%C3%A9?n=%E2%82%AC"}},
		{"an ARN with escaped colons", draft{method: "GET", url: "http://localhost/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A111111111111%3Afunction%3Af"}},
		{"an ARN with colons", draft{method: "GET", url: "http://localhost/2015-03-31/functions/arn:aws:lambda:eu-west-1:111111111111:function:f:$LATEST"}},
		{"a slash that is escaped", draft{method: "GET", url: "http://localhost/2026-07-09/resource-policy/arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"}},
		{"escaped twice", draft{method: "GET", url: "http://localhost/2015-03-31/functions/a%2520b"}},
		{"a path with signs", draft{method: "GET", url: "http://localhost/a!b*c'(d)~e"}},
		{"a session", draft{method: "GET", url: somewhere, key: "ASIASESSION", token: "token/+="}},
		{"another port", draft{method: "GET", url: "http://kiln.example.com/"}},
		{"another region", draft{method: "GET", url: somewhere, region: "us-west-2"}},
		{"a body that is not signed", draft{method: "POST", url: somewhere, body: "{}", hash: "UNSIGNED-PAYLOAD", headers: []string{"X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"}}},
		{"a body whose digest is told", draft{method: "POST", url: somewhere, body: "{}", headers: []string{"X-Amz-Content-Sha256", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}},
		{"14 minutes late", draft{method: "GET", url: somewhere, at: noon.Add(-14 * time.Minute)}},
		{"14 minutes early", draft{method: "GET", url: somewhere, at: noon.Add(14 * time.Minute)}},
		{"presigned", draft{method: "GET", url: somewhere + "?Qualifier=1", expires: "60"}},
		{"presigned long ago", draft{method: "GET", url: somewhere, expires: "86400", at: noon.Add(-23 * time.Hour)}},
		{"presigned with a body", draft{method: "POST", url: somewhere, body: "{}", expires: "60"}},
		{"presigned by a session", draft{method: "GET", url: somewhere, expires: "60", key: "ASIASESSION", token: "token/+="}},
		{"presigned with a header", draft{method: "GET", url: somewhere, expires: "60", headers: []string{"X-Amz-Log-Type", "Tail"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.signed(t)
			got, err := admit(t, g, r)
			if err != nil {
				t.Fatalf("%v\n%s %s %v", err, r.Method, r.RequestURI, r.Header)
			}
			region := c.region
			if region == "" {
				region = "eu-west-1"
			}
			if want := (kiln.Scope{Account: "111111111111", Region: region}); got.Scope != want || got.Principal != "arn:aws:iam::111111111111:user/u" || got.Caller == nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestWhatIsNotRightIsRefusedAsAWSWordsIt(t *testing.T) {
	g := verifier(t)
	const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	good := draft{method: "POST", url: somewhere + "?Qualifier=1", body: `{"a":1}`, headers: []string{"X-Amz-Log-Type", "Tail"}}
	change := func(d draft, f func(*http.Request)) *http.Request {
		r := d.signed(t)
		f(r)
		return r
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	inAuthorization := func(old, next string) func(*http.Request) {
		return func(r *http.Request) {
			h := r.Header.Get("Authorization")
			if !strings.Contains(h, old) {
				t.Fatalf("%s is not in %s", old, h)
			}
			r.Header.Set("Authorization", strings.Replace(h, old, next, 1))
		}
	}
	with := func(f func(*draft)) draft { d := good; f(&d); return d }
	get := draft{method: "GET", url: somewhere}
	for _, c := range []struct {
		name     string
		r        *http.Request
		kind     string
		text     string
		contains bool
	}{
		{"not signed", httptest.NewRequest("GET", "/2015-03-31/functions", nil), "MissingAuthenticationTokenException", "Missing Authentication Token", false},
		{"unknown key", with(func(d *draft) { d.key = "AKIAOTHER" }).signed(t), "UnrecognizedClientException", "The security token included in the request is invalid.", false},
		{"an account number for a key", with(func(d *draft) { d.key = "111111111111" }).signed(t), "UnrecognizedClientException", "The security token included in the request is invalid.", false},
		{"a session without its token", with(func(d *draft) { d.key = "ASIASESSION" }).signed(t), "UnrecognizedClientException", "The security token included in the request is invalid.", false},
		{"a token of another session", with(func(d *draft) { d.key, d.token = "ASIASESSION", "x" }).signed(t), "UnrecognizedClientException", "The security token included in the request is invalid.", false},
		{"a token where there is none", with(func(d *draft) { d.token = "x" }).signed(t), "UnrecognizedClientException", "The security token included in the request is invalid.", false},
		{"a session that is over", with(func(d *draft) { d.key, d.token = "ASIASESSION", "old" }).signed(t), "ExpiredTokenException", "The security token included in the request is expired", false},
		{"another service", with(func(d *draft) { d.service = "s3" }).signed(t), "InvalidSignatureException", "Credential should be scoped to correct service: 'lambda'.", false},
		{"another region in the scope", change(good, inAuthorization("eu-west-1", "eu-west-2")), "InvalidSignatureException", mismatch, false},
		{"a wrong signature", change(good, inAuthorization("Signature=", "Signature=0")), "InvalidSignatureException", mismatch, false},
		{"an upper-case signature", change(good, func(r *http.Request) {
			h := r.Header.Get("Authorization")
			i := strings.Index(h, "Signature=") + len("Signature=")
			r.Header.Set("Authorization", h[:i]+strings.ToUpper(h[i:]))
		}), "InvalidSignatureException", mismatch, false},
		{"another method", change(good, func(r *http.Request) { r.Method = "PUT" }), "InvalidSignatureException", mismatch, false},
		{"another path", change(good, func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "/f/", "/g/", 1) }), "InvalidSignatureException", mismatch, false},
		{"an escaped slash for a slash", change(good, func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "/f/", "/f%2F", 1) }), "InvalidSignatureException", mismatch, false},
		{"another query", change(good, func(r *http.Request) { r.URL.RawQuery = "Qualifier=2" }), "InvalidSignatureException", mismatch, false},
		{"more in the query", change(good, func(r *http.Request) { r.URL.RawQuery += "&DryRun=1" }), "InvalidSignatureException", mismatch, false},
		{"another host", change(good, func(r *http.Request) { r.Host = "127.0.0.1:4566" }), "InvalidSignatureException", mismatch, false},
		{"another body", change(good, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"a":2}`)) }), "InvalidSignatureException", mismatch, false},
		{"another signed header", change(good, header("X-Amz-Log-Type", "None")), "InvalidSignatureException", mismatch, false},
		{"a header that is not signed", change(good, header("X-Amz-Invocation-Type", "Event")), "InvalidSignatureException", "There were headers present in the request which were not signed: x-amz-invocation-type", false},
		{"a header less", change(good, inAuthorization("host;", "")), "InvalidSignatureException", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.", false},
		{"a digest of something else", change(draft{method: "POST", url: somewhere, body: "{}", hash: strings.Repeat("0", 64), headers: []string{"X-Amz-Content-Sha256", strings.Repeat("0", 64)}}, func(*http.Request) {}), "InvalidSignatureException", "The value of the header x-amz-content-sha256 is not the SHA-256 of the body that was sent.", false},
		{"a digest that is none", draft{method: "POST", url: somewhere, body: "{}", hash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", headers: []string{"X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}}.signed(t), "InvalidSignatureException", "neither a SHA-256", true},
		{"an unsigned body made of a signed one", change(good, header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")), "InvalidSignatureException", "which were not signed", true},

		{"16 minutes late", draft{method: "GET", url: somewhere, at: noon.Add(-16 * time.Minute)}.signed(t), "InvalidSignatureException",
			"Signature expired: 20261124T114400Z is now earlier than 20261124T114500Z (20261124T120000Z - 15 min.)", false},
		{"16 minutes early", draft{method: "GET", url: somewhere, at: noon.Add(16 * time.Minute)}.signed(t), "InvalidSignatureException",
			"Signature not yet current: 20261124T121600Z is still later than 20261124T121500Z (20261124T120000Z + 15 min.)", false},
		{"an hour late", draft{method: "GET", url: somewhere, at: noon.Add(-time.Hour)}.signed(t), "InvalidSignatureException", "Signature expired: ", true},
		{"a year late", draft{method: "GET", url: somewhere, at: noon.AddDate(-1, 0, 0)}.signed(t), "InvalidSignatureException", "Signature expired: ", true},
		{"yesterday's scope", change(get, inAuthorization("/20261124/", "/20261123/")), "InvalidSignatureException",
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20261123' != '20261124', from '20261124T120000Z'.", false},
		{"no date", change(get, func(r *http.Request) { r.Header.Del("X-Amz-Date") }), "IncompleteSignatureException", "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.", true},
		{"a date of another form", change(get, header("X-Amz-Date", "2026-11-24")), "IncompleteSignatureException", "Date must be in ISO-8601 'basic format'. Got '2026-11-24'.", true},
		{"the header Date, not signed", change(get, func(r *http.Request) {
			r.Header.Del("X-Amz-Date")
			r.Header.Set("Date", noon.Format(http.TimeFormat))
			inAuthorization("host;x-amz-date", "host")(r)
		}), "InvalidSignatureException", "'Date' must be a 'SignedHeader' in the AWS Authorization.", false},

		{"presigned, over", draft{method: "GET", url: somewhere, expires: "60", at: noon.Add(-61 * time.Second)}.signed(t), "InvalidSignatureException",
			"Signature expired: 20261124T115859Z is now earlier than 20261124T115900Z (20261124T120000Z - 1 min.)", false},
		{"presigned for more than a week", draft{method: "GET", url: somewhere, expires: "604801"}.signed(t), "IncompleteSignatureException", "X-Amz-Expires must be", true},
		{"presigned for less than nothing", draft{method: "GET", url: somewhere, expires: "-1"}.signed(t), "IncompleteSignatureException", "X-Amz-Expires must be", true},
		{"presigned for longer than was signed", change(draft{method: "GET", url: somewhere, expires: "60"}, func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "X-Amz-Expires=60", "X-Amz-Expires=6000", 1)
		}), "InvalidSignatureException", mismatch, false},
		{"presigned, with a header more", change(draft{method: "GET", url: somewhere, expires: "60"}, header("X-Amz-Log-Type", "Tail")), "InvalidSignatureException", "which were not signed", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := admit(t, g, c.r)
			if err == nil {
				t.Fatalf("let in as %+v", got)
			}
			refused(t, c.name, err, c.kind, c.text)
			if !c.contains && err.Error() != c.text {
				t.Errorf("got  %q\nwant %q", err, c.text)
			}
		})
	}
}

func TestASignatureOverTheHeaderDateIsEnough(t *testing.T) {
	// The signer of AWS always sends X-Amz-Date; older clients do not. Signed by hand.
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "localhost"
	r.Header.Set("Date", noon.Format(http.TimeFormat))
	hash := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	scope := "20261124/eu-west-1/lambda/aws4_request"
	key := []byte("AWS4" + secret)
	for _, part := range append(strings.Split(scope, "/"), "AWS4-HMAC-SHA256\n20261124T120000Z\n"+scope+"\n"+
		hash("GET\n/\n\ndate:"+r.Header.Get("Date")+"\nhost:localhost\n\ndate;host\n"+hash(""))) {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(part))
		key = m.Sum(nil)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keyID+"/"+scope+", SignedHeaders=date;host, Signature="+hex.EncodeToString(key))
	if _, err := admit(t, verifier(t), r); err != nil {
		t.Error(err)
	}
}

// FuzzEveryRequestThatAWSSignsIsLetIn holds the verifier against AWS's own signer, and
// against itself: the same request with one byte of what was signed changed is refused.
func FuzzEveryRequestThatAWSSignsIsLetIn(f *testing.F) {
	f.Add("POST", "/2015-03-31/functions/a%2Fb/invocations", "Qualifier", "a+b %", "Tail", []byte("{}"), false)
	f.Add("GET", "/x%2520y//z/../é", "a", "", " a  b ", []byte(nil), true)
	f.Add("DELETE", "/", "~", "%2B", "\t", []byte("\x00"), true)
	g := verifier(f)
	f.Fuzz(func(t *testing.T, method, path, key, value, header string, body []byte, presign bool) {
		u, err := url.Parse("http://localhost" + path)
		if err != nil || u.Host != "localhost" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(path, "#?") || !strings.HasPrefix(path, "/") ||
			method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || strings.HasPrefix(key, "X") ||
			strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r > '~' }) {
			return
		}
		if u.EscapedPath() != path { // the signer signs another path than the client sends
			return
		}
		d := draft{method: method, url: u.String() + "?" + url.Values{key: {value}}.Encode(), body: string(body), headers: []string{"X-Amz-Test", header}}
		if presign {
			d.expires = "60"
		}
		r := d.signed(t)
		if !presign { // a presigned URL has it in its query
			r.Header.Set("X-Amz-Test", strings.TrimSpace(header)) // as every server reads it
		}
		if _, err := admit(t, g, r); err != nil {
			t.Fatalf("%v\n%s %s %v %q", err, method, r.RequestURI, r.Header, body)
		}
		other := d.signed(t)
		other.Header.Set("X-Amz-Test", strings.TrimSpace(header)+"x")
		if _, err := admit(t, g, other); err == nil {
			t.Errorf("a changed header of %s %s is let in", method, d.url)
		}
		longer := d.signed(t)
		longer.Body = io.NopCloser(bytes.NewReader(append(body, 'x')))
		if _, err := admit(t, g, longer); err == nil {
			t.Errorf("a changed body of %s %s is let in", method, d.url)
		}
	})
}

// FuzzASignatureThatNobodyMadeIsRefused gives the verifier anything at all.
func FuzzASignatureThatNobodyMadeIsRefused(f *testing.F) {
	f.Add(wellKnown, "20261124T120000Z", "a=b&X-Amz-Signature=", "")
	f.Add("", "", "X-Amz-Credential="+keyID+"/20261124/eu-west-1/lambda/aws4_request&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-SignedHeaders=host&X-Amz-Signature=00&X-Amz-Date=20261124T120000Z&X-Amz-Expires=9", "UNSIGNED-PAYLOAD")
	g := verifier(f)
	f.Fuzz(func(t *testing.T, authorization, date, query, digest string) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{}, Body: http.NoBody}
		for name, value := range map[string]string{"Authorization": authorization, "X-Amz-Date": date, "X-Amz-Content-Sha256": digest} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		if who, err := admit(t, g, r); err == nil {
			t.Errorf("let in as %+v", who)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	g := verifier(b)
	for _, size := range []int{2, 1 << 20} {
		b.Run(fmt.Sprintf("body of %d bytes", size), func(b *testing.B) {
			body := strings.Repeat("x", size)
			d := draft{method: "POST", url: somewhere + "?Qualifier=live", body: body, headers: []string{"X-Amz-Invocation-Type", "RequestResponse", "Content-Type", "application/json"}}
			r := d.signed(b)
			sum := sha256.Sum256([]byte(body))
			b.ReportAllocs()
			for b.Loop() {
				_, seal, err := g.Verify(r, "lambda")
				if err == nil {
					err = seal.Check(sum)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
