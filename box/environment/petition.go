package environment

import (
	"context"

	"kiln/box/rapi"
)

// listener is one GET event/next. What it waits for is sent once.
type listener struct{ told chan news }

type news struct {
	event *rapi.ExtensionEvent
	err   error
}

// petition is what an extension asks of the environment's goroutine. The verdict is
// sent once, except on a listener, which is told by its own channel.
type petition struct {
	id           string // of the extension that asks; "" when it registers
	registration rapi.Registration
	listener     *listener
	errorType    string
	verdict      chan verdict
}

type verdict struct {
	registered *rapi.Registered
	refusal    *rapi.Refusal
}

// Register asks to be taken in.
func (l *life) Register(r rapi.Registration) (*rapi.Registered, *rapi.Refusal) {
	v := l.plead(register, &petition{registration: r})
	return v.registered, v.refusal
}

// NextEvent waits for an event of an extension.
func (l *life) NextEvent(ctx context.Context, id string) (*rapi.ExtensionEvent, error) {
	p := &petition{id: id, listener: &listener{make(chan news, 1)}}
	if !l.send(message{kind: listen, life: l, petition: p}) {
		return nil, errLifeOver
	}
	select {
	case n := <-p.listener.told:
		return n.event, n.err
	case <-ctx.Done():
		l.send(message{kind: forsake, life: l, petition: p})
		return nil, ctx.Err()
	case <-l.done:
		return nil, errLifeOver
	}
}

// ExtensionInitError hands in that an extension could not begin.
func (l *life) ExtensionInitError(id, errorType string) *rapi.Refusal {
	return l.plead(extensionInit, &petition{id: id, errorType: errorType}).refusal
}

// ExtensionExitError hands in that an extension ends because of an error.
func (l *life) ExtensionExitError(id, errorType string) *rapi.Refusal {
	return l.plead(extensionExit, &petition{id: id, errorType: errorType}).refusal
}

// plead brings a petition to the environment's goroutine and waits for its verdict.
func (l *life) plead(k kind, p *petition) verdict {
	p.verdict = make(chan verdict, 1)
	if !l.send(message{kind: k, life: l, petition: p}) {
		return verdict{refusal: lifeOver()}
	}
	select {
	case v := <-p.verdict:
		return v
	case <-l.done:
		return verdict{refusal: lifeOver()}
	}
}
