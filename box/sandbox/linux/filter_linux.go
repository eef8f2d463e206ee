package linux

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// verdict is a piece of filter program that ends in an answer.
type verdict []unix.SockFilter

// policy says what happens to the system calls of one architecture; a number that
// has no verdict is allowed.
type policy struct {
	arch    uint32 // AUDIT_ARCH_…; calls by any other convention end the process
	ceiling uint32 // numbers from here on are another convention (x32): not implemented
	calls   map[uint32]verdict
}

// The offsets of struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataArg0   = 16 // the low half of each argument comes first on our machines
)

// statement is one instruction without a branch.
func statement(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

// branch goes on yes or no instructions further.
func branch(op uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k, Jt: yes, Jf: no}
}

// load takes a word of struct seccomp_data into the accumulator.
func load(offset uint32) unix.SockFilter {
	return statement(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset)
}

// answer ends the program.
func answer(value uint32) unix.SockFilter { return statement(unix.BPF_RET|unix.BPF_K, value) }

var (
	allow   = answer(unix.SECCOMP_RET_ALLOW)
	endIt   = answer(unix.SECCOMP_RET_KILL_PROCESS)
	allowed = verdict{allow}
)

// fail answers a call with an error.
func fail(errno uint32) verdict { return verdict{refuse(errno)} }

// refuse answers with an error.
func refuse(errno uint32) unix.SockFilter { return answer(unix.SECCOMP_RET_ERRNO | errno) }

// oneOf allows a call whose argument, cut down by mask, is one of the values.
// Everything else gets the error.
func oneOf(argument uint32, mask uint32, errno uint32, values ...uint32) verdict {
	v := verdict{load(dataArg0 + 8*argument), statement(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, mask)}
	for i, value := range values {
		v = append(v, branch(unix.BPF_JEQ, value, uint8(len(values)-i), 0))
	}
	return append(v, refuse(errno), allow)
}

// without allows a call whose argument has none of the bits.
func without(argument, bits, errno uint32) verdict {
	return verdict{load(dataArg0 + 8*argument), branch(unix.BPF_JSET, bits, 0, 1), refuse(errno), allow}
}

// span is the calls from first up to the next span's first.
type span struct {
	first uint32
	v     verdict
}

// compileFilter turns a policy into a filter: a binary search over the numbers,
// so that the kernel, which tries every number when the filter is installed, has
// little to do.
func compileFilter(p policy) ([]unix.SockFilter, error) {
	numbers := make([]uint32, 0, len(p.calls))
	for n := range p.calls {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	spans := []span{{0, allowed}}
	for _, n := range numbers {
		spans = append(spans, span{n, p.calls[n]}, span{n + 1, allowed})
	}
	if p.ceiling > 0 {
		spans = append(spans, span{p.ceiling, fail(uint32(unix.ENOSYS))})
	}
	// Neighbours with one verdict become one span; an empty span disappears.
	merged := spans[:0:0]
	for i, s := range spans {
		if i+1 < len(spans) && spans[i+1].first == s.first {
			continue
		}
		if len(merged) > 0 && slices.Equal(merged[len(merged)-1].v, s.v) {
			continue
		}
		merged = append(merged, s)
	}
	program := []unix.SockFilter{load(dataArch), branch(unix.BPF_JEQ, p.arch, 1, 0), endIt, load(dataNumber)}
	program = append(program, search(merged)...)
	if len(program) > 4096 {
		return nil, fmt.Errorf("system call filter has %d instructions, the kernel takes 4096", len(program))
	}
	return program, nil
}

// search is the program that finds the span of the loaded number and answers.
func search(spans []span) []unix.SockFilter {
	if len(spans) == 1 {
		return spans[0].v
	}
	middle := len(spans) / 2
	low, high := search(spans[:middle]), search(spans[middle:])
	var program []unix.SockFilter
	if len(low) <= 255 {
		program = append(program, branch(unix.BPF_JGE, spans[middle].first, uint8(len(low)), 0))
	} else { // a conditional jump reaches 255 instructions, a plain one any number
		program = append(program,
			branch(unix.BPF_JGE, spans[middle].first, 0, 1),
			statement(unix.BPF_JMP|unix.BPF_JA, uint32(len(low))))
	}
	return append(append(program, low...), high...)
}
