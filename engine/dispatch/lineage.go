package dispatch

import (
	"hash/fnv"
	"strconv"
	"strings"

	"kiln"
)

// This file is pure: it looks at a trace header and writes the next one.

const (
	// mostInChain is how often a function may be called in one chain of calls, as on
	// AWS about 16.
	mostInChain = 16
	// mostKept bounds the functions that a header names; the oldest are forgotten.
	mostKept = 16

	lineageMember = ";Lineage="
)

// descend gives the trace header for a call of a function, which counts how often the
// function was called in the chain that the header came from, and that number. A
// chain is what the AWS SDKs hand on: they send the header that the function got with
// the calls it makes.
func descend(trace string, id kiln.FunctionID) (next string, count int) {
	me := lineageName(id)
	at := strings.Index(trace, lineageMember)
	if at < 0 {
		return trace + lineageMember + me + ":0", 0
	}
	head, list := trace[:at], trace[at+len(lineageMember):]
	tail := ""
	if end := strings.IndexByte(list, ';'); end >= 0 {
		list, tail = list[:end], list[end:]
	}
	entries := strings.Split(list, "|")
	found := false
	for i, e := range entries {
		name, number, ok := strings.Cut(e, ":")
		if n, err := strconv.Atoi(number); ok && name == me && err == nil && n >= 0 && n < 1<<20 {
			count, found = n+1, true
			entries[i] = me + ":" + strconv.Itoa(count)
			break
		}
	}
	if !found {
		entries = append(entries, me+":0")
		entries = entries[max(0, len(entries)-mostKept):]
	}
	return head + lineageMember + strings.Join(entries, "|") + tail, count
}

// lineageName is how a function is called in a lineage: eight hexadecimal digits.
func lineageName(id kiln.FunctionID) string {
	h := fnv.New32a()
	for _, s := range [...]string{id.Account, "/", id.Region, "/", id.Name} {
		_, _ = h.Write([]byte(s)) // never fails
	}
	const digits = "0123456789abcdef"
	var out [8]byte
	sum := h.Sum32()
	for i := range out {
		out[i] = digits[sum>>(28-4*i)&15]
	}
	return string(out[:])
}
