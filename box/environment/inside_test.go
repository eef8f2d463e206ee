package environment_test

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
)

// door answers each connection with one line and keeps it open until it is closed.
type door struct {
	mu     sync.Mutex
	served []environment.Caller
	closed int
}

func (d *door) Serve(l net.Listener, c environment.Caller) io.Closer {
	d.mu.Lock()
	d.served = append(d.served, c)
	d.mu.Unlock()
	o := &opened{door: d, l: l}
	o.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.conns = append(o.conns, nc)
			o.mu.Unlock()
			_, _ = io.WriteString(nc, "kiln\n")
		}
	})
	return o
}

func (d *door) count() (served, closed int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.served), d.closed
}

type opened struct {
	door  *door
	l     net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
}

func (o *opened) Close() error {
	err := o.l.Close()
	o.wg.Wait()
	for _, nc := range o.conns {
		err = errors.Join(err, nc.Close())
	}
	o.door.mu.Lock()
	defer o.door.mu.Unlock()
	o.door.closed++
	return err
}

// dialer is a box that opens several listeners at once and counts how.
type dialer struct {
	*box
	asked [][]string
}

func (d *dialer) ListenAll(addresses ...string) ([]net.Listener, error) {
	d.asked = append(d.asked, addresses)
	var open []net.Listener
	for _, a := range addresses {
		l, err := d.Listen(a)
		if err != nil {
			for _, l := range open {
				_ = l.Close() // nobody knows it
			}
			return nil, err
		}
		open = append(open, l)
	}
	return open, nil
}

// call connects to what the variable names and reads what the door says.
func call(p *proc) (net.Conn, string) {
	nc, err := net.Dial("tcp", strings.TrimPrefix(p.env["AWS_ENDPOINT_URL"], "http://"))
	if err != nil {
		return nil, err.Error()
	}
	p.mu.Lock()
	p.conns = append(p.conns, nc)
	p.mu.Unlock()
	line := make([]byte, 5)
	_, err = io.ReadFull(nc, line)
	if err != nil {
		return nil, err.Error()
	}
	return nc, string(line)
}

func TestWhatIsInsideReachesTheAPIAsItsFunctionAndAcrossRestarts(t *testing.T) {
	d := &door{}
	urls := make(chan string, 4)
	b := newBox(func(p *proc) sandbox.ExitStatus {
		urls <- p.env["AWS_ENDPOINT_URL"]
		return loop(func(p *proc, _ *reply) (string, error) {
			_, said := call(p)
			return `"` + strings.TrimSpace(said) + `"`, nil
		})(p)
	})
	box := &dialer{box: b}
	b.taken = 2 // the address is still held for a moment
	role := "arn:aws:iam::123456789012:role/service/worker"
	r := start(t, b, func(o *environment.Options) {
		o.Sandbox = box
		o.Version.Config.Role = role
		o.Inside = &environment.Inside{Address: "127.0.0.1:4566", Door: d}
	})
	if got := string(r.invoke(`{}`).Payload); got != `"kiln"` {
		t.Errorf("got %s", got)
	}
	first := <-urls
	if err := b.KillAll(); err != nil { // the process dies, the environment goes on
		t.Fatal(err)
	}
	if got := string(r.invoke(`{}`).Payload); got != `"kiln"` {
		t.Errorf("after a restart: got %s", got)
	}
	if second := <-urls; second != first || !strings.HasPrefix(first, "http://127.0.0.1:") {
		t.Errorf("the endpoint was %s and is %s", first, second)
	}
	if served, closed := d.count(); served != 1 || closed != 0 {
		t.Errorf("served %d listeners and closed %d, want 1 and 0", served, closed)
	}
	want := [][]string{{environment.RuntimeAPI, "127.0.0.1:4566"}, {environment.RuntimeAPI, "127.0.0.1:4566"}, {environment.RuntimeAPI, "127.0.0.1:4566"}, {environment.RuntimeAPI}}
	if !slices.EqualFunc(box.asked, want, slices.Equal) {
		t.Errorf("listeners: got %q, want both at once and then only the Runtime API's", box.asked)
	}
	c := d.served[0]
	token := c.Token
	c.Token = ""
	if c != (environment.Caller{Function: version().Function, Role: role}) || len(token) < 100 {
		t.Errorf("served as %+v with a token of %d bytes", c, len(token))
	}
}

func TestTheTokenThatTheDoorKnowsIsTheFunctionsSessionToken(t *testing.T) {
	d := &door{}
	got, _ := vars(t, func(o *environment.Options) { o.Inside = &environment.Inside{Address: "127.0.0.1:4566", Door: d} })
	if d.served[0].Token != got["AWS_SESSION_TOKEN"] {
		t.Error("they differ")
	}
}

func TestTheDoorIsShutWhenTheEnvironmentEnds(t *testing.T) {
	d := &door{}
	b := newBox(loop(func(p *proc, _ *reply) (string, error) {
		nc, said := call(p)
		if nc == nil {
			return "", errors.New(said)
		}
		return `"connected"`, nil
	}))
	r := start(t, b, func(o *environment.Options) { o.Inside = &environment.Inside{Address: "127.0.0.1:4566", Door: d} })
	if got := string(r.invoke(`{}`).Payload); got != `"connected"` {
		t.Fatal(got)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if served, closed := d.count(); served != 1 || closed != 1 {
		t.Errorf("served %d listeners and closed %d, want 1 and 1", served, closed)
	}
}

func TestTheDoorIsShutWhenTheRuntimeCannotBeExecuted(t *testing.T) {
	d := &door{}
	b := newBox(loop(echo))
	b.startErr = func(string) error { return sandbox.ErrGone }
	r := start(t, b, func(o *environment.Options) { o.Inside = &environment.Inside{Address: "127.0.0.1:4566", Door: d} })
	select {
	case _, ok := <-r.Idle():
		if ok {
			t.Error("the environment is alive")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the environment is not over")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if served, closed := d.count(); served != 1 || closed != 1 {
		t.Errorf("served %d listeners and closed %d, want 1 and 1", served, closed)
	}
}

func TestAFunctionsOwnEndpointWinsAndWithoutADoorThereIsNone(t *testing.T) {
	got, _ := vars(t, func(o *environment.Options) {
		o.Inside = &environment.Inside{Address: "127.0.0.1:4566", Door: &door{}}
		o.Version.Config.Environment = map[string]string{"AWS_ENDPOINT_URL": "https://aws.example.com"}
	})
	if got["AWS_ENDPOINT_URL"] != "https://aws.example.com" {
		t.Errorf("got %s", got["AWS_ENDPOINT_URL"])
	}
	got, _ = vars(t, func(o *environment.Options) {
		o.Runtime = kiln.Runtime{Identifier: "python3.11", Family: "python", Command: []string{"/b"}}
	})
	if url, there := got["AWS_ENDPOINT_URL"]; there {
		t.Errorf("without a door: %s", url)
	}
}
