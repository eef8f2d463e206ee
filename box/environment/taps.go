package environment

import (
	"context"
	"net"
	"time"

	"kiln/box/rapi"
	"kiln/box/sandbox"
	"kiln/telemetry"
	"kiln/telemetry/tap"
)

// Bounds of what is kept of an init for extensions that subscribe late in it.
const (
	mostEarly      = 1000
	mostEarlyBytes = 256 << 10
)

// taps are the subscriptions of an environment's extensions. The journal's mu guards
// them.
type taps struct {
	list []*tap.Subscriber
	// early are the events of the init that runs: whoever subscribes gets them, too. It
	// is nil when no init runs.
	early      []telemetry.Event
	earlyBytes int
	keeping    bool
}

// offer gives an event to every subscription.
func (t *taps) offer(e *telemetry.Event) {
	for _, x := range t.list {
		x.Offer(e)
	}
	if t.keeping && len(t.early) < mostEarly && t.earlyBytes+len(e.Line) <= mostEarlyBytes {
		t.early = append(t.early, *e)
		t.earlyBytes += len(e.Line)
	}
}

// keep begins, or ends, keeping the events of an init.
func (t *taps) keep(on bool) {
	t.keeping, t.early, t.earlyBytes = on, nil, 0
}

// keepEarly has the journal keep what is said from now on for subscriptions that come
// later, or forget it.
func (j *journal) keepEarly(on bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.taps.keeping != on {
		j.taps.keep(on)
	}
}

// subscribe adds a subscription, which gets what was said since the init began.
func (j *journal) subscribe(x *tap.Subscriber) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.taps.early {
		x.Offer(&j.taps.early[i])
	}
	j.taps.list = append(j.taps.list, x)
}

// unsubscribe takes every subscription away and gives it.
func (j *journal) unsubscribe() []*tap.Subscriber {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := j.taps.list
	j.taps.list = nil
	return list
}

// heardInDetail reports whether somebody gets more of an event than its line of text.
func (j *journal) heardInDetail() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.source.Logging.JSON() || len(j.taps.list) > 0 || j.taps.keeping
}

// subscription is a request to subscribe; whether it was granted is sent once.
type subscription struct {
	api       tap.API
	extension string // its identifier
	body      []byte
	refused   chan *rapi.Refusal
}

// Subscribe asks for the telemetry of the environment.
func (l *life) Subscribe(api rapi.TelemetryAPI, extensionID string, body []byte) *rapi.Refusal {
	s := &subscription{tap.API(api), extensionID, body, make(chan *rapi.Refusal, 1)}
	if !l.send(message{kind: tapping, life: l, subscription: s}) {
		return lifeOver()
	}
	select {
	case refusal := <-s.refused:
		return refusal
	case <-l.done:
		return lifeOver()
	}
}

// subscribe judges a request for telemetry and grants it during an init. The same
// request again changes nothing.
func (e *Environment) subscribe(s *subscription) *rapi.Refusal {
	name, refusal := e.extensionName(s.extension)
	if refusal != nil {
		return refusal
	}
	if !e.state.initial() {
		return refusalOf(tap.Closed(s.api))
	}
	wanted, bad := tap.Parse(s.api, s.body)
	if bad != nil {
		return refusalOf(bad)
	}
	state, own := "Subscribed", 0
	for _, x := range e.taps {
		if x.Extension() != name {
			continue
		}
		switch own++; {
		case x.Subscription() == *wanted:
			state = "Already subscribed"
		case x.Subscription().API != s.api:
			return refusalOf(tap.Mixed(s.api, name, x.Subscription().API))
		}
	}
	if state == "Subscribed" {
		if own == tap.MostOfOne {
			return refusalOf(tap.TooMany(s.api))
		}
		x := tap.New(wanted, name, e.dial)
		e.taps = append(e.taps, x)
		e.journal.subscribe(x)
	}
	kind := telemetry.Subscription
	if s.api == tap.Logs {
		kind = telemetry.LogsSubscribed
	}
	e.journal.platform(telemetry.Event{Type: kind, Name: name, State: state, Names: wanted.List()})
	return nil
}

// refusalOf gives what a request for telemetry is answered.
func refusalOf(e *tap.Error) *rapi.Refusal {
	return &rapi.Refusal{Status: e.Status, Type: e.Type, Message: e.Message}
}

// dial connects to what a process of the box listens on.
func (e *Environment) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return sandbox.Dial(ctx, e.sandbox, network, address)
}

// pauseTaps stops sending to a box that is about to stand still.
func (e *Environment) pauseTaps() {
	for _, x := range e.taps {
		x.Pause()
	}
}

// resumeTaps goes on.
func (e *Environment) resumeTaps() {
	for _, x := range e.taps {
		x.Resume()
	}
}

// flushTaps sends what was said so far to extensions that are about to be told to end,
// and waits for that no longer than limit.
func (e *Environment) flushTaps(limit time.Duration) {
	if len(e.taps) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(e.ctx, limit)
	defer cancel()
	done := make(chan struct{}, len(e.taps))
	for _, x := range e.taps {
		go func() {
			x.Flush(ctx) // returns when ctx ends
			done <- struct{}{}
		}()
	}
	for range e.taps {
		<-done
	}
}

// closeTaps ends every subscription: the extensions that made them are no more.
func (e *Environment) closeTaps() {
	if len(e.taps) == 0 {
		return
	}
	for _, x := range e.journal.unsubscribe() {
		x.Close()
		if records, bytes := x.Dropped(); records > 0 {
			e.logger.Warn("telemetry was dropped", "extension", x.Extension(), "records", records, "bytes", bytes)
		}
	}
	e.taps = nil
}
