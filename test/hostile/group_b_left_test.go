package hostile_test

import (
	"strings"
	"testing"

	"kiln/test/harness"
)

func TestB11WhatAProcessLeftBehindIsGoneWithIt(t *testing.T) {
	x := common(t).trial(t)
	for _, attack := range []event{
		{Do: "shm", Limit: 100 * mega},
		{Do: "semaphores", Limit: 3000},
		{Do: "leave", Dir: "/dev/shm", Limit: 1024 * mega},
		{Do: "queues", Limit: 5000},
	} {
		name := x.attacker(t, attack.Do)
		r := x.ask(t, name, attack)
		if r.Numbers["bytes"]+r.Numbers["sets"]+r.Numbers["queues"] == 0 {
			t.Errorf("%s: nothing was left behind: %v", attack.Do, r)
		}
		// Its process goes, and the environment stays.
		if _, message := harness.FailureOf(t, name, x.call(t, name, event{Do: "hog", Limit: 400 * mega, Text: "quiet"})); !strings.Contains(message, "signal: killed") {
			t.Errorf("%s: got %s, want that memory ran out", attack.Do, message)
		}
		// The next process has all the memory that the first one had, and all the names.
		for range 2 {
			if err := x.ping(name); err != nil {
				t.Errorf("%s: a call after: %v", attack.Do, err)
			}
		}
		out := x.call(t, name, event{Do: "hog", Limit: 100 * mega, Text: "quiet"})
		if out.FunctionError != nil {
			t.Errorf("%s: a call that needs 100 of %d MB: %s", attack.Do, memoryMB, out.Payload)
		}
		if attack.Do == "queues" {
			if r := x.ask(t, name, event{Do: "queues", Limit: 1}); r.Numbers["queues"] != 1 {
				t.Errorf("a queue of a name that was there before: %v", r.Results)
			}
		}
	}
}
