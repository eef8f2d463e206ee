//go:build unix

package environment

import (
	"errors"
	"os"
	"syscall"
)

// pipe is what the processes of a box write their log into.
type pipe struct {
	write *os.File // blocking: what the processes get
	read  *os.File
	fd    int // of read, which does not block
	raw   syscall.RawConn
}

// openPipe makes a pipe that only its writers wait for.
func openPipe() (*pipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &pipe{write: w, read: r}
	// A program whose stdout does not block loses what it prints into a full pipe.
	// Fd makes its file blocking.
	w.Fd()
	if p.raw, err = r.SyscallConn(); err == nil {
		err = p.raw.Control(func(fd uintptr) { p.fd = int(fd) })
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// readNow reads what is there at this moment; 0 is nothing.
func (p *pipe) readNow(b []byte) int {
	for {
		n, err := syscall.Read(p.fd, b)
		if !errors.Is(err, syscall.EINTR) {
			return max(n, 0) // no bytes are EAGAIN, or the end that only close brings about
		}
	}
}

// follow calls read whenever there is something, again as long as it asks for it, and
// returns when it is over or the pipe is closed.
func (p *pipe) follow(read func() (again, over bool)) {
	_ = p.raw.Read(func(uintptr) bool { // its error says that close was called
		for {
			again, over := read()
			if over || !again {
				return over
			}
		}
	})
}

// close closes both ends.
func (p *pipe) close() {
	_ = p.read.Close() // nobody writes any more; there is nothing to tell
	_ = p.write.Close()
}
