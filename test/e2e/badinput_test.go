package e2e_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// refused tries to create a function and gives code and text of the refusal.
func refused(t testing.TB, c *lambda.Client, in *lambda.CreateFunctionInput) (code, message string) {
	t.Helper()
	_, err := c.CreateFunction(within(t, time.Minute), in)
	return apiError(t, err)
}

func input(name string, code []byte, set ...settings) *lambda.CreateFunctionInput {
	in := &lambda.CreateFunctionInput{
		FunctionName: aws.String(name), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Role: aws.String(role),
		Code: &types.FunctionCode{ZipFile: code},
	}
	for _, s := range set {
		s(in)
	}
	return in
}

func TestBadPackagesAreRefusedAndNothingIsLost(t *testing.T) {
	s := start(t)
	c := s.client()
	canary := filepath.Join(t.TempDir(), "canary")
	if err := os.WriteFile(canary, []byte("alive"), 0o644); err != nil {
		t.Fatal(err)
	}
	create(t, c, "neighbour", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: "def handler(e, c): return 1\n"}))
	good := zipOf(t, file{Name: "bootstrap", Text: "#!/bin/sh\n", Mode: 0o755})
	up := strings.Repeat("../", 20)
	for what, code := range map[string][]byte{
		"no zip at all":           []byte("this is not a zip"),
		"a zip cut in the middle": good[:len(good)/2],
		"a path upwards":          zipOf(t, file{Name: up + strings.TrimPrefix(canary, "/"), Text: "dead"}),
		"an absolute path":        zipOf(t, file{Name: canary, Text: "dead"}),
		"a symlink that escapes":  zipOf(t, file{Name: "link", Text: up + "etc", Mode: os.ModeSymlink | 0o777}, file{Name: "link/x", Text: "dead"}),
		"a bomb":                  bomb(t, 300<<20),
	} {
		code, message := refused(t, c, input("bad", code))
		if code != "InvalidParameterValueException" || message == "" {
			t.Errorf("%s: %s: %s", what, code, message)
		}
		if what == "a bomb" && message != "Unzipped size must be smaller than 262144000 bytes" {
			t.Errorf("%s: %s", what, message)
		}
		if (what == "no zip at all" || what == "a zip cut in the middle") && message != "Could not unzip uploaded file. Please check your file, then try to upload again." {
			t.Errorf("%s: %s", what, message)
		}
	}
	if _, err := c.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("bad")}); err == nil {
		t.Error("a refused function exists")
	}
	if text, err := os.ReadFile(canary); err != nil || string(text) != "alive" {
		t.Errorf("the canary: %q %v", text, err)
	}
	if got := answer(t, c, "neighbour", `{}`); got != "1" {
		t.Errorf("the neighbour: %s", got)
	}
}

// bomb is a zip of one file of zeros.
func bomb(t testing.TB, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("zeros")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBadSettingsAreRefusedWithTheTextsOfAWS(t *testing.T) {
	s := start(t)
	c := s.client()
	code := zipOf(t, file{Name: "bootstrap", Text: "#!/bin/sh\n", Mode: 0o755})
	for what, want := range map[string]struct {
		in            *lambda.CreateFunctionInput
		code, message string
	}{
		"memory too small": {input("f", code, memory(127)), "ValidationException", "1 validation error detected: Value '127' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128"},
		"timeout zero":     {input("f", code, timeout(0)), "ValidationException", "1 validation error detected: Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		"environment too big": {input("f", code, variables(map[string]string{"LARGE_VAR": strings.Repeat("x", 4096)})), "InvalidParameterValueException",
			`Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: {"LARGE_VAR":"` + strings.Repeat("x", 4096) + `"}`},
		"reserved variable": {input("f", code, variables(map[string]string{"AWS_REGION": "x"})), "InvalidParameterValueException",
			"Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION"},
	} {
		if gotCode, got := refused(t, c, want.in); gotCode != want.code || got != want.message {
			t.Errorf("%s: %s: %s", what, gotCode, got)
		}
	}
	for what, in := range map[string]*lambda.CreateFunctionInput{
		"memory too large":  input("f", code, memory(40000)),
		"timeout too large": input("f", code, timeout(6000)),
		"unknown runtime":   input("f", code, func(in *lambda.CreateFunctionInput) { in.Runtime = "cobol85" }),
		"role that is none": input("f", code, func(in *lambda.CreateFunctionInput) { in.Role = aws.String("r1") }),
		"no role's account": input("f", code, func(in *lambda.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::1:role/x") }),
		"a setting of later": input("f", code, func(in *lambda.CreateFunctionInput) {
			in.VpcConfig = &types.VpcConfig{SubnetIds: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}}
		}),
	} {
		if gotCode, got := refused(t, c, in); gotCode != "ValidationException" && gotCode != "InvalidParameterValueException" || got == "" {
			t.Errorf("%s: %s: %s", what, gotCode, got)
		}
	}
}

func TestCodeThatCannotStartIsNamedInTheAnswer(t *testing.T) {
	s := start(t)
	c := s.client()
	py := needPython(t)
	for name, f := range map[string]struct{ code, handler, kind, message string }{
		"syntax":    {"def handler(e, c)\n    return 1\n", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"},
		"noimport":  {"import not_there\ndef handler(e, c): return 1\n", "app.handler", "Runtime.ImportModuleError", "Unable to import module 'app': No module named 'not_there'"},
		"nohandler": {"x = 1\n", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"},
		"nomodule":  {"x = 1\n", "other.handler", "Runtime.ImportModuleError", "Unable to import module 'other': No module named 'other'"},
		"malformed": {"x = 1\n", "nodot", "Runtime.MalformedHandlerName", "Bad handler 'nodot'"},
	} {
		create(t, c, name, py, f.handler, zipOf(t, file{Name: "app.py", Text: f.code}))
		for call := 1; call <= 2; call++ {
			if kind, message := failure(t, c, name, `{}`); kind != f.kind || !strings.HasPrefix(message, f.message) {
				t.Errorf("%s, call %d: %s: %s", name, call, kind, message)
			}
		}
	}
	create(t, c, "nobootstrap", "provided.al2023", "x", zipOf(t, file{Name: "other", Text: "x"}))
	if kind, _ := failure(t, c, "nobootstrap", `{}`); kind != "Runtime.InvalidEntrypoint" {
		t.Errorf("a package without bootstrap: %s", kind)
	}
}

func TestRequestsThatAreNoRequestsAreRefused(t *testing.T) {
	s := start(t)
	c := s.client()
	create(t, c, "f", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: "def handler(e, c): return e\n"}))
	call := func(name, qualifier, payload string) (string, string) {
		in := &lambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte(payload)}
		if qualifier != "" {
			in.Qualifier = aws.String(qualifier)
		}
		_, err := c.Invoke(t.Context(), in)
		return apiError(t, err)
	}
	for what, got := range map[string][3]string{
		"unknown function":  {"absent", "", `{}`},
		"unknown version":   {"f", "42", `{}`},
		"unknown alias":     {"f", "prod", `{}`},
		"payload not JSON":  {"f", "", `{nope`},
		"payload not UTF-8": {"f", "", "\"\xff\""},
	} {
		code, message := call(got[0], got[1], got[2])
		want := "ResourceNotFoundException"
		if strings.HasPrefix(what, "payload") {
			want = "InvalidRequestContentException"
		}
		if code != want || message == "" {
			t.Errorf("%s: %s: %s", what, code, message)
		}
	}
	deep := strings.Repeat("[", 100000) + strings.Repeat("]", 100000)
	if out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte(deep)}); err == nil && out.FunctionError == nil {
		t.Logf("JSON of depth 100,000 passed through with %d bytes", len(out.Payload))
	}
	if got := answer(t, c, "f", `{"still":"here"}`); got != `{"still": "here"}` {
		t.Errorf("afterwards: %s", got)
	}

	for header, value := range map[string]string{"Origin": "https://example.com", "Sec-Fetch-Site": "cross-site", "Host": "evil.example.com"} {
		r, _ := http.NewRequest("GET", s.URL+"/2015-03-31/functions/", nil)
		r.Header.Set(header, value)
		if header == "Host" {
			r.Host = value
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s: status %s", header, value, resp.Status)
		}
	}
}

func TestAnUploadCutHalfWayLeavesNoFunctionAndNoGarbage(t *testing.T) {
	s := start(t)
	before := files(t, s.Data)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	body := `{"FunctionName":"half","Role":"` + role + `","Runtime":"provided.al2023","Handler":"x","Code":{"ZipFile":"` + strings.Repeat("QUFB", 100000)
	fmt.Fprintf(conn, "POST /2015-03-31/functions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", strings.TrimPrefix(s.URL, "http://"), len(body)+100000, body)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
		r.Body.Close()
		if r.StatusCode < 400 || r.StatusCode > 499 {
			t.Errorf("half an upload: %s", r.Status)
		}
	}
	conn.Close()
	if _, err := s.client().GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("half")}); err == nil {
		t.Error("half a function exists")
	}
	if after := files(t, s.Data); after != before {
		t.Errorf("%d files before, %d after", before, after)
	}
}

// files counts the blobs and packages below the data directory.
func files(t testing.TB, dir string) int {
	t.Helper()
	n := 0
	for _, sub := range []string{"blobs", "packages"} {
		_ = filepath.Walk(filepath.Join(dir, sub), func(p string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				n++
			}
			return nil // a folder that does not exist yet holds no file
		})
	}
	return n
}
