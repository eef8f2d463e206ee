package hostile_test

import (
	"strings"
	"testing"
	"time"
)

func TestD04NobodySpeaksInTheNameOfAnotherOrToAll(t *testing.T) {
	w := newWorld(t)
	far, host := w.internet.watch(t), w.host.watch(t)
	forged := event{Do: "forge", Dial: []string{site4 + ":9999", "192.0.2.66", docker4}, Text: "control"}
	// The host itself, as root, does it.
	r := w.control(t, forged)
	r.worked(t, "transparent 192.0.2.66", "raw 192.0.2.66", "wanted own")
	if err := within(5*time.Second, func() bool {
		return far("control transparent 0") > 0 && far("control raw 0") > 0 && far("control own") > 0
	}); err != nil {
		t.Fatal("without a sandbox nothing forged was seen: this attack proves nothing")
	}
	x := w.serve(t).trial(t)
	forged.Text, forged.Hold = "inside", true
	name := x.attacker(t, "")
	r = x.ask(t, name, forged)
	r.refused(t, []string{"EPERM", "EINVAL", "EAFNOSUPPORT", "EACCES", "ENETUNREACH"}, nil)
	others := 0
	for what := range r.Results {
		if strings.HasPrefix(what, "hardware of ") {
			others++
		}
	}
	if others == 0 {
		t.Error("the function sees no interface: nothing was changed")
	}
	if err := within(10*time.Second, func() bool { return far("inside own") > 0 }); err != nil {
		t.Fatal("what the function sent in its own name did not come")
	}
	for _, how := range []string{"free", "transparent", "packet", "raw"} {
		if n := far("inside "+how) + host("inside "+how); n > 0 {
			t.Errorf("%d datagrams forged by %s were seen", n, how)
		}
	}
	if n := far("inside all"); n > 0 {
		t.Errorf("%d datagrams to everybody left the host", n)
	}
}
