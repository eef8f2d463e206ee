package network

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// asking writes a question; size 0 is one without EDNS.
func asking(id uint16, name string, kind uint16, size uint16) []byte {
	m := binary.BigEndian.AppendUint16(nil, id)
	m = append(m, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0) // recursion desired, one question
	for label := range strings.SplitSeq(name, ".") {
		m = append(append(m, byte(len(label))), label...)
	}
	m = append(m, 0)
	m = binary.BigEndian.AppendUint16(m, kind)
	m = append(m, 0, 1)
	if size > 0 {
		m[11] = 1
		m = append(m, 0, 0, typeOPT)
		m = binary.BigEndian.AppendUint16(m, size)
		m = append(m, 0, 0, 0, 0, 0, 0)
	}
	return m
}

func TestAQuestionIsRead(t *testing.T) {
	for _, c := range []struct {
		m    []byte
		want question
	}{
		{asking(7, "Example.COM", typeA, 0), question{id: 7, flags: 0x100, name: "example.com", kind: 1, class: 1, end: 29, size: 512}},
		{asking(8, "a", typeAAAA, 1232), question{id: 8, flags: 0x100, name: "a", kind: 28, class: 1, end: 19, size: 1232}},
		{asking(8, "a", typeAAAA, 100), question{id: 8, flags: 0x100, name: "a", kind: 28, class: 1, end: 19, size: 512}},
		{asking(8, "a", typeAAAA, 65535), question{id: 8, flags: 0x100, name: "a", kind: 28, class: 1, end: 19, size: 4096}},
	} {
		got, err := parseQuestion(c.m)
		if err != nil || got != c.want {
			t.Errorf("%x: %+v, %v; want %+v", c.m, got, err, c.want)
		}
	}
}

func TestWhatIsNoQuestionIsNotAnswered(t *testing.T) {
	good := asking(7, "example.com", typeA, 512)
	changed := func(at int, to byte) []byte {
		m := bytes.Clone(good)
		m[at] = to
		return m
	}
	for name, m := range map[string][]byte{
		"nothing":                  nil,
		"half a header":            good[:11],
		"an answer":                changed(2, 0x81),
		"two questions":            changed(5, 2),
		"no question":              changed(5, 0),
		"a name without an end":    good[:20],
		"a pointer as a name":      changed(12, 0xc0),
		"a label too long":         changed(12, 64),
		"no kind":                  good[:26],
		"a record that is missing": changed(11, 2),
		"a record too long":        changed(len(good)-1, 9),
		"a name too long":          asking(1, strings.Repeat(strings.Repeat("a", 63)+".", 4)+"a", typeA, 0),
	} {
		if q, err := parseQuestion(m); err == nil {
			t.Errorf("%s: %+v, want an error", name, q)
		}
	}
}

func TestNamesOfTheEnvironmentAreAnsweredHere(t *testing.T) {
	for _, c := range []struct {
		name string
		kind uint16
		want string
	}{
		{"localhost", typeA, "127.0.0.1"}, {"LocalHost", typeAAAA, "::1"}, {"db.localhost", typeA, "127.0.0.1"},
		{"sandbox.localdomain", typeA, "127.0.0.1"}, {"sandbox.localdomain", typeAAAA, ""}, {"localhost", 15, ""},
	} {
		m := asking(9, c.name, c.kind, 0)
		q, err := parseQuestion(m)
		if err != nil {
			t.Fatal(err)
		}
		addresses, own := q.own()
		if !own {
			t.Errorf("%s is asked of the resolvers", c.name)
			continue
		}
		answer := q.answerWith(m, addresses)
		got := ""
		if binary.BigEndian.Uint16(answer[6:]) == 1 {
			n := int(binary.BigEndian.Uint16(answer[q.end+10:]))
			a, _ := netip.AddrFromSlice(answer[q.end+12 : q.end+12+n])
			got = a.String()
		}
		if got != c.want || code(answer) != codeOK || !answers(answer, m, q, 9) {
			t.Errorf("%s %d: %q in %x, want %q", c.name, c.kind, got, answer, c.want)
		}
	}
	for _, name := range []string{"notlocalhost", "localhost.example", "sandbox.localdomain.example", "x.sandbox.localdomain"} {
		q, err := parseQuestion(asking(9, name, typeA, 0))
		if _, own := q.own(); own || err != nil {
			t.Errorf("%s is answered here, %v", name, err)
		}
	}
}

func TestOnlyTheAnswerToTheQuestionIsOne(t *testing.T) {
	m := asking(9, "example.com", typeA, 0)
	q, err := parseQuestion(m)
	if err != nil {
		t.Fatal(err)
	}
	good := q.reply(m, codeOK, 0)
	if !answers(good, m, q, 9) {
		t.Errorf("%x does not answer", good)
	}
	other := asking(9, "example.org", typeA, 0)
	other[2] |= 0x80
	kind := bytes.Clone(good)
	kind[q.end-3] = 28
	for name, a := range map[string][]byte{
		"another id": append([]byte{0, 8}, good[2:]...), "the question": m, "another name": other, "another kind": kind, "half": good[:11],
	} {
		if answers(a, m, q, 9) {
			t.Errorf("%s: %x answers", name, a)
		}
	}
}

func TestTheFileOfResolversIsReadAsTheLibraryDoes(t *testing.T) {
	c := parseResolvers([]byte("# comment\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver nonsense\n;nameserver 10.0.0.2\noptions timeout:2 attempts:3 rotate\nnameserver 10.0.0.3\nnameserver 10.0.0.4\nsearch example.com\n"))
	var got []string
	for _, s := range c.servers {
		got = append(got, s.String())
	}
	if want := "10.0.0.1:53 [fe80::1%eth0]:53 10.0.0.3:53"; strings.Join(got, " ") != want {
		t.Errorf("servers %v, want %s", got, want)
	}
	if c.timeout != 2*time.Second || c.attempts != 3 {
		t.Errorf("timeout %v, attempts %d; want 2s, 3", c.timeout, c.attempts)
	}
	if c := parseResolvers(nil); len(c.servers) != 1 || c.servers[0].String() != "127.0.0.1:53" {
		t.Errorf("without a file: %v, want the one on this machine", c.servers)
	}
}

func TestAGateHoldsUntilItOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		if g.wait(t.Context()) {
			t.Error("waited at an open gate")
		}
		g.close()
		g.close()
		passed := make(chan bool)
		go func() { passed <- g.wait(t.Context()) }()
		synctest.Wait()
		select {
		case <-passed:
			t.Error("passed a shut gate")
		default:
		}
		g.open()
		g.open()
		if !<-passed {
			t.Error("did not wait")
		}
	})
}

func FuzzQuestion(f *testing.F) {
	f.Add(asking(1, "example.com", typeA, 0))
	f.Add(asking(1, "localhost", typeAAAA, 4096))
	f.Add([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 'a', 0, 0, 1, 0, 1, 0xc0, 12, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, m []byte) {
		q, err := parseQuestion(m)
		if err != nil {
			return
		}
		if q.end > len(m) || q.size < plainSize || q.size > largestSize || len(q.name) > 254 {
			t.Fatalf("%x: %+v", m, q)
		}
		for _, a := range [][]byte{q.reply(m, codeServer, flagTruncated), q.answerWith(m, []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})})} {
			if !answers(a, m, q, q.id) {
				t.Fatalf("%x does not answer %x", a, m)
			}
		}
		_ = answers(m, m, q, q.id)
	})
}
