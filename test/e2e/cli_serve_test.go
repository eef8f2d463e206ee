package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTheCommandLineTakesAFunctionThroughItsLife(t *testing.T) {
	s := start(t)
	env := s.environ()
	dir := filepath.Join(t.TempDir(), "hello")
	step := func(want int, args ...string) (out, talk string) {
		t.Helper()
		code, out, talk := kiln(t, append(env, "KILN_REGION=eu-west-1", "KILN_ACCOUNT=111111111111"), args...)
		if code != want {
			t.Fatalf("kiln %q: got exit code %d, want %d\nstdout: %s\nstderr: %s", args, code, want, out, talk)
		}
		return out, talk
	}
	step(0, "init", dir, "--lang", "shell")
	if out, talk := step(0, "deploy", dir, "--memory", "256"); out != "arn:aws:lambda:eu-west-1:111111111111:function:hello\n" || !strings.Contains(talk, "hello: created (provided.al2023, bootstrap, 256 MB") {
		t.Errorf("deploy: %q %q", out, talk)
	}
	out, talk := step(0, "invoke", "hello", "--payload", "@"+filepath.Join(dir, "event.json"), "--log")
	if !strings.Contains(out, `"event": {"name": "Ada"}`) || !strings.Contains(talk, "REPORT RequestId: ") || !strings.Contains(talk, "Memory Size: 256 MB") {
		t.Errorf("invoke: %q %q", out, talk)
	}
	var answer struct{ RequestID string }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.RequestID == "" {
		t.Fatalf("the answer has no request id: %v %s", err, out)
	}
	if out, _ := step(0, "logs", "hello", "--request-id", answer.RequestID); !strings.Contains(out, `got {"name": "Ada"}`) || strings.Count(out, "REPORT ") != 1 {
		t.Errorf("logs: %q", out)
	}
	if _, talk := step(0, "deploy", dir); !strings.Contains(talk, "hello: nothing to change (provided.al2023, bootstrap, 256 MB") {
		t.Errorf("deploy again: %q", talk)
	}
	if _, talk := step(0, "deploy", dir, "--timeout", "7s", "--publish"); !strings.Contains(talk, "hello: new settings, version 1 (") {
		t.Errorf("deploy with another timeout: %q", talk)
	}
	var d struct {
		Configuration struct{ Timeout int }
		Versions      []struct{ Version string }
	}
	if out, _ := step(0, "describe", "hello", "-o", "json"); json.Unmarshal([]byte(out), &d) != nil || d.Configuration.Timeout != 7 || len(d.Versions) != 2 {
		t.Errorf("describe: %s", out)
	}
	if out, _ := step(0, "ls"); !strings.Contains(out, "\nhello  provided.al2023  bootstrap  256 MB  7 s") {
		t.Errorf("ls: %q", out)
	}
	if out, _ := step(0, "doctor", "--endpoint-url", s.URL); !strings.Contains(out, "freezing") {
		t.Errorf("doctor: %q", out)
	}
	if out, _ := step(0, "rm", "hello"); out != "hello\n" {
		t.Errorf("rm: %q", out)
	}
	if _, talk := step(3, "invoke", "hello"); !strings.Contains(talk, "no function hello in account 111111111111, region eu-west-1") {
		t.Errorf("invoke of what is gone: %q", talk)
	}
}

func TestLogsFollowsWhatIsWrittenUntilCtrlC(t *testing.T) {
	s := start(t)
	env := s.environ()
	dir := write(t, map[string]string{"bootstrap": sleeper})
	if code, _, talk := kiln(t, env, "deploy", dir, "--name", "sleeper"); code != 0 {
		t.Fatal(talk)
	}
	c := begin(t, "", env, "logs", "sleeper", "-f")
	eventually(t, time.Minute, "a line of the function arrives", func() bool {
		if code, out, talk := kiln(t, env, "invoke", "sleeper", "--payload", "0"); code != 0 || out != "0\n" {
			t.Fatalf("invoke: %d %q %s", code, out, talk)
		}
		out, _ := c.said()
		return strings.Contains(out, " sleeping\n")
	})
	c.signal(t, syscall.SIGINT)
	if code := c.end(t, 10*time.Second); code != 0 {
		_, talk := c.said()
		t.Errorf("got exit code %d: %s", code, talk)
	}
}

func TestASignalLetsInvocationsEndAndASecondDoesNot(t *testing.T) {
	for name, tt := range map[string]struct {
		sleep   string
		signals int
		code    int
	}{"one": {"3", 1, 0}, "two": {"600", 2, 3}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, "--drain-timeout", "60s")
			env := s.environ()
			dir := write(t, map[string]string{"bootstrap": sleeper})
			if code, _, talk := kiln(t, env, "deploy", dir, "--name", "sleeper", "--timeout", "900s"); code != 0 {
				t.Fatal(talk)
			}
			call := begin(t, "", env, "invoke", "sleeper", "--payload", tt.sleep)
			eventually(t, time.Minute, "the function sleeps", func() bool {
				_, out, _ := kiln(t, env, "logs", "sleeper")
				return strings.Contains(out, " sleeping\n")
			})
			for n := range tt.signals {
				if n > 0 {
					eventually(t, time.Minute, "the first signal was seen", func() bool { return strings.Contains(s.said(), "Stopping:") })
				}
				if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-s.done:
			case <-time.After(40 * time.Second):
				t.Fatalf("the server goes on\n%s", s.said())
			}
			if code := s.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("the server: got exit code %d\n%s", code, s.said())
			}
			if code := call.end(t, 10*time.Second); code != tt.code {
				out, talk := call.said()
				t.Errorf("the call: got %d %q, want %d\nstderr: %s", code, out, tt.code, talk)
			}
		})
	}
}

func TestTheStatusPageHasAListenerOfItsOwn(t *testing.T) {
	s := start(t, "--console", "127.0.0.1:0")
	var holder struct{ Console string }
	text, err := os.ReadFile(filepath.Join(s.Data, "kiln.lock"))
	if err != nil || json.Unmarshal(text, &holder) != nil || holder.Console == "" {
		t.Fatalf("the server does not say where its status page is: %v %s", err, text)
	}
	get := func(url, host string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(within(t, time.Minute), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, body := get(holder.Console+"/", ""); status != 200 || !strings.Contains(body, s.URL) {
		t.Errorf("the page: got %d %q, want one that names the API", status, body)
	}
	if status, _ := get(holder.Console+"/", "evil.example"); status != 403 {
		t.Errorf("for another host: got %d, want 403", status)
	}
	if status, _ := get(holder.Console+"/2015-03-31/functions", ""); status != 404 {
		t.Errorf("the API on the console's listener: got %d, want 404", status)
	}
	if status, _ := get(s.URL+"/status.json", ""); status == 200 {
		t.Error("the API's listener serves the console")
	}
}

func TestAnAddressThatIsTakenIsSaidInOneLine(t *testing.T) {
	needRoot(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	code, out, talk := kiln(t, nil, "serve", "--listen", l.Addr().String(), "--console", "off", "--data-dir", t.TempDir())
	if code != 3 || out != "" || strings.Count(talk, "\n") != 1 || !strings.Contains(talk, l.Addr().String()+" is in use") || !strings.Contains(talk, "--listen") {
		t.Errorf("got %d %q %q", code, out, talk)
	}
}

func TestWithoutRootAndUserNamespacesServeSaysWhatToDo(t *testing.T) {
	needRoot(t) // to take user namespaces away from a process, and to become somebody else
	serve := []string{binary, "serve", "--listen", "127.0.0.1:0", "--console", "off", "--data-dir", homeOf(t, somebody)}
	cmd := exec.Command("sh", append([]string{"-c", `echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"`, "sh"}, serve...)...)
	everybody := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: everybody, GidMappings: everybody, GidMappingsEnableSetgroups: true}
	out, err := cmd.CombinedOutput()
	talk := string(out)
	if err == nil || cmd.ProcessState.ExitCode() != 3 || strings.Count(talk, "\n") != 1 || !strings.Contains(talk, "user namespace") || !strings.Contains(talk, "sudo") || !strings.Contains(talk, "--sandbox process") {
		t.Errorf("got %v %q", err, talk)
	}
}

func TestARenewedCertificateIsServedWithoutARestart(t *testing.T) {
	needRoot(t)
	dir, data := t.TempDir(), t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certificate(t, cert, key, 1)
	c := begin(t, "", nil, "serve", "--listen", "127.0.0.1:0", "--console", "off", "--data-dir", data, "--tls-cert", cert, "--tls-key", key)
	t.Cleanup(func() { c.signal(t, syscall.SIGTERM); c.end(t, time.Minute); assertNothingLeft(t, data) })
	var url string
	eventually(t, time.Minute, "the server is ready", func() bool {
		url = endpoint(data, c.cmd.Process.Pid)
		_, talk := c.said()
		return url != "" && strings.Contains(talk, "is ready")
	})
	address, ok := strings.CutPrefix(url, "https://")
	if !ok {
		t.Fatalf("the server is at %s, want https", url)
	}
	serial := func() int64 {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("got certificate %d, want 1", got)
	}
	code, _, talk := kiln(t, []string{"KILN_ENDPOINT=" + url, "SSL_CERT_FILE=" + cert}, "ls")
	if code != 0 {
		t.Errorf("with the authority named: %d %s", code, talk)
	}
	if code, _, talk := kiln(t, []string{"KILN_ENDPOINT=" + url}, "ls"); code != 3 || !strings.Contains(talk, "SSL_CERT_FILE") {
		t.Errorf("without: %d %s", code, talk)
	}
	certificate(t, cert, key, 2)
	eventually(t, 30*time.Second, "the new certificate is served", func() bool { return serial() == 2 })
	if err := os.WriteFile(cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the server says that the files are broken", func() bool {
		if got := serial(); got != 2 {
			t.Fatalf("got certificate %d while the new one is broken, want 2", got)
		}
		_, talk := c.said()
		return strings.Contains(talk, "cannot be read")
	})
}

func TestQuickstartDeploysCallsAndFollowsUntilCtrlC(t *testing.T) {
	needRoot(t)
	examples, data := t.TempDir(), t.TempDir()
	for _, language := range []string{"go", "shell"} {
		if code, _, talk := kiln(t, nil, "init", filepath.Join(examples, "hello-"+language), "--lang", language); code != 0 {
			t.Fatal(talk)
		}
	}
	quickstart := func() *commandLine {
		c := begin(t, "", nil, "quickstart", examples, "--listen", "127.0.0.1:0", "--console", "off", "--data-dir", data)
		eventually(t, 2*time.Minute, "the tour is over", func() bool {
			select {
			case <-c.done:
				_, talk := c.said()
				t.Fatalf("it ended: %s", talk)
			default:
			}
			_, talk := c.said()
			return strings.Contains(talk, "The log follows")
		})
		return c
	}
	leave := func(c *commandLine) {
		c.signal(t, syscall.SIGINT)
		if code := c.end(t, time.Minute); code != 0 {
			_, talk := c.said()
			t.Errorf("got exit code %d\n%s", code, talk)
		}
		assertNothingLeft(t, data)
	}

	c := quickstart()
	out, talk := c.said()
	url := endpoint(data, c.cmd.Process.Pid)
	if !strings.Contains(out, `"message":"Hello, Ada!"`) {
		t.Errorf("stdout is %q, want the answer of the Go function", out)
	}
	for _, part := range []string{"hello-go: created", "hello-shell: created", "REPORT RequestId: ", "aws --endpoint-url " + url, "invoke hello-go --payload '{\"name\":\"Ada\"}' --endpoint-url " + url} {
		if !strings.Contains(talk, part) {
			t.Errorf("stderr is %q, want it to say %q", talk, part)
		}
	}
	if code, _, talk := kiln(t, []string{"KILN_ENDPOINT=" + url}, "invoke", "hello-shell"); code != 0 {
		t.Errorf("a call while it runs: %d %s", code, talk)
	}
	eventually(t, 30*time.Second, "the call is in the live log", func() bool {
		out, _ := c.said()
		return strings.Contains(out, "hello-shell  REPORT RequestId: ")
	})
	leave(c)

	c = quickstart()
	if _, talk := c.said(); !strings.Contains(talk, "hello-go: there already") || strings.Contains(talk, "created") {
		t.Errorf("a second time: %s", talk)
	}
	leave(c)
}

// certificate writes a certificate of its own authority for 127.0.0.1.
func certificate(t testing.TB, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{key: {Type: "EC PRIVATE KEY", Bytes: secret}, cert: {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
