package api

import (
	"math/rand/v2"
	"testing"
)

func TestPursesTogetherHoldWhatTheyTookAndNoMoreThanTheyMay(t *testing.T) {
	const own, most, shared = 10, 60, 100
	p := pot{own: own, most: most, shared: shared}
	purses := make([]purse, 8)
	taken := make([][]int64, len(purses))
	for i := range purses {
		purses[i].pot = &p
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 20000 {
		k := rnd.IntN(len(purses))
		if n := len(taken[k]); n > 0 && rnd.IntN(2) == 0 {
			purses[k].give(taken[k][n-1])
			taken[k] = taken[k][:n-1]
		} else {
			n := rnd.Int64N(30)
			var held, beyond int64
			for i := range taken {
				var sum int64
				for _, x := range taken[i] {
					sum += x
				}
				if i == k {
					held = sum
				} else {
					beyond += max(0, sum-own)
				}
			}
			fits := held+n <= most && (held+n <= own || beyond+max(0, held+n-own) <= shared)
			if got := purses[k].take(n); got != fits {
				t.Fatalf("a purse with %d, others %d beyond theirs, %d more: got %v, want %v", held, beyond, n, got, fits)
			}
			if fits {
				taken[k] = append(taken[k], n)
			} else {
				refused++
			}
		}
	}
	for k := range purses {
		for _, n := range taken[k] {
			purses[k].give(n)
		}
		if purses[k].held != 0 {
			t.Errorf("purse %d still holds %d", k, purses[k].held)
		}
	}
	if p.used != 0 || refused < 100 {
		t.Errorf("%d is still used, %d were refused", p.used, refused)
	}
}
