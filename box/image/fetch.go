package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln"
)

// errDamaged is that bytes came which do not have their digest.
var errDamaged = errors.New("damaged")

// errMended is the same of bytes that came in several parts: the fault may be in one
// that came long ago, so that it is worth to ask for all of them again.
var errMended = fmt.Errorf("%w, in one of several parts", errDamaged)

// fetch brings a blob here unless it is here: whole, with its digest, durable. It
// goes on from where an earlier try broke off, and tells how many bytes more there
// are. Many callers for one blob wait for one fetch.
func (s *Store) fetch(ctx context.Context, from source, r *reference, d v1.Descriptor, more func(int64)) error {
	name := d.Digest.Hex
	return s.once(ctx, "blob "+name, func() error {
		if info, err := os.Lstat(s.blob(name)); err == nil && info.Size() == d.Size {
			more(d.Size)
			return nil
		}
		var err error
		for try := range s.o.Attempts {
			if try > 0 {
				select {
				case <-time.After(pause(try)):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if err = s.fetchSome(ctx, from, r, d, more); err == nil || ctx.Err() != nil || !passing(err) {
				break
			}
			s.log.InfoContext(ctx, "blob broke off", "image", r.text, "blob", d.Digest.String(), "try", try+1, "error", err)
		}
		return s.fetchError(r, d, err)
	})
}

// passing reports whether asking again may help.
func passing(err error) bool {
	return errors.Is(err, errPassing) || errors.Is(err, errStalled) || errors.Is(err, errMended) || errors.Is(err, io.ErrUnexpectedEOF) ||
		kiln.CodeOf(err) == kiln.Internal && !errors.As(err, new(*fs.PathError)) && !errors.Is(err, errDamaged)
}

// fetchError says what kept a blob from coming.
func (s *Store) fetchError(r *reference, d v1.Descriptor, err error) error {
	var known *kiln.Error
	var path *fs.PathError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, errDamaged):
		return refuse("The image %s is damaged: what came as %s has another digest or size.", clip(r.text), d.Digest)
	case errors.As(err, &known):
		return err
	case errors.As(err, &path):
		return diskError(err)
	case errors.Is(err, errStalled):
		return because(reasonFault, "The registry stalls: less than %d bytes of %s came within %s.", leastProgress, d.Digest, s.o.Stall)
	}
	return because(reasonFault, "The image %s cannot be fetched: %v.", clip(r.text), innermost(err))
}

// diskError says what this machine's disk did.
func diskError(err error) error {
	reason := "the server's disk failed"
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &path):
		reason = path.Err.Error()
	case errors.As(err, &link):
		reason = link.Err.Error()
	}
	// It may pass: the version waits.
	return &kiln.Error{Code: kiln.Unavailable, Message: "The image could not be kept: " + reason + ".", Err: err}
}

// fetchSome asks once for what lacks of a blob, and puts it in place if that is all.
func (s *Store) fetchSome(ctx context.Context, from source, r *reference, d v1.Descriptor, more func(int64)) (err error) {
	name := s.partial(d.Digest.Hex)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if errors.Is(err, errDamaged) || errors.Is(err, syscall.ENOSPC) {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	sum := sha256.New()
	have, err := io.Copy(sum, f) // what came before counts, once it is read again
	if err != nil {
		return err
	}
	if have > d.Size {
		return errMended
	}
	parts := have > 0
	told := have
	more(have)
	defer func() {
		if err != nil {
			more(-told)
		}
	}()
	if have < d.Size || d.Size == 0 {
		body, at, err := from.blob(ctx, d, have)
		if err != nil {
			return err
		}
		defer body.Close()
		if at != have { // it cannot go on and sends all again
			if err := restart(f, sum); err != nil {
				return err
			}
			more(-told)
			told, have, parts = 0, 0, false
		}
		n, err := io.Copy(io.MultiWriter(f, sum), &tellingReader{ctx, io.LimitReader(body, d.Size-have+1), func(n int64) { told += n; more(n) }})
		if err != nil {
			return err
		}
		have += n
	}
	switch {
	case have < d.Size:
		return io.ErrUnexpectedEOF
	case parts && (have > d.Size || hex.EncodeToString(sum.Sum(nil)) != d.Digest.Hex):
		return errMended
	case have > d.Size || hex.EncodeToString(sum.Sum(nil)) != d.Digest.Hex:
		return errDamaged
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(name, s.blob(d.Digest.Hex)); err != nil {
		return err
	}
	return syncDir(s.blobs)
}

// restart empties what was there of a blob.
func restart(f *os.File, sum hash.Hash) error {
	sum.Reset()
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// tellingReader tells what it reads, and ends when its context does.
type tellingReader struct {
	ctx  context.Context
	r    io.Reader
	tell func(int64)
}

func (t *tellingReader) Read(p []byte) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := t.r.Read(p)
	t.tell(int64(n))
	return n, err
}

// keep writes a small blob that was read and judged already.
func (s *Store) keep(text []byte) error {
	digest := digestOf(text)
	if info, err := os.Lstat(s.blob(digest)); err == nil && info.Size() == int64(len(text)) {
		return nil
	}
	f, err := os.CreateTemp(s.partial(""), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.blob(digest))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(s.blobs)
}

// read gives a small blob that is here, or ErrLost.
func (s *Store) read(digest string) ([]byte, error) {
	f, err := os.Open(s.blob(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrLost
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err == nil && digestOf(text) != digest {
		err = ErrLost
	}
	return text, err
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// once does work of a key unless somebody does it already; then it waits for that one.
func (s *Store) once(ctx context.Context, key string, work func() error) error {
	for {
		s.mu.Lock()
		f := s.busy[key]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			s.busy[key] = f
			s.mu.Unlock()
			f.err = work()
			s.mu.Lock()
			delete(s.busy, key)
			s.mu.Unlock()
			close(f.done)
			return f.err
		}
		s.mu.Unlock()
		select {
		case <-f.done:
			// somebody whose context ended has not tried for us
			if !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
				return f.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
