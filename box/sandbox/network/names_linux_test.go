package network_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kiln/box/sandbox/network"
)

// resolver is a name server of the host. It gives every name the address that its
// answer function says, and no other.
type resolver struct {
	asked  atomic.Int64
	answer func(m []byte, tcp bool) []byte // nil keeps silent
}

// newResolver listens at an address of the host.
func newResolver(t testing.TB, address string, answer func(m []byte, tcp bool) []byte) *resolver {
	t.Helper()
	r := &resolver{answer: answer}
	udp := host.packet(t, address)
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	go func() {
		buf := make([]byte, 65535)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			r.asked.Add(1)
			m := bytes.Clone(buf[:n])
			go func() {
				if a := r.answer(m, false); a != nil {
					_, _ = udp.WriteTo(a, from)
				}
			}()
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					m, err := framed(c)
					if err != nil {
						return
					}
					r.asked.Add(1)
					if a := r.answer(m, true); a != nil {
						_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
					}
				}
			}()
		}
	}()
	return r
}

// framed reads a message with its length before it.
func framed(r io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	m := make([]byte, binary.BigEndian.Uint16(n[:]))
	_, err := io.ReadFull(r, m)
	return m, err
}

// withA answers a question with one IPv4 address, or with none when the question is
// about something else.
func withA(m []byte, a, b, c, d byte) []byte {
	end := 12
	for m[end] != 0 {
		end += 1 + int(m[end])
	}
	end += 5
	out := bytes.Clone(m[:end])
	out[2] |= 0x80
	clear(out[6:12])
	if m[end-3] == 1 {
		out[7] = 1
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, a, b, c, d)
	}
	return out
}

// failing answers with a code.
func failing(m []byte, code byte) []byte {
	out := withA(m, 0, 0, 0, 0)[:0]
	out = append(out, m...)
	out[2] |= 0x80
	out[3] = out[3]&0xf0 | code
	return out
}

// resolvConf writes the host's file of resolvers.
func resolvConf(t testing.TB, servers ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	writeResolvConf(t, path, servers...)
	return path
}

func writeResolvConf(t testing.TB, path string, servers ...string) {
	t.Helper()
	text := "options timeout:1 attempts:2\n"
	for _, s := range servers {
		text += "nameserver " + s + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// lookup asks the name server of a namespace for an IPv4 address as a Go program
// would.
func (s space) lookup(ctx context.Context, name string) ([]string, error) {
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, kind, _ string) (c net.Conn, err error) {
		err = s.do(func() (err error) {
			c, err = net.Dial(strings.TrimRight(kind, "46")+"4", network.Resolver+":53")
			return err
		})
		return c, err
	}}
	addresses, err := r.LookupIP(ctx, "ip4", name)
	var list []string
	for _, a := range addresses {
		list = append(list, a.String())
	}
	return list, err
}

// exchange sends one message by UDP and waits for the answer.
func (s space) exchange(m []byte, d time.Duration) ([]byte, error) {
	var c net.Conn
	err := s.do(func() (err error) {
		c, err = net.Dial("udp4", network.Resolver+":53")
		return err
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Write(m); err != nil {
		return nil, err
	}
	c.SetReadDeadline(time.Now().Add(d))
	buf := make([]byte, 65535)
	n, err := c.Read(buf)
	return buf[:n], err
}

// query is a question for an IPv4 address.
func query(name string) []byte {
	m := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(name, ".") {
		m = append(append(m, byte(len(label))), label...)
	}
	return append(m, 0, 0, 1, 0, 1)
}

// named opens a network whose host has resolvers, without a way out for packets, and
// attaches a namespace that may ask.
func named(t testing.TB, servers ...string) (space, *network.Link) {
	t.Helper()
	outside(t)
	path := resolvConf(t, servers...)
	n := open(t, func(o *network.Options) { o.ResolvConf = path })
	return attach(t, n)
}

func TestNamesAreAskedOfTheHostsResolver(t *testing.T) {
	needRoot(t)
	for _, address := range []string{"127.0.0.53", "127.0.0.1"} { // the first is the host's own stub, not the environment's
		t.Run(address, func(t *testing.T) {
			s, _ := named(t, address)
			newResolver(t, address+":53", func(m []byte, _ bool) []byte { return withA(m, 192, 0, 2, 9) })
			got, err := s.lookup(t.Context(), "example.com")
			if err != nil || strings.Join(got, " ") != "192.0.2.9" {
				t.Errorf("%v, %v; want 192.0.2.9", got, err)
			}
		})
	}
}

func TestTheHostsResolversAreReadAgainWhenTheyChange(t *testing.T) {
	outside(t)
	newResolver(t, "127.0.0.54:53", func(m []byte, _ bool) []byte { return withA(m, 192, 0, 2, 1) })
	newResolver(t, "127.0.0.55:53", func(m []byte, _ bool) []byte { return withA(m, 192, 0, 2, 2) })
	path := resolvConf(t, "127.0.0.54")
	n := open(t, func(o *network.Options) { o.ResolvConf = path })
	s, _ := attach(t, n)
	if got, err := s.lookup(t.Context(), "example.com"); err != nil || strings.Join(got, " ") != "192.0.2.1" {
		t.Fatalf("%v, %v; want 192.0.2.1", got, err)
	}
	writeResolvConf(t, path, "127.0.0.55")
	within(t, 5*time.Second, func() error {
		got, err := s.lookup(t.Context(), "example.com")
		if err == nil && strings.Join(got, " ") != "192.0.2.2" {
			err = errors.New("still " + strings.Join(got, " "))
		}
		return err
	})
}

func TestTheEnvironmentsOwnNamesAreNeverAsked(t *testing.T) {
	s, _ := named(t, "127.0.0.53")
	r := newResolver(t, "127.0.0.53:53", func(m []byte, _ bool) []byte { return withA(m, 192, 0, 2, 9) })
	for _, name := range []string{"localhost", "x.localhost", "sandbox.localdomain"} {
		a, err := s.exchange(query(name), time.Second)
		if err != nil || !bytes.HasSuffix(a, []byte{127, 0, 0, 1}) {
			t.Errorf("%s: %x, %v; want 127.0.0.1", name, a, err)
		}
	}
	if got := r.asked.Load(); got != 0 {
		t.Errorf("the resolver was asked %d times", got)
	}
	if _, err := s.lookup(t.Context(), "example.com"); err != nil || r.asked.Load() == 0 {
		t.Errorf("control: %v, asked %d times", err, r.asked.Load())
	}
}

func TestNamesAreRefusedWithoutAWayOut(t *testing.T) {
	outside(t)
	r := newResolver(t, "127.0.0.53:53", func(m []byte, _ bool) []byte { return withA(m, 192, 0, 2, 9) })
	path := resolvConf(t, "127.0.0.53")
	n := open(t, func(o *network.Options) { o.ResolvConf = path })
	without := newSpace(t)
	l, err := n.Attach(without.fd, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cut, c := attach(t, n)
	if a, err := cut.exchange(query("example.com"), time.Second); err != nil || a[3]&15 != 0 {
		t.Fatalf("control: %x, %v", a, err)
	}
	if err := c.Cut(); err != nil {
		t.Fatal(err)
	}
	before := r.asked.Load()
	for name, s := range map[string]space{"attached without": without, "cut": cut} {
		start := time.Now()
		a, err := s.exchange(query("secret-to-be-leaked.example.com"), 5*time.Second)
		if err != nil || a[3]&15 != 5 {
			t.Errorf("%s: %x, %v; want REFUSED", name, a, err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("%s: refused after %v, want at once", name, d)
		}
		if a, err := s.exchange(query("localhost"), time.Second); err != nil || a[3]&15 != 0 {
			t.Errorf("%s: localhost: %x, %v", name, a, err)
		}
	}
	if got := r.asked.Load(); got != before {
		t.Errorf("the resolver was asked %d times", got-before)
	}
}

func TestAnAnswerThatIsTooLongIsFetchedByTCP(t *testing.T) {
	s, _ := named(t, "127.0.0.53")
	var byTCP atomic.Int64
	newResolver(t, "127.0.0.53:53", func(m []byte, tcp bool) []byte {
		a := withA(m, 192, 0, 2, 9)
		if !tcp {
			a[2] |= 2
			return a[:len(m)] // truncated
		}
		byTCP.Add(1)
		for i := range 200 { // far above 512 bytes
			a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, byte(i))
		}
		binary.BigEndian.PutUint16(a[6:], 201)
		return a
	})
	got, err := s.lookup(t.Context(), "example.com")
	if err != nil || len(got) != 201 || byTCP.Load() == 0 {
		t.Errorf("%d addresses, %v, %d times by TCP; want 201", len(got), err, byTCP.Load())
	}
}

func TestAnAnswerThatTheProgramCannotTakeIsCutShort(t *testing.T) {
	s, _ := named(t, "127.0.0.53")
	newResolver(t, "127.0.0.53:53", func(m []byte, _ bool) []byte { return append(withA(m, 192, 0, 2, 9), make([]byte, 600)...) })
	a, err := s.exchange(query("example.com"), time.Second)
	if err != nil || len(a) > 512 || a[2]&2 == 0 {
		t.Errorf("%d bytes, %v; want a truncated answer", len(a), err)
	}
}

func TestAResolverThatFailsIsPassedOver(t *testing.T) {
	s, _ := named(t, "127.0.0.54", "127.0.0.55", "127.0.0.56")
	silent := newResolver(t, "127.0.0.54:53", func([]byte, bool) []byte { return nil })
	broken := newResolver(t, "127.0.0.55:53", func(m []byte, _ bool) []byte { return failing(m, 2) })
	newResolver(t, "127.0.0.56:53", func(m []byte, _ bool) []byte { return withA(m, 192, 0, 2, 9) })
	a, err := s.exchange(query("example.com"), 5*time.Second)
	if err != nil || !bytes.HasSuffix(a, []byte{192, 0, 2, 9}) {
		t.Errorf("%x, %v; want 192.0.2.9", a, err)
	}
	if silent.asked.Load() == 0 || broken.asked.Load() == 0 {
		t.Errorf("control: the first was asked %d times, the second %d", silent.asked.Load(), broken.asked.Load())
	}
}

func TestANameThatDoesNotExistIsAnAnswer(t *testing.T) {
	s, _ := named(t, "127.0.0.54", "127.0.0.55")
	newResolver(t, "127.0.0.54:53", func(m []byte, _ bool) []byte { return failing(m, 3) })
	second := newResolver(t, "127.0.0.55:53", func(m []byte, _ bool) []byte { return withA(m, 192, 0, 2, 9) })
	a, err := s.exchange(query("nowhere.example.com"), time.Second)
	if err != nil || a[3]&15 != 3 || second.asked.Load() != 0 {
		t.Errorf("%x, %v, the second resolver was asked %d times; want NXDOMAIN from the first", a, err, second.asked.Load())
	}
}

func TestAForgedAnswerIsIgnored(t *testing.T) {
	s, _ := named(t, "127.0.0.53")
	udp := host.packet(t, "127.0.0.53:53")
	go func() {
		buf := make([]byte, 512)
		n, from, err := udp.ReadFrom(buf)
		if err != nil {
			return
		}
		forged := withA(buf[:n], 6, 6, 6, 6)
		forged[0]++ // another id
		_, _ = udp.WriteTo(forged, from)
		other := withA(query("other.example"), 6, 6, 6, 6)
		copy(other, buf[:2])
		_, _ = udp.WriteTo(other, from)
		_, _ = udp.WriteTo(withA(buf[:n], 192, 0, 2, 9), from)
	}()
	a, err := s.exchange(query("example.com"), time.Second)
	if err != nil || !bytes.HasSuffix(a, []byte{192, 0, 2, 9}) {
		t.Errorf("%x, %v; want 192.0.2.9", a, err)
	}
}

func TestNothingIsSentToFrozenPrograms(t *testing.T) {
	s, l := named(t, "127.0.0.53")
	answered := make(chan struct{}, 10)
	newResolver(t, "127.0.0.53:53", func(m []byte, _ bool) []byte {
		defer func() { answered <- struct{}{} }()
		return withA(m, 192, 0, 2, 9)
	})
	l.Freeze()
	var c net.Conn
	err := s.do(func() (err error) {
		c, err = net.Dial("udp4", network.Resolver+":53")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(query("example.com")); err != nil {
		t.Fatal(err)
	}
	<-answered // the resolver has answered the server, and nobody has told the program
	c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	buf := make([]byte, 512)
	if n, err := c.Read(buf); err == nil {
		t.Errorf("%x came while it was frozen", buf[:n])
	}
	l.Thaw()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := c.Read(buf); err != nil || !bytes.HasSuffix(buf[:n], []byte{192, 0, 2, 9}) {
		t.Errorf("after the thaw: %x, %v", buf[:n], err)
	}
}

func TestWhatFailedWhileFrozenIsAskedAgain(t *testing.T) {
	s, l := named(t, "127.0.0.53")
	var alive atomic.Bool
	newResolver(t, "127.0.0.53:53", func(m []byte, _ bool) []byte {
		if !alive.Load() {
			return nil
		}
		return withA(m, 192, 0, 2, 9)
	})
	l.Freeze()
	var c net.Conn
	err := s.do(func() (err error) {
		c, err = net.Dial("udp4", network.Resolver+":53")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(query("example.com")); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(2500 * time.Millisecond)) // above both attempts of a second
	buf := make([]byte, 512)
	if n, err := c.Read(buf); err == nil {
		t.Errorf("%x came while it was frozen", buf[:n])
	}
	alive.Store(true)
	l.Thaw()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := c.Read(buf); err != nil || !bytes.HasSuffix(buf[:n], []byte{192, 0, 2, 9}) {
		t.Errorf("after the thaw: %x, %v", buf[:n], err)
	}
}

func TestAFloodOfQuestionsIsBounded(t *testing.T) {
	s, l := named(t, "127.0.0.53")
	r := newResolver(t, "127.0.0.53:53", func([]byte, bool) []byte { return nil })
	var c net.Conn
	err := s.do(func() (err error) {
		c, err = net.Dial("udp4", network.Resolver+":53")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const flood = 200
	for range flood {
		if _, err := c.Write(query("example.com")); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	buf := make([]byte, 512)
	for refused < flood-64 {
		c.SetReadDeadline(time.Now().Add(900 * time.Millisecond))
		if _, err := c.Read(buf); err != nil {
			break
		}
		refused++
	}
	if refused != flood-64 {
		t.Errorf("%d questions were refused at once, want all above 64 under way", refused)
	}
	if got := r.asked.Load(); got > 64 {
		t.Errorf("the resolver was asked %d times, want at most 64", got)
	}
	start := time.Now()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("Close took %v with questions under way", d)
	}
}

func TestConnectionsToTheNameServerAreBounded(t *testing.T) {
	s, l := named(t, "127.0.0.53")
	newResolver(t, "127.0.0.53:53", func(m []byte, _ bool) []byte { return withA(m, 192, 0, 2, 9) })
	var conns []net.Conn
	for range 12 {
		err := s.do(func() error {
			d := net.Dialer{Timeout: time.Second}
			c, err := d.Dial("tcp4", network.Resolver+":53")
			if err == nil {
				conns = append(conns, c)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	answered := 0
	for _, c := range conns {
		defer c.Close()
		m := query("example.com")
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := framed(c); err == nil {
			answered++
		}
	}
	if answered != 8 {
		t.Errorf("%d connections were served at once, want 8", answered)
	}
	start := time.Now()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("Close took %v with idle connections", d)
	}
}
