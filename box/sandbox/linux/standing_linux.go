package linux

import (
	"fmt"
	"os"
	"strings"
)

// standing is what this process is on its host: root, or root of a user namespace
// that an ordinary user made, where less is allowed. It is found out, not told: a
// container may be such a namespace too.
type standing struct {
	rootless bool
	// ids are those that boxes can have, each its own; Count 0 where every box must be
	// the one user that there is.
	ids UIDRange
}

// leastIDs is how many ids a namespace must have so that boxes get their own: fewer
// would soon be used up.
const leastIDs = 256

// findStanding reads what this process is.
func findStanding() (standing, error) {
	users, err := readIDMap("/proc/self/uid_map")
	if err != nil {
		return standing{}, err
	}
	groups, err := readIDMap("/proc/self/gid_map")
	if err != nil {
		return standing{}, err
	}
	if all := []idMapping{{0, 0, 1<<32 - 1}}; len(users) == 1 && users[0] == all[0] {
		return standing{}, nil
	}
	return standing{rootless: true, ids: commonIDs(users, groups)}, nil
}

// idMapping is one line of a map of ids: count ids from inside on are those from
// outside on.
type idMapping struct{ inside, outside, count int }

// readIDMap reads a map of ids from proc.
func readIDMap(path string) ([]idMapping, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []idMapping
	for line := range strings.Lines(string(text)) {
		var m idMapping
		if _, err := fmt.Sscan(line, &m.inside, &m.outside, &m.count); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, m)
	}
	return list, nil
}

// commonIDs gives the longest range from 1000 on that users and groups both have; none
// if it is too short.
func commonIDs(users, groups []idMapping) UIDRange {
	var best UIDRange
	for _, u := range users {
		for _, g := range groups {
			first := max(u.inside, g.inside, 1000)
			if count := min(u.inside+u.count, g.inside+g.count) - first; count > best.Count {
				best = UIDRange{First: first, Count: count}
			}
		}
	}
	if best.Count < leastIDs {
		return UIDRange{}
	}
	best.Count = min(best.Count, 100_000)
	return best
}

// tier says in a few words how far boxes are kept apart.
func (s standing) tier() string {
	if s.rootless {
		return "namespaces, rootless"
	}
	return "namespaces, root"
}

// shared says whether all boxes are one and the same user of the host.
func (s standing) shared() bool { return s.rootless && s.ids.Count == 0 }

// choose gives the range of ids for boxes: the wanted one where it can be had, and by
// default one that nobody else has. A range of shared ids is what programs see.
func (s standing) choose(wanted UIDRange, owner string) (UIDRange, error) {
	switch {
	case !s.rootless || s.shared():
		if wanted == (UIDRange{}) {
			return defaultUIDs(owner), nil
		}
	case wanted == (UIDRange{}):
		return s.ids, nil
	case wanted.First < s.ids.First || wanted.First+wanted.Count > s.ids.First+s.ids.Count:
		return UIDRange{}, fmt.Errorf("uid range %d+%d: this user namespace has %d+%d", wanted.First, wanted.Count, s.ids.First, s.ids.Count)
	}
	return wanted, nil
}

// limitsProcesses says whether the kernel's limit of processes for each user holds for
// each box by itself: it does where a box has a user of its own, and, since Linux
// 5.14, where it has a user namespace of its own.
func (s standing) limitsProcesses(release string) bool {
	return !s.shared() || newerThan(release, 5, 14)
}

// newerThan says whether a kernel release is at least major.minor.
func newerThan(release string, major, minor int) bool {
	var a, b int
	n, err := fmt.Sscanf(release, "%d.%d", &a, &b)
	return n == 2 && err == nil && (a > major || a == major && b >= minor)
}
