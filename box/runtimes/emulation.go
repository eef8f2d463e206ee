package runtimes

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"kiln"
)

// Foreign reports whether an architecture, in Lambda's words, is not this machine's. An
// empty one is this machine's.
func Foreign(architecture string) bool {
	return architecture != "" && architecture != hostArchitecture()
}

// Runs says why this machine runs no programs of an architecture, as an error of code
// BadRuntime, or nil. Beside its own it runs what the kernel hands to an emulator.
func (b *Book) Runs(architecture string) error {
	if !Foreign(architecture) {
		return nil
	}
	host := hostArchitecture()
	emulator, inBoxes := b.emulator(architecture)
	switch {
	case inBoxes:
		return nil
	case emulator != "":
		return kiln.Errorf(kiln.BadRuntime, "this machine runs %s code, and its emulator for %s, %s, is not registered for boxes, where its file is not: register it with the flag F, or create the function with architecture %s",
			host, architecture, emulator, host)
	}
	return kiln.Errorf(kiln.BadRuntime, "this machine runs %s code, not %s: create the function with architecture %s, or install an emulator that the kernel knows (package qemu-user-static)",
		host, architecture, host)
}

// emulator gives the program to which the kernel hands programs of an architecture, ""
// for none, and whether it does so in boxes too: there the file of the emulator is not,
// so that the kernel must have opened it when it was registered.
func (b *Book) emulator(architecture string) (program string, inBoxes bool) {
	dir := filepath.Join(cmp.Or(b.options.Host, "/"), "proc/sys/fs/binfmt_misc")
	if state, err := os.ReadFile(filepath.Join(dir, "status")); err != nil || !bytes.HasPrefix(state, []byte("enabled")) {
		return "", false
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", false
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil { // "register" can only be written
			continue
		}
		f, ok := readFormat(string(text))
		if !ok || !f.takes(header(architecture)) {
			continue
		}
		if program = f.interpreter; strings.Contains(f.flags, "F") {
			return program, true
		}
	}
	return program, false
}

// header is how an executable file of an architecture begins.
func header(architecture string) []byte {
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01") // 64 bits, little-endian, version 1
	h[16] = 2                      // an executable
	h[18] = 62                     // x86-64
	if architecture == "arm64" {
		h[18] = 183
	}
	return h
}

// format is one kind of executable file that the kernel hands to a program.
type format struct {
	interpreter, flags string
	offset             int
	magic, mask        []byte
}

// readFormat reads an entry of binfmt_misc; one that is disabled, or that goes by the
// names of files, is none.
func readFormat(text string) (f format, ok bool) {
	enabled := false
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch word {
		case "enabled":
			enabled = true
		case "interpreter":
			f.interpreter = rest
		case "flags:":
			f.flags = rest
		case "offset":
			f.offset, err = strconv.Atoi(rest)
		case "magic":
			f.magic, err = hex.DecodeString(rest)
		case "mask":
			f.mask, err = hex.DecodeString(rest)
		}
		if err != nil {
			return format{}, false
		}
	}
	return f, enabled && f.interpreter != "" && len(f.magic) > 0 && f.offset >= 0
}

// takes reports whether a file that begins so is of the format.
func (f format) takes(file []byte) bool {
	if f.offset+len(f.magic) > len(file) {
		return false
	}
	for i, want := range f.magic {
		mask := byte(0xff)
		if i < len(f.mask) {
			mask = f.mask[i]
		}
		if (file[f.offset+i]^want)&mask != 0 {
			return false
		}
	}
	return true
}
