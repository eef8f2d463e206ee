package rootfs

import (
	"archive/zip"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// headerWatch notes where archive/zip reads a local header: it does not tell
// otherwise where one is.
type headerWatch struct {
	r  io.ReaderAt
	at int64
}

const localHeader, localSignature = 30, 0x04034b50

func (h *headerWatch) ReadAt(p []byte, off int64) (int, error) {
	if len(p) == localHeader {
		h.at = off
	}
	return h.r.ReadAt(p, off)
}

// checkHeaders compares the header before each entry's data with the table at the
// end, and refuses entries that share bytes: the one is a way to show different
// contents to different programs, the other a way to be a bomb.
func checkHeaders(z *zip.Reader, watched *headerWatch) error {
	type span struct{ from, to int64 }
	spans := make([]span, 0, len(z.File))
	for _, f := range z.File {
		watched.at = -1
		data, err := f.DataOffset()
		if err != nil {
			return broken(err)
		}
		if err := checkHeader(f, watched.r, watched.at); err != nil {
			return err
		}
		if f.CompressedSize64 > 1<<40 {
			return broken(fmt.Errorf("entry %q claims %d bytes", f.Name, f.CompressedSize64))
		}
		spans = append(spans, span{watched.at, data + int64(f.CompressedSize64)})
	}
	slices.SortFunc(spans, func(x, y span) int { return cmp.Compare(x.from, y.from) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return refuse("entries overlap")
		}
	}
	return nil
}

func checkHeader(f *zip.File, r io.ReaderAt, at int64) error {
	head := make([]byte, localHeader+len(f.Name))
	if at < 0 {
		return broken(fmt.Errorf("entry %q has no header", f.Name))
	}
	if _, err := r.ReadAt(head, at); err != nil {
		return broken(err)
	}
	le := binary.LittleEndian
	flags, method, nameLen := le.Uint16(head[6:]), le.Uint16(head[8:]), int(le.Uint16(head[26:]))
	sum, packed, plain := le.Uint32(head[14:]), le.Uint32(head[18:]), le.Uint32(head[22:])
	switch {
	case le.Uint32(head) != localSignature || nameLen != len(f.Name) || string(head[localHeader:]) != f.Name || method != f.Method:
		return refuse("entry %q has two different headers", f.Name)
	case (flags|f.Flags)&0x1 != 0:
		return refuse("entry %q is encrypted", f.Name)
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return refuse("entry %q is packed by method %d; only deflate and store are known", f.Name, f.Method)
	}
	if flags&0x8 != 0 || packed == 0xffffffff || plain == 0xffffffff {
		return nil // sizes follow the data, or are in the extra field
	}
	if uint64(packed) != f.CompressedSize64 || uint64(plain) != f.UncompressedSize64 || sum != f.CRC32 {
		return refuse("entry %q has two different headers", f.Name)
	}
	return nil
}
