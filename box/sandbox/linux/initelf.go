package linux

import (
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Process 1 of every box is one of these two files, about 300 bytes each. They are
// committed; a test assembles the listings below and compares. The program takes
// no input but the end of a pipe:
//
//	name itself kiln-init
//	ignore SIGCHLD, so that the kernel reaps whatever is handed to process 1
//	read descriptor 3 until it ends: the server closed it, or is no more
//	write THAWED to descriptor 4, where a v1 freezer is in use: a frozen process
//	of that kind does not die from the kill that follows
//	exit: the kernel kills every process of the pid namespace
var (
	//go:embed init_amd64.elf
	initAMD64 []byte
	//go:embed init_arm64.elf
	initARM64 []byte
)

// initFor gives the init program of a Go architecture, or nil.
func initFor(arch string) []byte {
	switch arch {
	case "amd64":
		return initAMD64
	case "arm64":
		return initARM64
	}
	return nil
}

// instruction is one line of a listing: hexadecimal machine code, or a fixup in
// the form kind:label, and what it says in the assembler of that machine.
type instruction struct {
	label string
	code  string
	means string
}

// listingAMD64 is the init program for amd64. abs32 is a label's address, rel8 a
// distance from the next instruction.
var listingAMD64 = []instruction{
	{"", "b8 9d000000", "mov eax, 157       ; prctl"},
	{"", "bf 0f000000", "mov edi, 15        ; PR_SET_NAME"},
	{"", "be abs32:name", "mov esi, name"},
	{"", "0f05", "syscall"},
	{"", "b8 0d000000", "mov eax, 13        ; rt_sigaction"},
	{"", "bf 11000000", "mov edi, 17        ; SIGCHLD"},
	{"", "be abs32:ignore", "mov esi, ignore"},
	{"", "31d2", "xor edx, edx"},
	{"", "41ba 08000000", "mov r10d, 8        ; size of a signal set"},
	{"", "0f05", "syscall"},
	{"", "4883ec 10", "sub rsp, 16        ; room for a byte"},
	{"wait", "31c0", "xor eax, eax       ; read"},
	{"", "bf 03000000", "mov edi, 3"},
	{"", "4889e6", "mov rsi, rsp"},
	{"", "ba 01000000", "mov edx, 1"},
	{"", "0f05", "syscall"},
	{"", "4883f8 01", "cmp rax, 1"},
	{"", "74 rel8:wait", "je wait"},
	{"", "4883f8 fc", "cmp rax, -4        ; EINTR"},
	{"", "74 rel8:wait", "je wait"},
	{"", "b8 01000000", "mov eax, 1         ; write"},
	{"", "bf 04000000", "mov edi, 4"},
	{"", "be abs32:thawed", "mov esi, thawed"},
	{"", "ba 06000000", "mov edx, 6"},
	{"", "0f05", "syscall"},
	{"", "b8 e7000000", "mov eax, 231       ; exit_group"},
	{"", "31ff", "xor edi, edi"},
	{"", "0f05", "syscall"},
}

// listingARM64 is the same program for arm64: words in the order of the manual,
// stored little-endian. adr1 is "adr x1, label", beq is "b.eq label".
var listingARM64 = []instruction{
	{"", "d28014e8", "mov x8, #167       ; prctl"},
	{"", "d28001e0", "mov x0, #15        ; PR_SET_NAME"},
	{"", "adr1:name", "adr x1, name"},
	{"", "d4000001", "svc #0"},
	{"", "d28010c8", "mov x8, #134       ; rt_sigaction"},
	{"", "d2800220", "mov x0, #17        ; SIGCHLD"},
	{"", "adr1:ignore", "adr x1, ignore"},
	{"", "d2800002", "mov x2, #0"},
	{"", "d2800103", "mov x3, #8         ; size of a signal set"},
	{"", "d4000001", "svc #0"},
	{"", "d10043ff", "sub sp, sp, #16    ; room for a byte"},
	{"wait", "d28007e8", "mov x8, #63        ; read"},
	{"", "d2800060", "mov x0, #3"},
	{"", "910003e1", "mov x1, sp"},
	{"", "d2800022", "mov x2, #1"},
	{"", "d4000001", "svc #0"},
	{"", "f100041f", "cmp x0, #1"},
	{"", "beq:wait", "b.eq wait"},
	{"", "b100101f", "cmn x0, #4         ; EINTR"},
	{"", "beq:wait", "b.eq wait"},
	{"", "d2800808", "mov x8, #64        ; write"},
	{"", "d2800080", "mov x0, #4"},
	{"", "adr1:thawed", "adr x1, thawed"},
	{"", "d28000c2", "mov x2, #6"},
	{"", "d4000001", "svc #0"},
	{"", "d2800bc8", "mov x8, #94        ; exit_group"},
	{"", "d2800000", "mov x0, #0"},
	{"", "d4000001", "svc #0"},
}

// initData follows the code: ignore is a struct sigaction of SIG_IGN.
var initData = []struct {
	label string
	bytes []byte
}{
	{"ignore", append([]byte{1}, make([]byte, 31)...)},
	{"name", []byte("kiln-init\x00")},
	{"thawed", []byte("THAWED")},
}

const (
	elfBase    = 0x400000
	elfHeaders = 64 + 2*56
)

// assembleInit makes the init program of a Go architecture from its listing.
func assembleInit(arch string) ([]byte, error) {
	listing, machine := listingAMD64, uint16(62)
	if arch == "arm64" {
		listing, machine = listingARM64, 183
	} else if arch != "amd64" {
		return nil, fmt.Errorf("no init program for %s", arch)
	}
	code := make([]byte, elfHeaders)
	labels := map[string]int{}
	fixups := map[int]string{} // offset of a fixup → kind:label
	for _, in := range listing {
		if in.label != "" {
			labels[in.label] = len(code)
		}
		for part := range strings.FieldsSeq(in.code) {
			if strings.Contains(part, ":") {
				fixups[len(code)] = part
				code = append(code, make([]byte, fixupSize(part))...)
				continue
			}
			raw, err := hex.DecodeString(part)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", in.means, err)
			}
			if arch == "arm64" {
				raw = binary.LittleEndian.AppendUint32(nil, binary.BigEndian.Uint32(raw))
			}
			code = append(code, raw...)
		}
	}
	for len(code)%8 != 0 {
		code = append(code, 0)
	}
	for _, d := range initData {
		labels[d.label] = len(code)
		code = append(code, d.bytes...)
	}
	for at, part := range fixups {
		kind, label, _ := strings.Cut(part, ":")
		target, ok := labels[label]
		if !ok {
			return nil, fmt.Errorf("no label %s", label)
		}
		resolve(code[at:], kind, at, target)
	}
	writeELFHeaders(code, machine)
	return code, nil
}

// fixupSize is the number of bytes that a fixup takes.
func fixupSize(part string) int {
	if strings.HasPrefix(part, "rel8:") {
		return 1
	}
	return 4
}

// resolve writes the final form of a fixup that lies at offset at.
func resolve(code []byte, kind string, at, target int) {
	distance := target - at
	switch kind {
	case "abs32":
		binary.LittleEndian.PutUint32(code, uint32(elfBase+target))
	case "rel8":
		code[0] = byte(int8(distance - 1))
	case "adr1":
		word := uint32(0x10000001) | uint32(distance&3)<<29 | uint32(distance>>2&0x7ffff)<<5
		binary.LittleEndian.PutUint32(code, word)
	case "beq":
		binary.LittleEndian.PutUint32(code, 0x54000000|uint32(distance>>2&0x7ffff)<<5)
	}
}

// writeELFHeaders fills in the file header, one segment that is read and executed
// and never written, and a stack that is not executable.
func writeELFHeaders(image []byte, machine uint16) {
	le := binary.LittleEndian
	copy(image, "\x7fELF\x02\x01\x01")
	le.PutUint16(image[16:], 2) // executable
	le.PutUint16(image[18:], machine)
	le.PutUint32(image[20:], 1)
	le.PutUint64(image[24:], elfBase+elfHeaders) // entry
	le.PutUint64(image[32:], 64)                 // program headers
	le.PutUint16(image[52:], 64)
	le.PutUint16(image[54:], 56)
	le.PutUint16(image[56:], 2)
	load, stack := image[64:], image[64+56:]
	le.PutUint32(load[0:], 1) // PT_LOAD
	le.PutUint32(load[4:], 5) // read, execute
	le.PutUint64(load[16:], elfBase)
	le.PutUint64(load[24:], elfBase)
	le.PutUint64(load[32:], uint64(len(image)))
	le.PutUint64(load[40:], uint64(len(image)))
	le.PutUint64(load[48:], 0x10000)
	le.PutUint32(stack[0:], 0x6474e551) // PT_GNU_STACK
	le.PutUint32(stack[4:], 6)          // read, write
	le.PutUint64(stack[48:], 16)
}
