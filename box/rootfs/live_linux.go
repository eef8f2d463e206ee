package rootfs

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"kiln"
)

// ProofFile is where somebody who wants a directory of his shown proves that he may
// write there: a file in the directory itself.
const ProofFile = ".kiln-live"

// kept is how many directories stay open behind the current one, for environments that
// were about to start when the directory was made anew.
const kept = 4

// Live is a directory of this host that functions under development show as it is.
// It stays the one that was proved, whatever becomes of its name meanwhile.
type Live struct {
	mu     sync.Mutex
	open   []*os.File // the last one is current
	closed bool
}

// OpenLive opens a directory for somebody who may write into it. A server that runs
// as root sees directories that its callers do not: who cannot leave the proof there
// is shown nothing.
func OpenLive(directory, proof string) (*Live, error) {
	dir, err := proved(directory, proof)
	if err != nil {
		return nil, err
	}
	return &Live{open: []*os.File{dir}}, nil
}

// Turn opens the directory again, which may be another one under the old name or under
// a new one.
func (l *Live) Turn(directory, proof string) error {
	dir, err := proved(directory, proof)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.Join(os.ErrClosed, dir.Close())
	}
	was, err := l.open[len(l.open)-1].Stat()
	is, err2 := dir.Stat()
	if err == nil && err2 == nil && os.SameFile(was, is) {
		return dir.Close()
	}
	l.open = append(l.open, dir)
	if len(l.open) > kept {
		err = l.open[0].Close()
		l.open = l.open[1:]
		return err
	}
	return nil
}

// Path names the directory as long as it is open.
func (l *Live) Path() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), l.open[len(l.open)-1].Fd())
}

// Close gives the directory up. Environments that show it go on.
func (l *Live) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var err error
	for _, d := range l.open {
		err = errors.Join(err, d.Close())
	}
	return err
}

// proved opens a directory whose proof is right.
func proved(directory, proof string) (*os.File, error) {
	if !filepath.IsAbs(directory) || len(proof) < 16 || len(proof) > 128 {
		return nil, kiln.Errorf(kiln.Invalid, "an absolute path, and a proof of 16 to 128 characters, are expected")
	}
	dir, err := os.OpenFile(directory, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, kiln.Errorf(kiln.Invalid, "%.200q cannot be opened where the server runs, which must be the machine with the files", directory)
	}
	if err := prove(dir, proof); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// prove looks for the proof in a directory.
func prove(dir *os.File, proof string) error {
	file, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), ProofFile), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return kiln.Errorf(kiln.Invalid, "no file %s is in %.200q where the server runs, which must be the machine with the files", ProofFile, dir.Name())
	}
	if err == nil {
		defer file.Close()
		var info fs.FileInfo
		if info, err = file.Stat(); err == nil && info.Mode().IsRegular() {
			text := make([]byte, len(proof)+1)
			n, _ := io.ReadFull(file, text) // what could not be read is not the proof
			if subtle.ConstantTimeCompare(text[:n], []byte(proof)) == 1 {
				return nil
			}
		}
	}
	return kiln.Errorf(kiln.Invalid, "the file %s in %.200q does not hold the proof", ProofFile, dir.Name())
}
