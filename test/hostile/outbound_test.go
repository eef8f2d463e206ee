package hostile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/test/harness"
)

// What a function that may open connections must reach: a name server, by the host's
// own, and a site over TLS.

const siteName = "site.kiln-hostile.example"

func TestAGoFunctionResolvesANameAndSpeaksTLS(t *testing.T) {
	w := newWorld(t)
	w.nameServers(t, siteName, site4)
	authority := w.site(t, siteName, site4+":443")
	fetch := event{Do: "https", Paths: []string{"https://" + siteName + "/hello"}, Text: authority, Millis: 15_000}

	x := w.serve(t, "--network", "outbound").trial(t)
	r := x.attack(t, fetch, harness.Timeout(60))
	r.worked(t, "get", "read")
	if r.Texts["body"] != "hello from "+siteName || !strings.HasPrefix(r.Texts["protocol"], "TLS 1.") {
		t.Errorf("got %v", r.Texts)
	}
	// The authority is what makes it trust: another one is refused.
	other := fetch
	other.Text, _ = certify(t, siteName)
	if r := x.ask(t, x.attacker(t, "other", harness.Timeout(60)), other); !strings.Contains(r.Results["get"], "certificate") {
		t.Errorf("with another authority: %v", r.Results)
	}
}

func TestAFunctionWithoutOutboundResolvesNothing(t *testing.T) {
	w := newWorld(t)
	w.nameServers(t, siteName, site4)
	authority := w.site(t, siteName, site4+":443")
	x := w.serve(t, withoutOutbound...).trial(t)
	r := x.attack(t, event{Do: "https", Paths: []string{"https://" + siteName + "/hello"}, Text: authority, Millis: 5000}, harness.Timeout(60))
	if r.Results["get"] == "ok" || r.Results["get"] == "" {
		t.Errorf("got %v", r)
	}
	if r := x.ask(t, x.attacker(t, "dial"), event{Do: "dial", Dial: []string{site4 + ":443"}, Millis: 2000}); r.Results[site4+":443"] == "ok" {
		t.Errorf("the site itself can be reached")
	}
}

func TestADestinationThatTheOperatorDeniesIsNotReached(t *testing.T) {
	w := newWorld(t)
	denied, open := site4+":80", router4+":80"
	heard := []*listener{w.internet.listen(t, denied), w.internet.listen(t, open)}
	w.mustReach(t, []string{denied, open}, "from the host")
	x := w.serve(t, "--network-deny", "203.0.113.0/24,2001:db8::/32").trial(t)
	r := x.attack(t, event{Do: "dial", Dial: []string{denied, open}, Text: "from inside", Millis: 5000}, harness.Timeout(30))
	if r.Results[denied] == "ok" || r.Results[open] != "ok" {
		t.Errorf("got %v, want that %s alone is reached", r.Results, open)
	}
	if text := heard[0].heard(); slices.Contains(text, "from inside") {
		t.Errorf("the denied site heard %q", text)
	}
}

// nameServers answers for one name wherever this machine looks for name servers: at
// the addresses in its own configuration, which in this world are ours.
func (w *world) nameServers(t testing.TB, name, address string) {
	t.Helper()
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		server, err := netip.ParseAddr(f[1])
		if err != nil {
			t.Fatalf("name server %q: %v", f[1], err)
		}
		where := w.host
		switch {
		case server.IsLoopback():
		case server.Is4():
			where = w.internet
			where.address(t, "lo", server.String()+"/32")
		default:
			continue // the world has no way to others by IPv6
		}
		where.answer(t, net.JoinHostPort(server.String(), "53"), name, address)
		n++
	}
	if n == 0 {
		t.Fatalf("this machine has no name server that the world could play:\n%s", text)
	}
}

// answer is a name server over UDP that knows one name.
func (n namespace) answer(t testing.TB, at, name, address string) {
	t.Helper()
	var conn net.PacketConn
	if err := n.enter(func() (err error) { conn, err = net.ListenPacket("udp", at); return err }); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if a := answerTo(buffer[:n], name, netip.MustParseAddr(address)); a != nil {
				_, _ = conn.WriteTo(a, from) // who asked asks again
			}
		}
	})
	t.Cleanup(func() { _ = conn.Close(); all.Wait() }) // nothing was promised
}

// answerTo makes the answer to one DNS question; nil to what is none.
func answerTo(question []byte, name string, address netip.Addr) []byte {
	if len(question) < 12 || question[2]&0x80 != 0 {
		return nil
	}
	var labels []string
	at := 12
	for at < len(question) && question[at] != 0 {
		end := at + 1 + int(question[at])
		if end > len(question) {
			return nil
		}
		labels = append(labels, string(question[at+1:end]))
		at = end
	}
	at += 5 // the end of the name, type and class
	if at > len(question) {
		return nil
	}
	kind := binary.BigEndian.Uint16(question[at-4:])
	known := strings.EqualFold(strings.Join(labels, "."), name)
	head := append([]byte{}, question[:2]...)
	flags, answers := uint16(0x8180), uint16(0)
	if !known {
		flags |= 3 // no such name
	} else if kind == 1 {
		answers = 1
	}
	for _, v := range []uint16{flags, 1, answers, 0, 0} {
		head = binary.BigEndian.AppendUint16(head, v)
	}
	a := append(head, question[12:at]...)
	if answers == 1 {
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
		a = append(a, address.AsSlice()...)
	}
	return a
}

// site is a web server over TLS in the internet; it gives its certificate.
func (w *world) site(t testing.TB, name, at string) (authority string) {
	t.Helper()
	authority, pair := certify(t, name)
	var l net.Listener
	if err := w.internet.enter(func() (err error) { l, err = net.Listen("tcp", at); return err }); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:  http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { fmt.Fprintf(rw, "hello from %s", r.Host) }),
		ErrorLog: log.New(io.Discard, "", 0), // a caller that does not trust us is part of the test
	}
	var all sync.WaitGroup
	all.Go(func() {
		_ = server.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}})) // until Close
	})
	t.Cleanup(func() { _ = server.Close(); all.Wait() }) // nobody waits for it
	return authority
}

// certify makes a certificate that is its own authority.
func certify(t testing.TB, name string) (authority string, pair tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
