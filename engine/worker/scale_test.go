package worker

import (
	"testing"
	"time"
)

func TestGrowStartsOneForEachCallerThatNothingElseServes(t *testing.T) {
	for _, c := range []struct{ waiting, idle, starting, room, want int }{
		{0, 0, 0, 10, 0},
		{1, 0, 0, 10, 1},
		{1, 1, 0, 10, 0},
		{1, 0, 1, 10, 0},
		{200, 0, 0, 1000, 200},
		{200, 20, 30, 1000, 150},
		{200, 0, 0, 7, 7},
		{200, 0, 0, 0, 0},
		{200, 0, 0, -3, 0},
		{3, 9, 9, 10, 0},
	} {
		if got := grow(c.waiting, c.idle, c.starting, c.room); got != c.want {
			t.Errorf("grow(%d, %d, %d, %d) = %d, want %d", c.waiting, c.idle, c.starting, c.room, got, c.want)
		}
	}
}

func TestBackOffDoublesAfterItsPatienceAndHasAnEnd(t *testing.T) {
	want := []time.Duration{0, 0, 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000}
	for failures, ms := range want {
		if got := backOff(failures); got != ms*time.Millisecond {
			t.Errorf("after %d failures %v, want %v", failures, got, ms*time.Millisecond)
		}
	}
	if got := backOff(1 << 40); got != longest {
		t.Errorf("after very many failures %v, want %v", got, longest)
	}
}

func TestAFailedStartCostsOneCallerUntilPatienceEnds(t *testing.T) {
	for _, c := range []struct{ waiting, coming, failures, want int }{
		{10, 0, 1, 1},
		{10, 0, 2, 1},
		{10, 0, 3, 10},
		{10, 4, 3, 6},
		{4, 4, 9, 0},
		{3, 9, 9, 0},
		{0, 0, 1, 0},
	} {
		if got := losers(c.waiting, c.coming, c.failures); got != c.want {
			t.Errorf("losers(%d, %d, %d) = %d, want %d", c.waiting, c.coming, c.failures, got, c.want)
		}
	}
}
