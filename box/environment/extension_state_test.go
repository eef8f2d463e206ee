package environment

import (
	"testing"

	"kiln/box/rapi"
)

// TestAnEventThatNobodySawIsGivenAgain follows one extension whose connections break
// before, while and after it is given an event.
func TestAnEventThatNobodySawIsGivenAgain(t *testing.T) {
	event := func(id string) *rapi.ExtensionEvent { return &rapi.ExtensionEvent{Identifier: id} }
	ear := func() *listener { return &listener{make(chan news, 1)} }
	heard := func(l *listener) string {
		select {
		case n := <-l.told:
			if n.err != nil {
				return n.err.Error()
			}
			return n.event.Identifier
		default:
			return ""
		}
	}
	x := &extension{state: extensionReady}
	broken, whole := ear(), ear()
	x.listen(broken)
	x.forsake(broken) // before: the event waits
	if x.give(event("1")); x.asked {
		t.Error("it has an event and counts as one that asked")
	}
	x.listen(whole)
	if got := heard(whole); got != "1" || x.asked || x.state != extensionRunning {
		t.Errorf("got %q, asked %v, %s", got, x.asked, x.state)
	}
	x.forsake(whole) // while: it was given, and the connection is gone
	next := ear()
	x.listen(next)
	if got := heard(next); got != "1" || x.asked {
		t.Errorf("got %q, asked %v", got, x.asked)
	}
	last := ear()
	x.listen(last) // after: asking again is the end of the event
	if got := heard(last); got != "" || !x.asked {
		t.Errorf("got %q, asked %v", got, x.asked)
	}
	x.forsake(next) // long ago
	older, newer := last, ear()
	x.listen(newer)
	x.give(event("2"))
	if got := heard(newer); got != "2" || heard(older) != "" || x.asked {
		t.Errorf("the newer of two who ask got %q", got)
	}
	x.forsake(newer) // which was the broken one
	if got := heard(older); got != "2" || x.asked || x.pending != nil {
		t.Errorf("the older one got %q", got)
	}
}

func TestAnExtensionMovesAsAWSAllows(t *testing.T) {
	for to, from := range map[extensionState]string{
		extensionRegistered: "Started", extensionReady: "Registered Ready Running ", extensionInitError: "Registered", extensionExitError: "Registered Ready Running ",
		extensionStarted: "", extensionRunning: "", extensionExited: "", extensionLaunchError: "",
	} {
		allowed := ""
		for s := range extensionStates {
			x := &extension{state: extensionState(s), id: "i"}
			refusal := x.move(to)
			if refusal == nil {
				allowed += extensionStates[s] + " "
				continue
			}
			if want := "State transition from " + extensionStates[s] + " to " + to.String() + " failed for extension i. Error: State transition is not allowed"; refusal.Message != want || refusal.Status != 403 || refusal.Type != "Extension.InvalidExtensionState" {
				t.Errorf("got %+v", refusal)
			}
		}
		if want := from; allowed != want && allowed != want+" " {
			t.Errorf("to %s: from %q, want %q", to, allowed, want)
		}
	}
}
