package tap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// errPaused is a try that was not made.
var errPaused = errors.New("the receiver is frozen")

// sender brings one body to the receiver.
type sender interface {
	send(ctx context.Context, body []byte) error
	close()
}

// newSender gives the sender of a subscription's protocol.
func newSender(s *Subscription, dial Dial) sender {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))
	if s.TCP {
		return &overTCP{dial: dial, address: address}
	}
	return &overHTTP{
		subscription: s,
		url:          "http://" + address + s.Path,
		transport: &http.Transport{
			DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, "tcp", address) },
			MaxIdleConns:          1,
			MaxConnsPerHost:       1,
			DisableCompression:    true,
			ResponseHeaderTimeout: 0, // the subscriber's clock, which can stand still, bounds an attempt
		},
	}
}

// overHTTP posts each batch as one array.
type overHTTP struct {
	subscription *Subscription
	url          string
	transport    *http.Transport
}

// send posts the body; an answer of 2xx says that it has arrived. Redirects are not
// followed: there is one receiver.
func (h *overHTTP) send(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, h.subscription.Method, h.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Host = h.subscription.Host
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "") // none
	answer, err := h.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, answer.Body, 64<<10) // what it says is of no interest, but read, the connection can be used again
	_ = answer.Body.Close()                            // nothing was written
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the receiver answered %s", answer.Status)
	}
	return nil
}

// close ends the connection.
func (h *overHTTP) close() { h.transport.CloseIdleConnections() }

// overTCP writes each event as one line to a connection that stays open. Nobody
// confirms what was written.
type overTCP struct {
	dial    Dial
	address string
	conn    net.Conn
}

// send writes the body whole, or gives the connection up.
func (t *overTCP) send(ctx context.Context, body []byte) error {
	if t.conn != nil && t.hungUp() {
		t.close()
	}
	if t.conn == nil {
		conn, err := t.dial(ctx, "tcp", t.address)
		if err != nil {
			return err
		}
		t.conn = conn
	}
	conn := t.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) }) // only wakes Write
	_, err := conn.Write(body)
	if !stop() || err != nil {
		t.close()
		return errors.Join(err, ctx.Err())
	}
	return nil
}

// hungUp reports whether the receiver has closed the connection: what is written then
// would be lost without an error.
func (t *overTCP) hungUp() bool {
	_ = t.conn.SetReadDeadline(time.Now().Add(time.Millisecond)) // Read tells
	var b [256]byte
	_, err := t.conn.Read(b[:])
	var timeout net.Error
	return err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}

// close ends the connection.
func (t *overTCP) close() {
	if t.conn != nil {
		_ = t.conn.Close() // it has failed or is not needed any more
		t.conn = nil
	}
}
