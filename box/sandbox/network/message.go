package network

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
)

// Codes of the domain name system (RFC 1035, RFC 6891).
const (
	headerSize = 12
	// plainSize is what an answer by UDP may measure when the question does not say.
	plainSize = 512
	// largestSize is more than any resolver sends in one packet.
	largestSize = 4096

	typeA, typeAAAA, typeOPT, classIN = 1, 28, 41, 1

	flagAnswer, flagTruncated, flagRecursion, flagAvailable = 0x8000, 0x0200, 0x0100, 0x0080
	maskOpcode, maskCode                                    = 0x7800, 0x000f

	codeOK, codeFormat, codeServer, codeMissing, codeUnknown, codeRefused = 0, 1, 2, 3, 4, 5
)

var errMessage = errors.New("not a question of the domain name system")

// question is what a program asks.
type question struct {
	id    uint16
	flags uint16
	name  string // lower case, without the last dot
	kind  uint16
	class uint16
	end   int // where the question ends in the message
	size  int // how large an answer by UDP may be
}

// parseQuestion reads a message that asks exactly one question. A message that is
// none is an error, and gets no answer.
func parseQuestion(m []byte) (question, error) {
	if len(m) < headerSize {
		return question{}, errMessage
	}
	q := question{
		id:    binary.BigEndian.Uint16(m),
		flags: binary.BigEndian.Uint16(m[2:]),
		size:  plainSize,
	}
	if q.flags&flagAnswer != 0 || binary.BigEndian.Uint16(m[4:]) != 1 {
		return question{}, errMessage
	}
	name, at, err := parseName(m, headerSize)
	if err != nil || at+4 > len(m) {
		return question{}, errMessage
	}
	q.name = name
	q.kind = binary.BigEndian.Uint16(m[at:])
	q.class = binary.BigEndian.Uint16(m[at+2:])
	q.end = at + 4
	records := int(binary.BigEndian.Uint16(m[6:])) + int(binary.BigEndian.Uint16(m[8:])) + int(binary.BigEndian.Uint16(m[10:]))
	for at = q.end; records > 0; records-- {
		if at, err = skipName(m, at); err != nil || at+10 > len(m) {
			return question{}, errMessage
		}
		if binary.BigEndian.Uint16(m[at:]) == typeOPT {
			q.size = min(max(plainSize, int(binary.BigEndian.Uint16(m[at+2:]))), largestSize)
		}
		if at += 10 + int(binary.BigEndian.Uint16(m[at+8:])); at > len(m) {
			return question{}, errMessage
		}
	}
	return q, nil
}

// parseName reads a name without compression, as questions have it, and gives the
// place behind it.
func parseName(m []byte, at int) (string, int, error) {
	var name strings.Builder
	for {
		if at >= len(m) {
			return "", 0, errMessage
		}
		n := int(m[at])
		at++
		if n == 0 {
			return name.String(), at, nil
		}
		if n > 63 || at+n > len(m) || name.Len()+n+1 > 254 {
			return "", 0, errMessage
		}
		if name.Len() > 0 {
			name.WriteByte('.')
		}
		for _, c := range m[at : at+n] {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			name.WriteByte(c)
		}
		at += n
	}
}

// skipName gives the place behind a name, which may end in a pointer.
func skipName(m []byte, at int) (int, error) {
	for at < len(m) {
		switch n := int(m[at]); {
		case n == 0:
			return at + 1, nil
		case n >= 0xc0:
			return at + 2, nil
		case n > 63:
			return 0, errMessage
		default:
			at += 1 + n
		}
	}
	return 0, errMessage
}

// reply begins an answer: the question with the answer's flags and a code.
func (q question) reply(m []byte, code uint16, flags uint16) []byte {
	answer := make([]byte, q.end, q.end+32)
	copy(answer, m[:q.end])
	binary.BigEndian.PutUint16(answer[2:], flagAnswer|flagAvailable|flags|q.flags&(maskOpcode|flagRecursion)|code)
	clear(answer[6:headerSize]) // no records
	return answer
}

// own gives the addresses of a name that is the environment's own, whatever the
// host's resolvers say of it; ok is false for all other names.
func (q question) own() (addresses []netip.Addr, ok bool) {
	v4, v6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	switch {
	case q.class != classIN:
		return nil, false
	case q.name == "localhost", strings.HasSuffix(q.name, ".localhost"), q.name == "localhost.localdomain":
		return []netip.Addr{v4, v6}, true
	case q.name == "sandbox.localdomain": // as on AWS, where the host of the Telemetry API has this name
		return []netip.Addr{v4}, true
	}
	return nil, false
}

// answerWith answers with those addresses that were asked for. They are valid for
// this moment only.
func (q question) answerWith(m []byte, addresses []netip.Addr) []byte {
	answer := q.reply(m, codeOK, 0)
	for _, a := range addresses {
		if a.Is4() != (q.kind == typeA) || a.Is6() != (q.kind == typeAAAA) {
			continue
		}
		answer = append(answer, 0xc0, headerSize) // the name of the question
		answer = binary.BigEndian.AppendUint16(answer, q.kind)
		answer = binary.BigEndian.AppendUint16(answer, classIN)
		answer = binary.BigEndian.AppendUint32(answer, 0)
		answer = binary.BigEndian.AppendUint16(answer, uint16(a.BitLen()/8))
		answer = append(answer, a.AsSlice()...)
		binary.BigEndian.PutUint16(answer[6:], binary.BigEndian.Uint16(answer[6:])+1)
	}
	return answer
}

// answers says whether a message from a resolver answers a question that was sent
// with an id: same id, same question.
func answers(m, asked []byte, q question, id uint16) bool {
	if len(m) < headerSize || binary.BigEndian.Uint16(m) != id || binary.BigEndian.Uint16(m[2:])&flagAnswer == 0 {
		return false
	}
	if binary.BigEndian.Uint16(m[4:]) == 0 { // an error before the question was read
		return binary.BigEndian.Uint16(m[2:])&maskCode != codeOK
	}
	name, at, err := parseName(m, headerSize)
	if err != nil || at+4 > len(m) || name != q.name {
		return false
	}
	return string(m[at:at+4]) == string(asked[q.end-4:q.end])
}

// code is the result that an answer carries.
func code(answer []byte) uint16 { return binary.BigEndian.Uint16(answer[2:]) & maskCode }
