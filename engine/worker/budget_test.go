package worker

import (
	"math/rand/v2"
	"testing"
)

const mib = 1 << 20

func TestTheBudgetTakesUntilItIsFull(t *testing.T) {
	b := budget{limit: 100, most: 3}
	for _, c := range []struct {
		bytes int64
		want  bool
	}{{60, true}, {50, false}, {40, true}, {1, false}} {
		if got := b.take(c.bytes); got != c.want {
			t.Errorf("take(%d) = %v with %d of %d in use", c.bytes, got, b.used, b.limit)
		}
	}
	if got, want := b.lack(30), (shortage{bytes: 30}); got != want {
		t.Errorf("lack is %+v, want %+v", got, want)
	}
	b.give(60)
	first, second, third := b.take(10), b.take(10), b.take(10)
	if !first || !second || third || b.used != 60 || b.environments != 3 {
		t.Errorf("three environments of three: %+v", b)
	}
	if got, want := b.lack(10), (shortage{environments: 1}); got != want {
		t.Errorf("lack is %+v, want %+v", got, want)
	}
	b.give(10)
	b.pressed = true
	if b.take(1) {
		t.Error("a pressed host took one more")
	}
	b.give(40)
	if b.environments != 1 || b.used != 10 {
		t.Errorf("got %+v", b)
	}
}

func TestTheFirstEnvironmentAlwaysFits(t *testing.T) {
	for _, b := range []budget{{limit: 1, most: 1}, {limit: 1, most: 1, pressed: true}, {limit: 1}} {
		if !b.take(1 << 40) {
			t.Errorf("%+v took nothing", b)
		}
	}
}

func TestAChargeIsTheMeasureAndHeadroomWithinTheLimit(t *testing.T) {
	for _, c := range []struct{ measured, limit, want int64 }{
		{40 * mib, 128 * mib, 50 * mib},
		{120 * mib, 128 * mib, 128 * mib},
		{0, 128 * mib, smallest},
		{40 * mib, 0, 50 * mib},
	} {
		if got := charge(c.measured, c.limit, 0.25); got != c.want {
			t.Errorf("charge(%d, %d) = %d, want %d", c.measured, c.limit, got, c.want)
		}
	}
	if got := estimate(0, 10240*mib); got != firstEstimate {
		t.Errorf("the first estimate is %d", got)
	}
	if got := estimate(70*mib, 128*mib); got != 70*mib {
		t.Errorf("after experience the estimate is %d", got)
	}
	if got := estimate(700*mib, 128*mib); got != 128*mib {
		t.Errorf("the estimate %d is above the limit", got)
	}
}

func TestExperienceGrowsAtOnceAndShrinksSlowly(t *testing.T) {
	l := learn(0, 10*mib)
	l = learn(l, 100*mib)
	if l != 100*mib {
		t.Errorf("got %d after a large one", l)
	}
	l = learn(l, 20*mib)
	if l != 90*mib {
		t.Errorf("got %d MB after one small one, want 90", l/mib)
	}
	for range 100 {
		l = learn(l, 20*mib)
	}
	if l > 21*mib {
		t.Errorf("got %d MB after a hundred small ones", l/mib)
	}
}

func TestTheQueueKeepsItsOrderWhoeverLeaves(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var q queue
	var model []*waiter
	for range 20000 {
		switch r.IntN(4) {
		case 0, 1:
			w := &waiter{}
			q.push(w)
			model = append(model, w)
		case 2:
			got, want := q.pop(), (*waiter)(nil)
			if r.IntN(2) == 0 && got != nil { // and the other end as well
				model = model[1:]
				if got.queued {
					t.Fatal("a waiter that was taken says that it is queued")
				}
				got = q.popLast()
				if len(model) > 0 {
					want, model = model[len(model)-1], model[:len(model)-1]
				}
			} else if len(model) > 0 {
				want, model = model[0], model[1:]
			}
			if got != want {
				t.Fatal("the queue gave another waiter than the model")
			}
		case 3:
			if len(model) == 0 {
				continue
			}
			i := r.IntN(len(model))
			w := model[i]
			model = append(model[:i:i], model[i+1:]...)
			if !q.remove(w) || q.remove(w) {
				t.Fatal("a waiter could not be removed exactly once")
			}
		}
		if q.length != len(model) {
			t.Fatalf("the queue says %d, want %d", q.length, len(model))
		}
	}
}
