package sandboxtest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"kiln/box/sandbox"
)

// anyOrder lets several goroutines do to one box whatever may be done, in an order
// that differs with each, and wants every answer to be one that the contract
// knows. What is left must be able to run a program, or be gone.
func anyOrder(t *testing.T, r *rig) {
	for seed := range uint64(4) {
		b := r.create(t)
		var all sync.WaitGroup
		for worker := range uint64(4) {
			dice := rand.New(rand.NewPCG(seed, worker))
			all.Go(func() {
				for range 15 {
					if err := something(t, b, dice.IntN(7)); err != nil && !errors.Is(err, sandbox.ErrFrozen) && !errors.Is(err, sandbox.ErrGone) {
						t.Errorf("seed %d, worker %d: %v", seed, worker, err)
					}
				}
			})
		}
		all.Wait()
		if err := b.Thaw(); err != nil {
			t.Error(err)
		}
		if err := b.KillAll(); err != nil {
			t.Error(err)
		}
		run(t, b, "exit", "0")
		if seed%2 == 0 {
			if err := b.Freeze(); err != nil {
				t.Error(err)
			}
		}
		if err := b.Destroy(); err != nil {
			t.Error(err)
		}
	}
}

// destroyDuringAnything takes a box away from those who use it: every answer is
// that of a whole box, or that it is gone.
func destroyDuringAnything(t *testing.T, r *rig) {
	for range 5 {
		b := r.create(t)
		start(t, b, "deaf").want(t, "ready")
		var all sync.WaitGroup
		for choice := 2; choice < 8; choice++ {
			all.Go(func() {
				for {
					err := something(t, b, choice)
					if errors.Is(err, sandbox.ErrGone) {
						return
					}
					if err != nil {
						t.Errorf("choice %d: %v", choice, err)
						return
					}
				}
			})
		}
		if err := b.Destroy(); err != nil {
			t.Error(err)
		}
		all.Wait()
	}
}

// something does one of the things that a box can do.
func something(t *testing.T, b sandbox.Sandbox, choice int) error {
	switch choice {
	case 0, 1:
		_, err := tryStart(t, b, sandbox.Program{Path: "/probe/probe", Args: []string{"probe", []string{"deaf", "orphan"}[choice]}})
		return err
	case 2:
		return b.Freeze()
	case 3:
		return b.Thaw()
	case 4:
		return b.KillAll()
	case 5:
		return b.Limit(500)
	default:
		_, err := b.Usage()
		return err
	}
}
