package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// allStopped says whether no thread of the groups executes anything before it is
// continued. One that waits in the kernel for a child to execute, D, has the
// signal before it on its way out.
func allStopped(groups map[int]bool) bool { return all(groups, "TtDZXx") }

// allDead says whether every process of the groups has ended, even if nobody has
// reaped it yet: an orphan belongs to the host's process 1, which may take its time.
func allDead(groups map[int]bool) bool { return all(groups, "ZXx") }

// all says whether the state of each thread of the groups is one of the letters.
func all(groups map[int]bool, letters string) bool {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return false
	}
	for _, path := range stats {
		state, group := readStat(path)
		if !groups[group] {
			continue
		}
		if strings.IndexByte(letters, state) < 0 {
			return false
		}
		// The state of a process is that of its first thread.
		threads, err := filepath.Glob(filepath.Join(filepath.Dir(path), "task/[0-9]*/stat"))
		if err != nil {
			return false
		}
		for _, thread := range threads {
			if state, group := readStat(thread); groups[group] && strings.IndexByte(letters, state) < 0 {
				return false
			}
		}
	}
	return true
}

// readStat gives the state letter and the process group of a thread; one that has
// ended has the group 0.
func readStat(path string) (state byte, group int) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 'X', 0
	}
	end := bytes.LastIndexByte(raw, ')') // the name before it may hold anything
	f := bytes.Fields(raw[end+1:])
	if end < 0 || len(f) < 3 {
		return 'X', 0
	}
	group, err = strconv.Atoi(string(f[2]))
	if err != nil {
		return 'X', 0
	}
	return f[0][0], group
}
