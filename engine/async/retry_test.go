package async

import (
	"testing"
	"time"

	"kiln"
)

func TestJudge(t *testing.T) {
	accepted := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return accepted.Add(d) }
	number := func(n int) *int { return &n }
	age := func(d time.Duration) *time.Duration { return &d }
	standard := kiln.EventPolicy{}
	for name, tt := range map[string]struct {
		policy kiln.EventPolicy
		now    time.Duration
		tries  int
		result result
		want   verdict
	}{
		"done":                           {standard, time.Second, 0, succeeded, verdict{over: true, condition: Success}},
		"done at the last try":           {standard, time.Hour, 2, succeeded, verdict{over: true, condition: Success}},
		"failed once":                    {standard, time.Second, 0, failed, verdict{at: at(61 * time.Second), tries: 1}},
		"failed twice":                   {standard, time.Minute, 1, failed, verdict{at: at(3 * time.Minute), tries: 2}},
		"failed three times":             {standard, time.Hour, 2, failed, verdict{over: true, condition: RetriesExhausted, tries: 3}},
		"no retries":                     {kiln.EventPolicy{MaxRetries: number(0)}, 0, 0, failed, verdict{over: true, condition: RetriesExhausted, tries: 1}},
		"one retry":                      {kiln.EventPolicy{MaxRetries: number(1)}, 0, 1, failed, verdict{over: true, condition: RetriesExhausted, tries: 2}},
		"a retry ends with the age":      {kiln.EventPolicy{MaxAge: age(time.Minute)}, 30 * time.Second, 0, failed, verdict{at: at(time.Minute), tries: 1}},
		"refused":                        {standard, time.Hour, 1, refused, verdict{tries: 1}},
		"refused for too long":           {standard, 6 * time.Hour, 1, refused, verdict{over: true, condition: EventAgeExceeded, tries: 1}},
		"refused for longer than it may": {kiln.EventPolicy{MaxAge: age(time.Minute)}, time.Minute, 0, refused, verdict{over: true, condition: EventAgeExceeded}},
		"switched off":                   {standard, 0, 0, switchedOff, verdict{over: true, condition: RetriesExhausted}},
		"in a loop":                      {standard, 0, 1, looping, verdict{over: true, condition: RetriesExhausted, tries: 1}},
		"without a function":             {standard, 0, 1, vanished, verdict{over: true}},
	} {
		if got := judge(tt.policy, accepted, at(tt.now), tt.tries, tt.result); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestPausesDoubleUpToFiveMinutes(t *testing.T) {
	for n, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1000: 5 * time.Minute} {
		if got := pause(n); got != want {
			t.Errorf("after %d refusals: %v, want %v", n, got, want)
		}
	}
}
