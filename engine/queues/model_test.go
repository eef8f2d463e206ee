package queues_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"kiln"
)

// rig is one message as the model knows it.
type rig struct {
	body, group string
	visible     time.Time
	receipt     string
	receives    int
}

// TestAQueueIsWhatItsModelSays holds books, standard and FIFO, to a list in which every
// message is looked at; now and then the process dies.
func TestAQueueIsWhatItsModelSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) { model(t, rt, rapid.Bool().Draw(rt, "fifo")) })
	})
}

func model(t *testing.T, rt *rapid.T, fifo bool) {
	store := newMemory()
	b := open(t, store)
	name := "q"
	if fifo {
		name = "q.fifo"
	}
	q := create(t, b, name, nil)
	var list []*rig
	sent := 0
	// free are the messages that may be received now, in their order.
	free := func() []*rig {
		var out []*rig
		locked := map[string]bool{}
		now := time.Now()
		for _, m := range list {
			hidden := m.visible.After(now)
			if fifo && m.receipt != "" && hidden {
				locked[m.group] = true
			}
			if !hidden {
				out = append(out, m)
			}
		}
		return slices.DeleteFunc(out, func(m *rig) bool { return locked[m.group] })
	}
	for range rapid.IntRange(1, 60).Draw(rt, "steps") {
		switch rapid.IntRange(0, 5).Draw(rt, "step") {
		case 0, 1:
			m := &rig{body: fmt.Sprint(sent), visible: time.Now()}
			sent++
			out := kiln.Message{Body: m.body}
			if fifo {
				m.group = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "group")
				out.Group, out.Dedup = m.group, m.body
			} else if rapid.Bool().Draw(rt, "delayed") {
				d := time.Duration(rapid.IntRange(1, 40).Draw(rt, "delay")) * time.Second
				m.visible, out.Delay = time.Now().Add(d), &d
			}
			send(t, b, q, out)
			list = append(list, m)
		case 2:
			n := rapid.IntRange(1, 10).Draw(rt, "n")
			may := free()
			got := receive(t, b, q, n)
			if len(got) != min(n, len(may)) {
				rt.Fatalf("received %q, of %d that are free", bodies(got), len(may))
			}
			next := map[string]int{} // of each group, where its next message stands in may
			for _, r := range got {
				i := slices.IndexFunc(may, func(m *rig) bool { return m.body == r.Body })
				if i < 0 {
					rt.Fatalf("%s must not be received", r.Body)
				}
				m := may[i]
				for _, other := range may[next[m.group]:i] {
					if fifo && other.group == m.group {
						rt.Fatalf("%s was received before %s of its group", m.body, other.body)
					}
				}
				next[m.group] = i + 1
				m.receives++
				m.receipt, m.visible = r.Receipt, time.Now().Add(30*time.Second)
				if r.Receives != m.receives {
					rt.Fatalf("%s was received %d times and not %d", m.body, m.receives, r.Receives)
				}
			}
		case 3:
			var out []*rig
			for _, m := range list {
				if m.receipt != "" && m.visible.After(time.Now()) {
					out = append(out, m)
				}
			}
			if len(out) == 0 {
				continue
			}
			m := rapid.SampledFrom(out).Draw(rt, "held")
			if rapid.Bool().Draw(rt, "delete") {
				drop(t, b, q, kiln.Received{Receipt: m.receipt})
				list = slices.DeleteFunc(list, func(x *rig) bool { return x == m })
				continue
			}
			d := time.Duration(rapid.IntRange(0, 60).Draw(rt, "hide")) * time.Second
			if each, err := b.Hide(t.Context(), q, []kiln.Hiding{{Receipt: m.receipt, For: d}}); err != nil || each[0] != nil {
				rt.Fatal(each, err)
			}
			m.visible = time.Now().Add(d)
		case 4:
			time.Sleep(time.Duration(rapid.IntRange(0, 35).Draw(rt, "sleep")) * time.Second)
		case 5:
			_ = b.Close()
			b = open(t, store)
		}
	}
	n, err := b.Count(q)
	if err != nil || n.Visible+n.Hidden+n.Delayed != len(list) || len(store.messages) != len(list) {
		rt.Fatalf("%+v %v, the store has %d, and there are %d", n, err, len(store.messages), len(list))
	}
	_ = b.Close()
}
