package worker_test

import (
	"os"
	"path/filepath"
	"testing"

	"kiln/engine/worker"
)

// kernel writes the files of a host and gives it.
func kernel(t *testing.T, files map[string]string) worker.Kernel {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return worker.Kernel{Root: root}
}

const meminfo = "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    4000000 kB\n"

func TestTheHostsMemoryIsThatOfTheMachineOrOfTheCgroup(t *testing.T) {
	for _, c := range []struct {
		name             string
		files            map[string]string
		total, available int64
	}{
		{"no group", map[string]string{"proc/meminfo": meminfo}, 8000000 << 10, 4000000 << 10},
		{"version 2 without a limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n",
		}, 8000000 << 10, 4000000 << 10},
		{"version 2", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1000000000\n",
			"sys/fs/cgroup/a/memory.current": "700000000\n", "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 200000000\n",
		}, 1000000000, 500000000},
		{"version 2 in a container", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/docker/123\n", "sys/fs/cgroup/memory.max": "1000000000\n",
			"sys/fs/cgroup/memory.current": "700000000\n",
		}, 1000000000, 300000000},
		{"version 1", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,cpuacct:/\n3:memory:/b\n0::/\n",
			"sys/fs/cgroup/memory/b/memory.limit_in_bytes": "2000000000\n", "sys/fs/cgroup/memory/b/memory.usage_in_bytes": "500000000\n",
			"sys/fs/cgroup/memory/b/memory.stat": "inactive_file 1\ntotal_inactive_file 100000000\n",
		}, 2000000000, 1600000000},
		{"version 1 without a limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "3:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 8000000 << 10, 4000000 << 10},
	} {
		k := kernel(t, c.files)
		total, err := k.Total()
		if err != nil || total != c.total {
			t.Errorf("%s: total %d, %v; want %d", c.name, total, err, c.total)
		}
		available, err := k.Available()
		if err != nil || available != c.available {
			t.Errorf("%s: available %d, %v; want %d", c.name, available, err, c.available)
		}
	}
}

func TestAHostThatTellsNoMemoryIsAnError(t *testing.T) {
	for _, files := range []map[string]string{{}, {"proc/meminfo": "Nothing: 1 kB\n"}} {
		k := kernel(t, files)
		if n, err := k.Total(); err == nil {
			t.Errorf("total is %d", n)
		}
		if n, err := k.Available(); err == nil {
			t.Errorf("available is %d", n)
		}
		w := worker.New(worker.Options{Launcher: &world{}, Host: k})
		if got := w.Load().MemoryBytes; got != 0 {
			t.Errorf("the budget is %d, want none", got)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestThisHostTellsItsMemory(t *testing.T) {
	if _, err := os.Stat("/proc/meminfo"); err != nil {
		t.Skip("needs /proc: ", err)
	}
	total, err := worker.Kernel{}.Total()
	if err != nil {
		t.Fatal(err)
	}
	available, err := worker.Kernel{}.Available()
	if err != nil || available <= 0 || available > total {
		t.Errorf("total %d, available %d, %v", total, available, err)
	}
}
