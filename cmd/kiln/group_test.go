package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAGroupEndsBackwardsAndWholly(t *testing.T) {
	var g group
	var ended []string
	broken := errors.New("broken")
	for _, name := range []string{"store", "worker", "api"} {
		g.addCloser(name, func() error {
			ended = append(ended, name)
			if name == "worker" {
				return broken
			}
			return nil
		})
	}
	err := g.close(t.Context())
	if want := []string{"api", "worker", "store"}; !slices.Equal(ended, want) {
		t.Errorf("ended %q, want %q", ended, want)
	}
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "end worker: broken") {
		t.Errorf("got %v", err)
	}
	if again := g.close(t.Context()); !errors.Is(again, broken) || len(ended) != 3 {
		t.Errorf("a second time: got %v, ended %q", again, ended)
	}
}

func TestTheDeadlineComesByTimeOrBySignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again := make(chan struct{})
		ctx, cancel := deadline(20*time.Second, again)
		time.Sleep(19 * time.Second)
		if ctx.Err() != nil {
			t.Error("it came too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("got %v after 20 s", ctx.Err())
		}
		cancel()

		ctx, cancel = deadline(20*time.Second, again)
		close(again)
		synctest.Wait()
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("got %v after a second signal", ctx.Err())
		}
		cancel()
	})
}
