package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// sysctls are the settings of the calling thread's network.
const sysctls = "/proc/sys/net"

// ledger is the account of host settings that the networks of this host changed
// together. Each living network holds a locked claim; the last one to go, or the
// next one to come after a crash, puts the settings back. A host is a network
// namespace: each that shares the directory has files of its own there.
type ledger struct {
	dir   string
	place string // in the names of its files
	claim *os.File
	log   *slog.Logger
}

// record is what the ledger's file holds.
type record struct {
	Place   string            // boot and host that it is true for
	Before  map[string]string // setting → value, of all that routing changes
	After   map[string]string // the same, when kiln had made the host route
	Written map[string]string // setting → value, of those that kiln itself wrote
	Older   map[string][]int  // "4", "6" → interfaces from before kiln made the host route
}

// The settings that make a host route, with what each changes by the way.
var forwarding = map[string]string{"4": "ipv4/ip_forward", "6": "ipv6/conf/all/forwarding"}

var affected = []string{
	"ipv4/ip_forward", "ipv4/conf/*/forwarding", "ipv4/conf/*/accept_redirects",
	"ipv6/conf/*/forwarding", "ipv6/conf/*/accept_ra",
}

// openLedger claims a place among the living networks, and puts right what dead
// ones left when no other lives.
func openLedger(dir, owner string, host *socket, log *slog.Logger) (*ledger, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	l := &ledger{dir: dir, place: thisNetwork(), log: log}
	err := l.locked(func() error {
		claim, err := os.OpenFile(l.path(owner+"."+l.place+".claim"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		if err := unix.Flock(int(claim.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			claim.Close()
			return fmt.Errorf("a network of owner %s lives already: %w", owner, err)
		}
		l.claim = claim
		alone, err := l.alone()
		if err != nil || !alone {
			return err
		}
		return l.restore(host)
	})
	if err != nil {
		if l.claim != nil {
			l.claim.Close()
		}
		return nil, fmt.Errorf("account of host settings: %w", err)
	}
	return l, nil
}

// path is a file of the ledger.
func (l *ledger) path(name string) string { return filepath.Join(l.dir, name) }

// settings is the file of the record.
func (l *ledger) settings() string { return l.path("settings." + l.place + ".json") }

// locked runs f while no other network of this host changes the ledger.
func (l *ledger) locked(f func() error) error {
	lock, err := os.OpenFile(l.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // and with it the lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	return f()
}

// alone says whether no other network lives, and removes the claims of dead ones.
func (l *ledger) alone() (bool, error) {
	claims, err := filepath.Glob(l.path("*." + l.place + ".claim"))
	if err != nil {
		return false, err
	}
	alone := true
	for _, c := range claims {
		if l.claim != nil && c == l.claim.Name() {
			continue
		}
		f, err := os.OpenFile(c, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return false, err
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			err = os.Remove(c)
		} else {
			alone = false
		}
		f.Close()
		if err != nil {
			return false, err
		}
	}
	return alone, nil
}

// forward makes the host route, for IPv6 too when v6 is set, and gives for each
// family the interfaces between which nothing was forwarded before. It changes
// nothing when the host routes already.
func (l *ledger) forward(host *socket, v6 bool) (older map[string][]int, err error) {
	err = l.locked(func() error {
		r := l.load()
		families := []string{"4"}
		if v6 {
			families = append(families, "6")
		}
		list, err := host.interfaces()
		if err != nil {
			return err
		}
		before := snapshot()
		var writes [][2]string
		for _, f := range families {
			if before[forwarding[f]] != "0" {
				continue
			}
			for _, i := range list {
				r.Older[f] = append(r.Older[f], i.index)
			}
			if f == "6" { // a host that routes listens to routers only when told twice
				for name, value := range before {
					if strings.HasSuffix(name, "/accept_ra") && value == "1" {
						writes = append(writes, [2]string{name, "2"})
					}
				}
			}
			writes = append(writes, [2]string{forwarding[f], "1"})
		}
		older = r.Older
		if len(writes) == 0 {
			return nil
		}
		// Written down first, so that a crash in between can be put right.
		for name, value := range before {
			if _, known := r.Before[name]; !known {
				r.Before[name] = value
			}
		}
		for _, w := range writes {
			r.Written[w[0]] = w[1]
		}
		if err := l.save(r); err != nil {
			return err
		}
		for _, w := range writes {
			if err := write(w[0], w[1]); err != nil {
				return err
			}
		}
		r.After = snapshot()
		return l.save(r)
	})
	if err != nil {
		return nil, fmt.Errorf("make the host route: %w", err)
	}
	return older, nil
}

// close gives the claim back, and puts the host's settings back when it was the
// last one.
func (l *ledger) close(host *socket) error {
	return l.locked(func() error {
		errs := []error{os.Remove(l.claim.Name()), l.claim.Close()}
		l.claim = nil
		alone, err := l.alone()
		if err == nil && alone {
			err = l.restore(host)
		}
		return errors.Join(append(errs, err)...)
	})
}

// restore writes back what was before. Somebody who changed a setting since then
// keeps it, and so does a host that has become a router for others: a bridge that
// came later needs what its maker found.
func (l *ledger) restore(host *socket) error {
	r := l.load()
	if len(r.Before) == 0 {
		return l.remove()
	}
	list, err := host.interfaces()
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range []string{"4", "6"} {
		switch written, changed := r.Written[forwarding[f]]; {
		case !changed:
			continue
		case read(forwarding[f]) != written:
			l.log.Info("leave a host setting that somebody else changed", "setting", forwarding[f])
		case slices.ContainsFunc(list, func(i netInterface) bool {
			return i.kind == "bridge" && i.up && !slices.Contains(r.Older[f], i.index)
		}):
			l.log.Warn("leave the host routing: a bridge was made since kiln turned it on", "setting", forwarding[f])
		default:
			errs = append(errs, l.restoreFamily(r, f))
		}
	}
	return errors.Join(append(errs, l.remove())...)
}

// restoreFamily writes back the settings of a family: first the one for all
// interfaces, which changes those of each, then the others as they were, or as
// somebody else has set them since.
func (l *ledger) restoreFamily(r record, family string) error {
	now := snapshot()
	first := forwarding[family]
	errs := []error{write(first, r.Before[first])}
	for _, name := range slices.Sorted(maps.Keys(r.Before)) {
		if !strings.HasPrefix(name, "ipv"+family+"/") || name == first {
			continue
		}
		want := r.Before[name]
		if after, known := r.After[name]; known && now[name] != after {
			want = now[name]
		}
		if value := read(name); value != "" && value != want {
			errs = append(errs, write(name, want))
		}
	}
	return errors.Join(errs...)
}

// load reads the record; one of another boot or another network is none.
func (l *ledger) load() record {
	var r record
	text, err := os.ReadFile(l.settings())
	if err != nil || json.Unmarshal(text, &r) != nil || r.Place != l.where() {
		r = record{Place: l.where()}
	}
	for _, m := range []*map[string]string{&r.Before, &r.After, &r.Written} {
		if *m == nil {
			*m = map[string]string{}
		}
	}
	if r.Older == nil {
		r.Older = map[string][]int{}
	}
	return r
}

// save replaces the record as a whole.
func (l *ledger) save(r record) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	next := l.settings() + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, l.settings())
}

// remove forgets the record.
func (l *ledger) remove() error {
	if err := os.Remove(l.settings()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// where names this boot and this host.
func (l *ledger) where() string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it, the host alone
	return strings.TrimSpace(string(boot)) + " " + l.place
}

// thisNetwork names the calling thread's network among all of this boot. Before Linux
// 5.14 one that is made later may get the name.
func thisNetwork() string {
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
		defer unix.Close(fd)
		if cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err == nil {
			return fmt.Sprintf("%x", cookie)
		}
	}
	var st unix.Stat_t
	_ = unix.Stat("/proc/thread-self/ns/net", &st) // 0 is a place too
	return fmt.Sprintf("i%x", st.Ino)
}

// snapshot reads all settings that may change.
func snapshot() map[string]string {
	all := map[string]string{}
	for _, pattern := range affected {
		names, _ := filepath.Glob(filepath.Join(sysctls, pattern)) // the patterns are valid
		for _, n := range names {
			name, _ := filepath.Rel(sysctls, n)
			if value := read(name); value != "" {
				all[name] = value
			}
		}
	}
	return all
}

// read gives a setting, or "" when it cannot be read.
func read(name string) string {
	text, err := os.ReadFile(filepath.Join(sysctls, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// write changes a setting.
func write(name, value string) error {
	if err := os.WriteFile(filepath.Join(sysctls, name), []byte(value), 0); err != nil {
		return fmt.Errorf("set %s to %s: %w", name, value, err)
	}
	return nil
}
