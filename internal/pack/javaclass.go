package pack

import (
	"bufio"
	"encoding/binary"
	"io"
	"slices"
)

// class is what of a compiled class says whether it is a handler.
type class struct {
	name       string // "shop/Till"
	interfaces []string
	abstract   bool // or an interface
}

// The interfaces that make a class a handler by its name alone.
var handlerInterfaces = []string{
	"com/amazonaws/services/lambda/runtime/RequestHandler",
	"com/amazonaws/services/lambda/runtime/RequestStreamHandler",
}

// handles reports whether a runtime can call the class by its name.
func (c class) handles() bool {
	return !c.abstract && slices.ContainsFunc(c.interfaces, func(name string) bool { return slices.Contains(handlerInterfaces, name) })
}

// Tags of the constant pool that are of interest here; sizes holds the length of all
// others.
const (
	constantText, constantClass  = 1, 7
	constantLong, constantDouble = 5, 6
	accessAbstractOrInterface    = 0x0600
	classMagic                   = 0xcafebabe
)

var constantSizes = map[byte]int{3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}

// readClass reads the head of a class file. What is none is not ok.
func readClass(from io.Reader) (c class, ok bool) {
	in := &classReader{in: bufio.NewReader(from)}
	if in.number(4) != classMagic {
		return class{}, false
	}
	in.skip(4)
	count := int(in.number(2))
	texts, names := make(map[int]string), make(map[int]int)
	for i := 1; i < count && in.err == nil; i++ {
		switch tag := byte(in.number(1)); tag {
		case constantText:
			texts[i] = in.text(int(in.number(2)))
		case constantClass:
			names[i] = int(in.number(2))
		default:
			size, known := constantSizes[tag]
			if !known {
				return class{}, false
			}
			in.skip(size)
			if tag == constantLong || tag == constantDouble {
				i++ // it takes two places
			}
		}
	}
	c.abstract = in.number(2)&accessAbstractOrInterface != 0
	c.name = texts[names[int(in.number(2))]]
	in.skip(2)
	for range in.number(2) {
		if in.err != nil {
			break
		}
		c.interfaces = append(c.interfaces, texts[names[int(in.number(2))]])
	}
	return c, in.err == nil && c.name != ""
}

// classReader reads numbers of the most significant byte first; after an error it gives
// zeros.
type classReader struct {
	in  *bufio.Reader
	err error
}

func (r *classReader) number(size int) uint32 {
	var bytes [4]byte
	if r.err == nil {
		_, r.err = io.ReadFull(r.in, bytes[4-size:])
	}
	if r.err != nil {
		return 0
	}
	return binary.BigEndian.Uint32(bytes[:])
}

func (r *classReader) skip(size int) {
	if r.err == nil {
		_, r.err = r.in.Discard(size)
	}
}

func (r *classReader) text(size int) string {
	bytes := make([]byte, size)
	if r.err == nil {
		_, r.err = io.ReadFull(r.in, bytes)
	}
	return string(bytes)
}
