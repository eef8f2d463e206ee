package network

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The older firewall of the kernel, which iptables-legacy speaks to, has one table
// for forwarded packets and is changed only as a whole: read, edited, written. Kiln
// touches it only where it is in use and drops forwarded packets by default, with the
// same two rules at the end of the chain as in foreign_linux.go. They are known by
// the name of kiln's interface, which carries a digest of the owner.

// legacyFamily is how the two families differ; places are bytes within an entry.
type legacyFamily struct {
	domain, level         int
	list                  string // names of the tables that are in use
	inside, outside       int    // name of an interface; its mask is two names further
	targetAt, nextAt      int    // where the entry's target and the next entry begin
	countersAt, entrySize int
}

var legacyFamilies = []legacyFamily{
	{unix.AF_INET, unix.SOL_IP, "/proc/net/ip_tables_names", 16, 32, 88, 90, 96, 112},
	{unix.AF_INET6, unix.SOL_IPV6, "/proc/net/ip6_tables_names", 64, 80, 140, 142, 152, 168},
}

const (
	legacyTable = "filter"
	// Socket options of both families, to read and to write.
	getLegacyInfo, getLegacyEntries   = 64, 65
	setLegacyReplace, setLegacyCounts = 64, 65
	legacyHooks                       = 5
	legacyTargetSize                  = 40 // of a verdict, with its padding
	legacyVerdictAt                   = 32
	legacyDrop, legacyAccept          = -1, -2
	counterSize                       = 16
	legacyLock                        = "/run/xtables.lock" // of the programs that edit these tables
)

// legacyRules is one table while it is edited.
type legacyRules struct {
	legacyFamily
	hooks      uint32
	begin, end [legacyHooks]uint32 // of each hook's chain: first entry, entry of the policy
	entries    []byte
	origin     []int // of each entry: its number in the kernel's table, -1 for a new one
	old        int   // entries in the kernel's table
}

// legacyInUse says whether the older firewall has a table for forwarded packets.
func legacyInUse() bool {
	for _, f := range legacyFamilies {
		if f.inUse() {
			return true
		}
	}
	return false
}

// inUse asks without making the table, as a question to the table itself would.
func (f legacyFamily) inUse() bool {
	text, err := os.ReadFile(f.list)
	if err != nil {
		return false
	}
	for name := range strings.Lines(string(text)) {
		if strings.TrimSpace(name) == legacyTable {
			return true
		}
	}
	return false
}

// openLegacy accepts what goes to and comes from a device in every table that would
// drop it, and says how many it changed.
func openLegacy(device string) (changed int, err error) {
	err = editLegacy(func(r *legacyRules) (bool, error) {
		found := r.find(device)
		if _, refuses := r.tail(); !refuses || len(found) >= 2 {
			return false, nil
		}
		for _, at := range found {
			r.remove(at)
		}
		place, _ := r.tail()
		for _, name := range []int{r.outside, r.inside} {
			r.insert(place, r.acceptEntry(name, device))
		}
		changed++
		return true, nil
	})
	return changed, err
}

// closeLegacy removes the rules of a device.
func closeLegacy(device string) error {
	return editLegacy(func(r *legacyRules) (bool, error) {
		found := r.find(device)
		for i := len(found) - 1; i >= 0; i-- {
			r.remove(found[i])
		}
		return len(found) > 0, nil
	})
}

// editLegacy gives each table in use to edit, and writes back what it changed.
func editLegacy(edit func(r *legacyRules) (changed bool, err error)) error {
	if !legacyInUse() {
		return nil
	}
	lock, err := os.OpenFile(legacyLock, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		defer lock.Close()
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return fmt.Errorf("lock the older firewall: %w", err)
	}
	var errs []error
	for _, f := range legacyFamilies {
		if !f.inUse() {
			continue
		}
		if err := f.edit(edit); err != nil {
			errs = append(errs, fmt.Errorf("edit the older firewall: %w", err))
		}
	}
	return errors.Join(errs...)
}

// edit reads, edits and writes one table.
func (f legacyFamily) edit(edit func(r *legacyRules) (bool, error)) error {
	fd, err := unix.Socket(f.domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for range 10 { // somebody without the lock may be faster
		r, err := f.readTable(fd)
		if err != nil {
			return err
		}
		changed, err := edit(r)
		if err != nil || !changed {
			return err
		}
		if err = r.writeTable(fd); err != unix.EAGAIN {
			return err
		}
	}
	return unix.EAGAIN
}

// readTable asks the kernel for the table.
func (f legacyFamily) readTable(fd int) (*legacyRules, error) {
	const head = 32 + 4 + 2*4*legacyHooks
	info := make([]byte, head+8)
	copy(info, legacyTable)
	if err := legacyGet(fd, f.level, getLegacyInfo, info); err != nil {
		return nil, fmt.Errorf("ask for its size: %w", err)
	}
	r := &legacyRules{legacyFamily: f, hooks: binary.NativeEndian.Uint32(info[32:])}
	for h := range legacyHooks {
		r.begin[h] = binary.NativeEndian.Uint32(info[36+4*h:])
		r.end[h] = binary.NativeEndian.Uint32(info[36+4*legacyHooks+4*h:])
	}
	r.old = int(binary.NativeEndian.Uint32(info[head:]))
	size := binary.NativeEndian.Uint32(info[head+4:])
	all := make([]byte, 40+size)
	copy(all, legacyTable)
	binary.NativeEndian.PutUint32(all[32:], size)
	if err := legacyGet(fd, f.level, getLegacyEntries, all); err != nil {
		return nil, fmt.Errorf("ask for its rules: %w", err)
	}
	r.entries = all[40:]
	for at := range r.each {
		if int(at)+r.next(at) > len(r.entries) {
			return nil, errors.New("its rules are not as expected")
		}
		r.origin = append(r.origin, len(r.origin))
	}
	if len(r.origin) != r.old || r.hooks&(1<<unix.NF_INET_FORWARD) == 0 {
		return nil, errors.New("its rules are not as expected")
	}
	return r, nil
}

// writeTable replaces the kernel's table and carries the counters over.
func (r *legacyRules) writeTable(fd int) error {
	counters := make([]byte, max(1, r.old)*counterSize)
	m := make([]byte, 96, 96+len(r.entries))
	copy(m, legacyTable)
	for i, n := range []uint32{r.hooks, uint32(len(r.origin)), uint32(len(r.entries))} {
		binary.NativeEndian.PutUint32(m[32+4*i:], n)
	}
	for h := range legacyHooks {
		binary.NativeEndian.PutUint32(m[44+4*h:], r.begin[h])
		binary.NativeEndian.PutUint32(m[44+4*legacyHooks+4*h:], r.end[h])
	}
	binary.NativeEndian.PutUint32(m[84:], uint32(r.old))
	// The kernel writes the old table's counters here.
	var pin runtime.Pinner
	pin.Pin(&counters[0])
	defer pin.Unpin()
	binary.NativeEndian.PutUint64(m[88:], uint64(uintptr(unsafe.Pointer(&counters[0]))))
	m = append(m, r.entries...)
	err := unix.SetsockoptString(fd, r.level, setLegacyReplace, string(m))
	if err != nil {
		return err
	}
	sum := make([]byte, 40, 40+len(r.origin)*counterSize)
	copy(sum, legacyTable)
	binary.NativeEndian.PutUint32(sum[32:], uint32(len(r.origin)))
	for _, from := range r.origin {
		if from < 0 {
			sum = append(sum, make([]byte, counterSize)...)
		} else {
			sum = append(sum, counters[from*counterSize:(from+1)*counterSize]...)
		}
	}
	return unix.SetsockoptString(fd, r.level, setLegacyCounts, string(sum))
}

// legacyGet reads a socket option into b, which also says what is asked for.
func legacyGet(fd, level, option int, b []byte) error {
	n := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// each goes over the places of the entries.
func (r *legacyRules) each(yield func(at uint32) bool) {
	for at := uint32(0); int(at)+r.entrySize <= len(r.entries); {
		n := uint32(r.next(at))
		if !yield(at) || n < uint32(r.entrySize) {
			return
		}
		at += n
	}
}

// next is the size of an entry.
func (r *legacyRules) next(at uint32) int {
	return int(binary.NativeEndian.Uint16(r.entries[int(at)+r.nextAt:]))
}

// target is an entry's target, or nil when it is not a plain verdict or jump.
func (r *legacyRules) target(at uint32) []byte {
	t := int(at) + int(binary.NativeEndian.Uint16(r.entries[int(at)+r.targetAt:]))
	if t+legacyTargetSize > len(r.entries) || r.entries[t+2] != 0 {
		return nil
	}
	return r.entries[t : t+legacyTargetSize]
}

// verdict is what a plain target says: negative for a verdict, else where it jumps;
// the largest number for any other target.
func (r *legacyRules) verdict(at uint32) int32 {
	t := r.target(at)
	if t == nil {
		return 1<<31 - 1
	}
	return int32(binary.NativeEndian.Uint32(t[legacyVerdictAt:]))
}

// find gives the places of the rules of a device in the chain for forwarded packets.
func (r *legacyRules) find(device string) []uint32 {
	want := interfaceName(device)
	var found []uint32
	for at := range r.each {
		in := r.entries[int(at)+r.inside:][:unix.IFNAMSIZ]
		out := r.entries[int(at)+r.outside:][:unix.IFNAMSIZ]
		here := at >= r.begin[unix.NF_INET_FORWARD] && at < r.end[unix.NF_INET_FORWARD]
		if here && r.verdict(at) == legacyAccept && (bytes.Equal(in, want) || bytes.Equal(out, want)) {
			found = append(found, at)
		}
	}
	return found
}

// tail is where the chain for forwarded packets refuses what its rules do not know:
// at a last rule for everything, or at the policy. It says whether it does.
func (r *legacyRules) tail() (place uint32, refuses bool) {
	end := r.end[unix.NF_INET_FORWARD]
	last := end
	for at := range r.each {
		if at >= r.begin[unix.NF_INET_FORWARD] && at < end {
			last = at
		}
	}
	if last != end && r.refusesAll(last) {
		return last, true
	}
	return end, r.verdict(end) == legacyDrop
}

// refusesAll says whether an entry drops or rejects whatever comes.
func (r *legacyRules) refusesAll(at uint32) bool {
	e := r.entries[at:][:r.next(at)]
	target := int(binary.NativeEndian.Uint16(e[r.targetAt:]))
	for _, b := range e[:r.targetAt-4] { // what the entry matches; behind it, the kernel's notes
		if b != 0 {
			return false
		}
	}
	return target == r.entrySize && (r.verdict(at) == legacyDrop || bytes.HasPrefix(e[target+2:], []byte("REJECT\x00")))
}

// interfaceName is a name as the kernel stores it.
func interfaceName(device string) []byte {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	return name
}

// acceptEntry is a rule that accepts what has the device's name at a place.
func (r *legacyRules) acceptEntry(name int, device string) []byte {
	e := make([]byte, r.entrySize+legacyTargetSize)
	copy(e[name:], device)
	for i := range len(device) + 1 { // the zero at the end must match too
		e[name+2*unix.IFNAMSIZ+i] = 0xff
	}
	binary.NativeEndian.PutUint16(e[r.targetAt:], uint16(r.entrySize))
	binary.NativeEndian.PutUint16(e[r.nextAt:], uint16(len(e)))
	t := e[r.entrySize:]
	binary.NativeEndian.PutUint16(t, legacyTargetSize)
	verdict := int32(legacyAccept)
	binary.NativeEndian.PutUint32(t[legacyVerdictAt:], uint32(verdict))
	return e
}

// insert puts an entry before the one at a place. Who fell or jumped to that place
// comes to the new entry.
func (r *legacyRules) insert(place uint32, entry []byte) {
	number := r.number(place)
	last := place == r.end[unix.NF_INET_FORWARD]
	r.move(place, int32(len(entry)))
	if last {
		r.end[unix.NF_INET_FORWARD] += uint32(len(entry))
	}
	r.entries = bytes.Join([][]byte{r.entries[:place], entry, r.entries[place:]}, nil)
	r.origin = append(r.origin[:number:number], append([]int{-1}, r.origin[number:]...)...)
}

// remove takes the entry at a place out.
func (r *legacyRules) remove(place uint32) {
	number, n := r.number(place), uint32(r.next(place))
	r.move(place, -int32(n))
	r.entries = append(r.entries[:place:place], r.entries[place+n:]...)
	r.origin = append(r.origin[:number:number], r.origin[number+1:]...)
}

// number counts the entries before a place.
func (r *legacyRules) number(place uint32) int {
	n := 0
	for at := range r.each {
		if at >= place {
			break
		}
		n++
	}
	return n
}

// move changes what points behind a place.
func (r *legacyRules) move(place uint32, by int32) {
	for h := range legacyHooks {
		if r.begin[h] > place {
			r.begin[h] += uint32(by)
		}
		if r.end[h] > place {
			r.end[h] += uint32(by)
		}
	}
	for at := range r.each {
		if t := r.target(at); t != nil {
			if v := int32(binary.NativeEndian.Uint32(t[legacyVerdictAt:])); v > int32(place) {
				binary.NativeEndian.PutUint32(t[legacyVerdictAt:], uint32(v+by))
			}
		}
	}
}
