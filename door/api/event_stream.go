package api

import (
	"encoding/binary"
	"hash/crc32"
)

// Messages of an event stream as AWS frames them: the length of all, the length of the
// headers, a checksum of those two, the headers, the payload, and a checksum of all. The
// headers of each kind never change, so that they are encoded once.
var (
	chunkHeaders    = eventHeaders(":message-type", "event", ":event-type", "PayloadChunk", ":content-type", "application/octet-stream")
	completeHeaders = eventHeaders(":message-type", "event", ":event-type", "InvokeComplete", ":content-type", "application/json")
)

// appendMessage appends one message to b.
func appendMessage(b, headers, payload []byte) []byte {
	begin := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(12+len(headers)+len(payload)+4))
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[begin:]))
	b = append(b, headers...)
	b = append(b, payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[begin:]))
}

// eventHeaders encodes pairs of name and value, all of them strings.
func eventHeaders(pairs ...string) []byte {
	const text = 7 // the type of a string
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		b = append(b, byte(len(name)))
		b = append(b, name...)
		b = append(b, text)
		b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
		b = append(b, value...)
	}
	return b
}
