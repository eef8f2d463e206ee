package environment

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheMachineTellsTheStories holds the table to the stories in testdata: each is
// a life of an environment, from Created on.
func TestTheMachineTellsTheStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	told := map[[2]int]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		state := Created
		for n, line := range strings.Split(string(text), "\n") {
			if line == "" {
				state = Created
				continue
			}
			if strings.HasPrefix(line, "#") {
				continue
			}
			name, want, _ := strings.Cut(line, " ")
			happened, ok := eventNamed(name)
			if !ok {
				t.Fatalf("%s:%d: no event %q", file, n+1, name)
			}
			from := state
			to, actions, err := step(from, happened)
			got := fmt.Sprintf("%-14s %v", to, actions)
			if err != nil {
				got = err.Error()
				if to != from {
					t.Errorf("%s:%d: an error led to %s", file, n+1, to)
				}
			} else {
				told[[2]int{int(from), int(happened)}] = true
			}
			if got != strings.TrimSpace(want) {
				t.Errorf("%s:%d: %s in %s:\ngot  %s\nwant %s", file, n+1, name, from, got, strings.TrimSpace(want))
			}
			state = to
		}
	}
	for s := range states {
		for e := range events {
			if table[s][e].to != Created && !told[[2]int{int(s), int(e)}] {
				t.Errorf("no story tells what %s does in %s", e, s)
			}
		}
	}
}

func eventNamed(name string) (event, bool) {
	for e := range events {
		if e.String() == name {
			return e, true
		}
	}
	return 0, false
}

// TestEveryEndOfAnInvocationIsReported checks the table as a whole: whatever ends an
// invocation answers its caller first and says END; what leads to Broken leaves no
// process where the next invocation starts its own, and frees the slot, last; what leads
// away from running processes gives them the time to end that they have a right to.
func TestEveryEndOfAnInvocationIsReported(t *testing.T) {
	atWork := map[State]bool{Invoking: true, Responded: true, Reregistering: true, Restarting: true, RestartFailing: true}
	for s := range states {
		for e := range events {
			a := table[s][e]
			if a.to == Created {
				continue
			}
			does := map[action]int{}
			for i, x := range a.actions {
				does[x] = i + 1
			}
			if atWork[s] && !atWork[a.to] {
				if does[endInvocation] == 0 && does[refuse] == 0 {
					t.Errorf("%s in %s ends an invocation without a word", e, s)
				}
				if s != Responded && does[fail] == 0 && does[refuse] == 0 {
					t.Errorf("%s in %s ends an invocation without an answer", e, s)
				}
				if a.to == Ready && does[release] != len(a.actions) {
					t.Errorf("%s in %s: the slot must become free, and last", e, s)
				}
			}
			if a.to == Broken && s != Broken && (does[kill] == 0 || does[release] != len(a.actions)) {
				t.Errorf("%s in %s leaves processes behind, or the slot taken", e, s)
			}
			if a.to.resetting() && !s.resetting() && does[stop] == 0 {
				t.Errorf("%s in %s stops nothing", e, s)
			}
			if a.to == Closing && a.to != s && s != Stopping && does[stop] == 0 {
				t.Errorf("%s in %s stops nothing", e, s)
			}
			if (a.to == Parting || a.to == Leaving) && a.to != s && s != Parting && does[part] != len(a.actions) {
				t.Errorf("%s in %s does not tell the extensions, last", e, s)
			}
			if a.to == Dead && does[over] != len(a.actions) {
				t.Errorf("%s in %s ends without an end", e, s)
			}
			if does[deliver] > 0 && s == Frozen && does[thaw] == 0 {
				t.Errorf("%s in %s sends to a frozen process", e, s)
			}
		}
	}
}

// TestEveryTimeEnds checks that no state in which something is waited for is without an
// end: the deadline is known there, and leads somewhere else.
func TestEveryTimeEnds(t *testing.T) {
	for _, s := range []State{Registering, Initializing, Failing, Invoking, Responded, Stopping, Parting, Reregistering, Restarting, RestartFailing, Closing, Leaving} {
		if to := table[s][deadline].to; to == Created || to == s {
			t.Errorf("a deadline in %s leads to %s", s, to)
		}
	}
}
