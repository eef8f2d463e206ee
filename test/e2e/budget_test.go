package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

func TestTheMemoryBudgetIsWhatTheOperatorSays(t *testing.T) {
	budget := func(args ...string) int64 {
		t.Helper()
		s := start(t, append([]string{"--console", "127.0.0.1:0"}, args...)...)
		var lock struct{ Console string }
		text, err := os.ReadFile(filepath.Join(s.Data, "kiln.lock"))
		if err != nil || json.Unmarshal(text, &lock) != nil || lock.Console == "" {
			t.Fatalf("the lock does not say where the console is: %v %s", err, text)
		}
		r, err := http.Get(lock.Console + "/status.json")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var figures struct{ Load struct{ MemoryBytes int64 } }
		if err := json.NewDecoder(r.Body).Decode(&figures); err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("the console answers %s, %v", r.Status, err)
		}
		return figures.Load.MemoryBytes
	}
	const mega = 1 << 20
	if got := budget("--memory-budget", "512MB", "--memory-overcommit", "1.5"); got != 768*mega {
		t.Errorf("512 MB promised 1.5 times are %d MB, want 768", got/mega)
	}
	// The less the machine keeps, the more there is.
	if little, much := budget("--host-reserve", "256MB"), budget("--host-reserve", "512MB"); little-much != 256*mega {
		t.Errorf("reserves of 256 and 512 MB leave %d and %d MB", little/mega, much/mega)
	}
}
