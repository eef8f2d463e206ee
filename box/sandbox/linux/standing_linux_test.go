package linux

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBoxesGetTheIDsThatUsersAndGroupsOfANamespaceHave(t *testing.T) {
	one := []idMapping{{0, 1000, 1}}
	many := []idMapping{{0, 1000, 1}, {1, 100000, 65536}}
	for name, c := range map[string]struct {
		users, groups []idMapping
		want          UIDRange
	}{
		"one id":                     {one, one, UIDRange{}},
		"no groups":                  {many, one, UIDRange{}},
		"as newuidmap is used":       {many, many, UIDRange{1000, 64537}},
		"too few to be of use":       {[]idMapping{{0, 1000, 1}, {1, 5000, 1100}}, many, UIDRange{}},
		"groups begin later":         {many, []idMapping{{0, 1, 1}, {5000, 70000, 2000}}, UIDRange{5000, 2000}},
		"the longest of several":     {[]idMapping{{1000, 1, 300}, {5000, 9000, 900}}, []idMapping{{0, 0, 1 << 30}}, UIDRange{5000, 900}},
		"more than anybody can use":  {[]idMapping{{0, 0, 1 << 30}}, []idMapping{{0, 0, 1 << 30}}, UIDRange{1000, 100_000}},
		"ids of the system are left": {[]idMapping{{0, 100000, 1000}}, []idMapping{{0, 100000, 1000}}, UIDRange{}},
	} {
		if got := commonIDs(c.users, c.groups); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestARangeThatTheNamespaceLacksIsRefused(t *testing.T) {
	s := standing{rootless: true, ids: UIDRange{1000, 5000}}
	if got, err := s.choose(UIDRange{}, "owner"); err != nil || got != s.ids {
		t.Errorf("got %+v, %v, want %+v", got, err, s.ids)
	}
	if got, err := s.choose(UIDRange{2000, 10}, "owner"); err != nil || got != (UIDRange{2000, 10}) {
		t.Errorf("got %+v, %v, want the wanted range", got, err)
	}
	if got, err := s.choose(UIDRange{5990, 11}, "owner"); err == nil {
		t.Errorf("got %+v, want an error", got)
	}
	if got, err := (standing{rootless: true}).choose(UIDRange{}, "owner"); err != nil || got != defaultUIDs("owner") {
		t.Errorf("got %+v, %v, want what programs may see", got, err)
	}
}

func TestKernelReleasesAreCompared(t *testing.T) {
	for release, want := range map[string]bool{
		"5.14.0": true, "5.13.99": false, "4.20.1": false, "6.1.0-56-cloud-amd64": true, "5.14": true, "5.14-rc1": true, "5.9.0": false, "x": false,
	} {
		if got := newerThan(release, 5, 14); got != want {
			t.Errorf("%s: got %v, want %v", release, got, want)
		}
	}
	if (standing{rootless: true}).limitsProcesses("5.10.0") || !(standing{}).limitsProcesses("5.10.0") {
		t.Error("before Linux 5.14 the limit of processes is one for all boxes that share a user, and each box's own else")
	}
}

func TestSubordinateIDsAreThoseOfTheUserByNameOrNumber(t *testing.T) {
	table := filepath.Join(t.TempDir(), "subuid")
	if err := os.WriteFile(table, []byte("ann:100000:65536\n#bob:1:1\nannabel:300000:10\n1000:400000:100\nann:bad:9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readSubordinates(table, []string{"1000", "ann"})
	if want := []UIDRange{{100000, 65536}, {400000, 100}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err := readSubordinates(table, []string{"1001", "bob"}); err == nil || !strings.Contains(err.Error(), "no line for user bob") {
		t.Errorf("got %v, %v, want that there is no line", got, err)
	}
	if _, err := readSubordinates(table+"x", []string{"bob"}); !os.IsNotExist(err) {
		t.Errorf("got %v, want that there is no table", err)
	}
}

func TestTheStateOfAThreadStandsBehindItsName(t *testing.T) {
	for stat, want := range map[string]byte{
		"12 (a) R 1": 'R', "12 (a) T) ) S 1": 'S', "": 'X', "7 () Z 1": 'Z',
	} {
		if got := stateOf([]byte(stat)); got != want {
			t.Errorf("%q: got %c, want %c", stat, got, want)
		}
	}
}
