package api

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
)

// maxTrace bounds the trace header that is handed on.
const maxTrace = 1024

// trace gives the trace header of an invocation: the caller's when it has a root, else
// a new one that says that nobody samples it.
func trace(sent string, now time.Time) string {
	if len(sent) <= maxTrace && strings.Contains(sent, "Root=") {
		return sent
	}
	var id [20]byte         // 12 of the root, 8 of the parent
	_, _ = rand.Read(id[:]) // crypto/rand never fails: it ends the program instead
	var at [4]byte
	sec := uint32(now.Unix())
	at[0], at[1], at[2], at[3] = byte(sec>>24), byte(sec>>16), byte(sec>>8), byte(sec)
	b := make([]byte, 0, 80)
	b = append(b, "Root=1-"...)
	b = hex.AppendEncode(b, at[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[:12])
	b = append(b, ";Parent="...)
	b = hex.AppendEncode(b, id[12:])
	return string(append(b, ";Sampled=0"...))
}
