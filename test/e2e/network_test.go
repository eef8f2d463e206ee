package e2e_test

import (
	"bufio"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"golang.org/x/sys/unix"

	"kiln/test/harness"
)

// outsider is a Python function that looks for what it can reach.
type outsider struct {
	client *lambda.Client
	name   string
}

// newOutsider makes one.
func newOutsider(t testing.TB, s *harness.Server, name string, ca []byte, set ...settings) outsider {
	t.Helper()
	text, err := os.ReadFile("testdata/outside.py")
	if err != nil {
		t.Fatal(err)
	}
	o := outsider{s.Client(), name}
	harness.Create(t, o.client, name, needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: string(text)}, file{Name: "ca.pem", Text: string(ca)}), append(set, memory(256))...)
	return o
}

// ask calls it and reads its answer.
func (o outsider) ask(t testing.TB, event map[string]any, into any) {
	t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	if text := harness.Answer(t, o.client, o.name, string(payload)); json.Unmarshal([]byte(text), into) != nil {
		t.Fatalf("%s answered %s", payload, text)
	}
}

// reach says of each address whether something answers there.
func (o outsider) reach(t testing.TB, addresses ...string) (found map[string]string) {
	t.Helper()
	o.ask(t, map[string]any{"do": "reach", "addresses": addresses}, &found)
	if len(found) != len(addresses) {
		t.Errorf("%d of %d addresses were tried", len(found), len(addresses))
	}
	return found
}

// lookup gives the code of the name server's answer.
func (o outsider) lookup(t testing.TB, name string) (code int) {
	t.Helper()
	o.ask(t, map[string]any{"do": "lookup", "name": name}, &code)
	return code
}

// publish serves a page in the world by HTTP and TLS, and gives the certificate.
func (m *machine) publish(t testing.TB) (ca []byte) {
	t.Helper()
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _, _ := net.SplitHostPort(r.RemoteAddr) // it has a port
		fmt.Fprintf(w, "%s sees %s, encrypted %v", r.Host, peer, r.TLS != nil)
	})
	plain, tls := httptest.NewUnstartedServer(page), httptest.NewUnstartedServer(page)
	for s, address := range map[*httptest.Server]string{plain: world4 + ":80", tls: world4 + ":443"} {
		_ = s.Listener.Close() // its own one is of this machine
		s.Listener = m.world.listen(t, address)
		t.Cleanup(s.Close)
	}
	plain.Start()
	tls.StartTLS()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw})
}

// forwards says whether the machine routes.
func (m *machine) forwards(t testing.TB) string {
	t.Helper()
	var text []byte
	err := m.enter(func() (err error) { text, err = os.ReadFile("/proc/sys/net/ipv4/ip_forward"); return err })
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// says waits until the server has said all texts.
func says(t testing.TB, s *harness.Server, texts ...string) {
	t.Helper()
	for _, text := range texts {
		eventually(t, 10*time.Second, "the server says "+text, func() bool { return strings.Contains(s.Said(), text) })
	}
}

// tagged is a function without outbound network.
func tagged(in *lambda.CreateFunctionInput) { in.Tags = map[string]string{"kiln:network": "none"} }

func TestAFunctionReachesTheOutsideAndNothingOfTheMachine(t *testing.T) {
	m := newMachine(t)
	ca := m.publish(t)
	near := []string{machine4 + ":8080", "[" + machine6 + "]:8080", metadata4 + ":80", "127.0.0.1:8081", "[::1]:8081"}
	for _, a := range near {
		m.listen(t, a)
		c, err := m.dial("tcp", a)
		if err != nil {
			t.Fatalf("the machine itself does not reach %s: %v", a, err)
		}
		_ = c.Close()
	}
	before := m.settings(t)
	s := m.serve(t, t.TempDir())
	says(t, s, "outbound network on")
	if got := m.forwards(t); got != "1" {
		t.Errorf("forwarding is %s", got)
	}
	one, other := newOutsider(t, s, "one", ca), newOutsider(t, s, "other", ca)

	for _, scheme := range []string{"http", "https"} {
		var page string
		one.ask(t, map[string]any{"do": "fetch", "url": scheme + "://" + worldName + "/"}, &page)
		if want := fmt.Sprintf("%s sees %s, encrypted %v", worldName, machine4, scheme == "https"); page != want {
			t.Errorf("%s: got %q, want %q", scheme, page, want)
		}
	}
	for name, want := range map[string]int{worldName: 0, "nobody.example.net": 3, "localhost": 0} {
		if got := one.lookup(t, name); got != want {
			t.Errorf("%s: the name server's code is %d, want %d", name, got, want)
		}
	}
	for a, got := range one.reach(t, near...) {
		if got == "open" {
			t.Errorf("%s of the machine can be reached", a)
		}
	}
	var address string
	one.ask(t, map[string]any{"do": "listen", "port": 7777, "towards": world4}, &address)
	door := address + ":7777"
	if got := one.reach(t, door)[door]; got != "open" {
		t.Fatalf("the function does not reach itself at %s: %s", door, got)
	}
	if got := other.reach(t, door)[door]; got == "open" {
		t.Error("one environment reaches another")
	}
	if c, err := m.dial("tcp", door); err == nil {
		_ = c.Close()
		t.Error("the machine can connect to an environment")
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	m.unchanged(t, before)
}

func TestWithoutOutboundNetworkAFunctionIsRefusedAtOnce(t *testing.T) {
	m := newMachine(t)
	ca := m.publish(t)
	open := m.serve(t, t.TempDir())
	control := newOutsider(t, open, "control", ca)
	outside := world4 + ":80"
	if got := control.reach(t, outside)[outside]; got != "open" {
		t.Fatalf("with outbound network the world is %s", got)
	}
	shut := m.serve(t, t.TempDir(), "--network", "none")
	says(t, shut, "outbound network off: --network none")
	for what, o := range map[string]outsider{
		"the function's tag":   newOutsider(t, open, "tagged", ca, tagged),
		"the server's setting": newOutsider(t, shut, "any", ca),
	} {
		if got := o.reach(t, outside, "["+world6+"]:80"); got[outside] != "ENETUNREACH" || got["["+world6+"]:80"] != "ENETUNREACH" {
			t.Errorf("%s: got %v, want the network unreachable", what, got)
		}
		if got := o.lookup(t, worldName); got != 5 {
			t.Errorf("%s: the name server's code is %d, want 5, refused", what, got)
		}
		if got := o.lookup(t, "localhost"); got != 0 {
			t.Errorf("%s: localhost: the name server's code is %d", what, got)
		}
	}
	if got := control.reach(t, outside)[outside]; got != "open" {
		t.Errorf("beside them the world is %s", got)
	}
}

func TestTheAPIIsInsideAtTheAddressThatItHasOutside(t *testing.T) {
	m := newMachine(t)
	for _, network := range []string{"outbound", "none"} {
		for _, address := range []string{machine4, machine6} {
			s := m.serve(t, t.TempDir(), "--listen", net.JoinHostPort(address, "0"), "--insecure-listen", "--network", network)
			o := newOutsider(t, s, "caller", nil)
			var got []any
			if o.ask(t, map[string]any{"do": "api"}, &got); fmt.Sprint(got) != fmt.Sprint([]any{s.URL, 200}) {
				t.Errorf("network %s: inside got %v, outside it is at %s", network, got, s.URL)
			}
			if other := net.JoinHostPort(address, "8080"); o.reach(t, other)[other] != "ECONNREFUSED" {
				t.Errorf("network %s: another port of the address is not the environment's own", network)
			}
		}
	}
}

func TestAnOpenConnectionOutlastsAFreeze(t *testing.T) {
	m := newMachine(t)
	l := m.world.listen(t, world4+":7")
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			fmt.Fprintln(c, "hello")
			accepted <- c
		}
	}()
	s := m.serve(t, t.TempDir())
	o := newOutsider(t, s, "holder", nil)
	var heard string
	o.ask(t, map[string]any{"do": "hold", "host": world4, "port": 7}, &heard)
	if heard != "hello\n" {
		t.Fatalf("heard %q", heard)
	}
	c := <-accepted
	defer c.Close()
	eventually(t, 20*time.Second, "the environment is frozen", func() bool {
		list, err := s.Environments()
		return err == nil && len(list) == 1 && list[0].Frozen
	})
	fmt.Fprintln(c, "meanwhile")
	replied := make(chan error, 1)
	go func() {
		c.SetDeadline(time.Now().Add(time.Minute))
		line, err := bufio.NewReader(c).ReadString('\n')
		fmt.Fprint(c, "you said ", line)
		replied <- err
	}()
	var lines []string
	o.ask(t, map[string]any{"do": "go_on"}, &lines)
	if err := <-replied; err != nil || strings.Join(lines, "") != "meanwhile\nyou said back\n" {
		t.Errorf("got %q, %v", lines, err)
	}
}

func TestWhatAKilledServerLeavesIsRemovedAlsoWithoutOutboundNetwork(t *testing.T) {
	m := newMachine(t)
	before := m.settings(t)
	data := t.TempDir()
	s := m.serve(t, data)
	if m.forwards(t) != "1" {
		t.Fatal("the server did not make the machine route")
	}
	s.Kill(t)
	if m.forwards(t) != "1" {
		t.Fatal("a killed server put a setting back: this test tries nothing")
	}
	// A box that was being made has the lock's descriptor for a moment more.
	eventually(t, 10*time.Second, "the data directory is free", func() bool {
		lock, err := os.Open(filepath.Join(data, "kiln.lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
	})
	next := m.serve(t, data, "--network", "none")
	eventually(t, 10*time.Second, "the settings are as before", func() bool { return m.settings(t) == before })
	if err := next.Stop(); err != nil {
		t.Error(err)
	}
	m.unchanged(t, before)
}

func TestWhereTheMachineCannotTheServerSaysWhyAndServes(t *testing.T) {
	m := newMachine(t)
	for _, r := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"} {
		m.ip(t, "route add blackhole "+r) // no range is left for environments
	}
	before := m.settings(t)
	s := m.serve(t, t.TempDir())
	says(t, s, "outbound network off: this machine has routes to every range", "--network-range")
	m.unchanged(t, before)
	o := newOutsider(t, s, "inside", nil)
	if got := o.lookup(t, worldName); got != 5 {
		t.Errorf("the name server's code is %d, want 5, refused", got)
	}
	ca := m.publish(t)
	named := newOutsider(t, m.serve(t, t.TempDir(), "--network-range", "100.99.0.0/24"), "named", ca)
	var address string
	named.ask(t, map[string]any{"do": "listen", "port": 7777, "towards": world4}, &address)
	if got := named.reach(t, world4+":443")[world4+":443"]; got != "open" || !strings.HasPrefix(address, "100.99.0.") {
		t.Errorf("with a range that is named the world is %s from %s", got, address)
	}
}
