package hostile_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"hash/crc32"
	"io"
	"testing"
)

// member is one entry of a package that is made by hand; a zero member of the local
// kind means what the table at the end says.
type member struct {
	name, localName string
	method          uint16
	data            []byte // as it lies in the package
	size, localSize uint32 // as the entry claims
	sum             uint32
	offset          int // of the local header; 0 puts it behind the entry before
	quoted          bool
}

// stored is an honest entry without compression.
func stored(name string, text []byte) member {
	return member{name: name, data: text, size: uint32(len(text)), sum: crc32.ChecksumIEEE(text)}
}

// local is the header before the data.
func (m member) local() []byte {
	name, size := m.localName, m.localSize
	if name == "" {
		name = m.name
	}
	if size == 0 {
		size = m.size
	}
	h := order.AppendUint32(nil, 0x04034b50)
	h = order.AppendUint16(h, 20)
	h = order.AppendUint16(h, 0)
	h = order.AppendUint16(h, m.method)
	h = order.AppendUint32(h, 0) // time and date
	h = order.AppendUint32(h, m.sum)
	h = order.AppendUint32(h, uint32(len(m.data)))
	h = order.AppendUint32(h, size)
	h = order.AppendUint16(h, uint16(len(name)))
	h = order.AppendUint16(h, 0)
	return append(h, name...)
}

// central is the entry's row in the table at the end.
func (m member) central(offset int) []byte {
	h := order.AppendUint32(nil, 0x02014b50)
	h = order.AppendUint16(h, 3<<8|20) // made on Unix
	h = order.AppendUint16(h, 20)
	h = order.AppendUint16(h, 0)
	h = order.AppendUint16(h, m.method)
	h = order.AppendUint32(h, 0)
	h = order.AppendUint32(h, m.sum)
	h = order.AppendUint32(h, uint32(len(m.data)))
	h = order.AppendUint32(h, m.size)
	h = order.AppendUint16(h, uint16(len(m.name)))
	h = order.AppendUint16(h, 0)
	h = order.AppendUint16(h, 0)
	h = order.AppendUint16(h, 0)
	h = order.AppendUint16(h, 0)
	h = order.AppendUint32(h, 0o100644<<16)
	h = order.AppendUint32(h, uint32(offset))
	return append(h, m.name...)
}

// assemble makes a package out of entries; one that is quoted lies in the data of
// another, at its offset.
func assemble(members ...member) []byte {
	var body, table []byte
	for _, m := range members {
		offset := m.offset
		if !m.quoted {
			offset = len(body)
			body = append(append(body, m.local()...), m.data...)
		}
		table = append(table, m.central(offset)...)
	}
	end := order.AppendUint32(nil, 0x06054b50)
	end = order.AppendUint32(end, 0)
	end = order.AppendUint16(end, uint16(len(members)))
	end = order.AppendUint16(end, uint16(len(members)))
	end = order.AppendUint32(end, uint32(len(table)))
	end = order.AppendUint32(end, uint32(len(body)))
	end = order.AppendUint16(end, 0)
	return append(append(body, table...), end...)
}

// zeros is so many zero bytes, compressed. It is made of one piece again and again,
// so that even ten gigabytes of them cost nothing.
func zeros(n int64) []byte {
	const piece = 1 << 20
	var one bytes.Buffer
	w, err := flate.NewWriter(&one, flate.BestCompression)
	if err == nil {
		_, err = w.Write(make([]byte, piece))
	}
	if err == nil {
		err = w.Flush() // the piece ends at a byte and refers to nothing before it
	}
	if err != nil {
		panic(err)
	}
	all := bytes.Repeat(one.Bytes(), int(n/piece))
	return append(all, 3, 0) // an empty last block
}

// inflated counts what a compressed stream gives, up to a limit.
func inflated(t testing.TB, data []byte, limit int64) int64 {
	t.Helper()
	n, err := io.Copy(io.Discard, io.LimitReader(flate.NewReader(bytes.NewReader(data)), limit))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fifield is a bomb of overlapping entries, after David Fifield: each file's
// compressed data is a block that quotes the next file's header and then that
// file's data, so that all share one kernel of zeros. It also gives how much all
// files together are.
func fifield(t testing.TB, files int, kernel int64) (bomb []byte, total int64) {
	t.Helper()
	whole := make([]byte, kernel)
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err == nil {
		_, err = w.Write(whole)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	name := func(i int) string { return string(rune('A'+i/26)) + string(rune('a'+i%26)) }
	last := member{name: name(files - 1), method: zip.Deflate, data: packed.Bytes(), size: uint32(kernel), sum: crc32.ChecksumIEEE(whole)}
	list := []member{last}
	quoted := []byte(nil) // what comes before the kernel when the first file is inflated
	for i := files - 2; i >= 0; i-- {
		next := list[0]
		header := next.local()
		block := append([]byte{0}, order.AppendUint16(nil, uint16(len(header)))...)
		block = append(block, order.AppendUint16(nil, ^uint16(len(header)))...)
		quoted = append(bytes.Clone(header), quoted...)
		data := append(append(block, header...), next.data...)
		sum := crc32.Update(crc32.ChecksumIEEE(quoted), crc32.IEEETable, whole)
		list = append([]member{{name: name(i), method: zip.Deflate, data: data, size: uint32(len(quoted)) + uint32(kernel), sum: sum}}, list...)
	}
	offset := 0
	for i := range list {
		list[i].quoted, list[i].offset = i > 0, offset
		offset += len(list[i].local()) + 5
		total += int64(list[i].size)
	}
	bomb = assemble(list...)
	// It must be one that a trusting program would unpack.
	r, err := zip.NewReader(bytes.NewReader(bomb), int64(len(bomb)))
	if err != nil {
		t.Fatalf("the bomb is no zip: %v", err)
	}
	for _, i := range []int{0, len(r.File) - 1} {
		f, err := r.File[i].Open()
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, f)
		if err != nil || n != int64(list[i].size) {
			t.Fatalf("the bomb's file %d gives %d bytes, want %d: %v", i, n, list[i].size, err)
		}
		_ = f.Close() // it was read to its end
	}
	return bomb, total
}
