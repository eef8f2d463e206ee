package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kiln"
)

func TestABatchIsClosedByNumberBySizeOrByTime(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		story string
		l     limits
		t     tally
		after time.Duration // since the first record
		most  int
		wait  time.Duration
	}{
		{"nothing yet: a long wait for whatever comes", limits{10, 1000, 0}, tally{}, 0, 10, longPoll},
		{"nothing yet, with a window: the window has not begun", limits{100, 1000, time.Second}, tally{}, 0, 100, longPoll},
		{"without a window what is there goes at once", limits{10, 1000, 0}, tally{records: 1, bytes: 10}, 0, 0, 0},
		{"with one it waits for the rest", limits{100, 1000, 5 * time.Second}, tally{records: 30, bytes: 10}, 2 * time.Second, 70, 3 * time.Second},
		{"but never longer than a long poll", limits{100, 1000, 300 * time.Second}, tally{records: 30, bytes: 10}, 0, 70, longPoll},
		{"until the window is over", limits{100, 1000, 5 * time.Second}, tally{records: 30, bytes: 10}, 5 * time.Second, 0, 0},
		{"or the batch is full", limits{100, 1000, 5 * time.Second}, tally{records: 100, bytes: 10}, 0, 0, 0},
		{"or large enough", limits{100, 1000, 5 * time.Second}, tally{records: 2, bytes: 1000}, 0, 0, 0},
		{"a clock that is set back closes nothing early", limits{100, 1000, 5 * time.Second}, tally{records: 2, bytes: 10}, -time.Hour, 98, longPoll},
	} {
		c.t.first = start
		if most, wait := c.l.step(c.t, start.Add(c.after)); most != c.most || wait != c.wait {
			t.Errorf("%s: got %d in %v, want %d in %v", c.story, most, wait, c.most, c.wait)
		}
	}
}

func TestBatchesKeepTheirLimitsAndTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits{records: rapid.IntRange(1, 20).Draw(t, "records"), bytes: rapid.IntRange(frame, 500).Draw(t, "bytes")}
		sizes := rapid.SliceOf(rapid.IntRange(1, 300)).Draw(t, "sizes")
		at := 0
		for _, n := range l.cut(sizes) {
			sum := tally{records: n}
			for _, s := range sizes[at : at+n] {
				sum.bytes += s
			}
			if n < 1 || n > l.records || n > 1 && sum.size() > l.bytes {
				t.Fatalf("a batch of %d records and %d bytes", n, sum.size())
			}
			if next := at + n; next < len(sizes) && n < l.records && (tally{records: n + 1, bytes: sum.bytes + sizes[next]}).size() <= l.bytes {
				t.Fatalf("a batch of %d could have one more", n)
			}
			at += n
		}
		if at != len(sizes) {
			t.Fatalf("%d of %d records", at, len(sizes))
		}
	})
}

// batchOf makes records of names like "a" or "a/group".
func batchOf(text string) []Record {
	var out []Record
	for name := range strings.FieldsSeq(text) {
		id, group, _ := strings.Cut(name, "/")
		out = append(out, Record{ID: id, Group: group, JSON: []byte(`{"id":"` + id + `"}`)})
	}
	return out
}

func TestWhatBecomesOfABatch(t *testing.T) {
	answer := func(s string) *kiln.Outcome { return &kiln.Outcome{Payload: []byte(s)} }
	for _, c := range []struct {
		story            string
		batch            string
		partial, ordered bool
		out              *kiln.Outcome
		err              error
		want             string // what failed
		again            bool
	}{
		{"success", "a b", false, false, answer(`"x"`), nil, "", false},
		{"a failure", "a b", false, false, &kiln.Outcome{Failed: true, Payload: []byte(`{}`)}, nil, "a b", false},
		{"a report that was not asked for", "a b", false, false, answer(`{"batchItemFailures":[{"itemIdentifier":"a"}]}`), nil, "", false},
		{"one failed", "a b c", true, false, answer(`{"batchItemFailures":[{"itemIdentifier":"b"}]}`), nil, "b", false},
		{"none failed", "a b", true, false, answer(`{"batchItemFailures":[]}`), nil, "", false},
		{"a null list", "a b", true, false, answer(`{"batchItemFailures":null}`), nil, "", false},
		{"an empty answer", "a b", true, false, answer(`{}`), nil, "", false},
		{"null", "a b", true, false, answer(`null`), nil, "", false},
		{"no answer", "a b", true, false, answer(``), nil, "", false},
		{"not JSON", "a b", true, false, answer(`{`), nil, "a b", false},
		{"a text", "a b", true, false, answer(`"ok"`), nil, "a b", false},
		{"no name", "a b", true, false, answer(`{"batchItemFailures":[{"foo":"notvalid"}]}`), nil, "a b", false},
		{"an empty name", "a b", true, false, answer(`{"batchItemFailures":[{"itemIdentifier":""}]}`), nil, "a b", false},
		{"a null name", "a b", true, false, answer(`{"batchItemFailures":[{"itemIdentifier":null}]}`), nil, "a b", false},
		{"a null item", "a b", true, false, answer(`{"batchItemFailures":[null]}`), nil, "a b", false},
		{"an unknown name", "a b", true, false, answer(`{"batchItemFailures":[{"itemIdentifier":"z"}]}`), nil, "a b", false},
		{"a failure of a function that reports", "a b", true, false, &kiln.Outcome{Failed: true, Payload: []byte(`{"batchItemFailures":[]}`)}, nil, "a b", false},
		{"in order, those behind fail too", "a/1 b/2 c/1 d/2 e/1", true, true, answer(`{"batchItemFailures":[{"itemIdentifier":"c"}]}`), nil, "c e", false},
		{"no order, no followers", "a/1 b/2 c/1 d/2 e/1", true, false, answer(`{"batchItemFailures":[{"itemIdentifier":"c"}]}`), nil, "c", false},
		{"no room", "a b", true, false, nil, kiln.Errorf(kiln.Throttled, "x"), "a b", true},
		{"going down", "a b", true, false, nil, kiln.Errorf(kiln.Unavailable, "x"), "a b", true},
		{"no function", "a b", true, false, nil, kiln.Errorf(kiln.NotFound, "x"), "a b", false},
		{"too large", "a b", true, false, nil, kiln.Errorf(kiln.TooLarge, "x"), "a b", false},
		{"a fault", "a b", true, false, nil, errors.New("x"), "a b", false},
	} {
		records := batchOf(c.batch)
		v := judge(records, c.partial, c.ordered, c.out, c.err)
		_, failed := split(records, v.failed)
		var got []string
		for _, r := range failed {
			got = append(got, r.ID)
		}
		if strings.Join(got, " ") != c.want || v.again != c.again || (v.result == "") != (c.want == "") {
			t.Errorf("%s: failed %v, again %v, %q", c.story, got, v.again, v.result)
		}
	}
}

func TestPausesGrowAndEnd(t *testing.T) {
	var got []string
	for i := range 9 {
		got = append(got, pause(i).String())
	}
	if want := "1s 1s 2s 4s 8s 16s 30s 30s 30s"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if !mayWait(10*time.Second, time.Second, 3*time.Second, 30*time.Second) || mayWait(26*time.Second, time.Second, 3*time.Second, 30*time.Second) {
		t.Error("a batch is tried again while its records are held, and not beyond")
	}
}

func TestStatesOfAMapping(t *testing.T) {
	states := []kiln.MappingState{kiln.MappingCreating, kiln.MappingEnabling, kiln.MappingEnabled, kiln.MappingDisabling, kiln.MappingDisabled, kiln.MappingUpdating, kiln.MappingDeleting}
	var table []string
	for _, s := range states {
		for w, name := range []string{"update", "enable", "disable", "delete"} {
			next, err := begin(s, wish(w))
			if err != nil {
				if kiln.CodeOf(err) != kiln.Conflict || settled(s) {
					t.Errorf("%s %s: %v", s, name, err)
				}
				continue
			}
			table = append(table, fmt.Sprintf("%s %s %s", s, name, next))
		}
	}
	want := []string{
		"Enabled update Updating", "Enabled enable Updating", "Enabled disable Disabling", "Enabled delete Deleting",
		"Disabled update Updating", "Disabled enable Enabling", "Disabled disable Updating", "Disabled delete Deleting",
	}
	if !slices.Equal(table, want) {
		t.Errorf("got %q", table)
	}
}
