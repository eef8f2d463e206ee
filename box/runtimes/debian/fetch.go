package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

const (
	// tries is how often a file is asked for before it is given up.
	tries = 3
	// downloadsAtOnce is how many packages are fetched at the same time.
	downloadsAtOnce = 4
)

// fetchSmall fetches a file that no digest is known of, of a bounded size. The mirrors
// are asked in turn.
func (a *Archive) fetchSmall(ctx context.Context, o origin, name string, limit int64) ([]byte, error) {
	var failed error
	for try := range tries {
		mirror := o.mirrors[try%len(o.mirrors)]
		text, err := a.readAll(ctx, mirror, name, limit)
		if err == nil {
			return text, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		failed = fmt.Errorf("%s/%s: %w", redact(mirror), name, err)
		a.log.Info("a try to fetch failed", "try", try+1, "of", tries, "error", failed)
		if isFinal(err) && len(o.mirrors) == 1 {
			break
		}
	}
	return nil, unavailable("fetch the index of Debian %s: %w", o.suite, failed)
}

// readAll reads a whole file of a mirror into memory.
func (a *Archive) readAll(ctx context.Context, mirror, name string, limit int64) ([]byte, error) {
	body, _, err := a.open(ctx, mirror, name, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return text, err
}

// isFinal reports whether asking the same server again would change nothing.
func isFinal(err error) bool {
	var s statusError
	return errors.As(err, &s) && s.code >= 400 && s.code < 500 &&
		s.code != http.StatusTooManyRequests && s.code != http.StatusRequestTimeout && s.code != http.StatusRequestedRangeNotSatisfiable
}

// isNotFound reports whether a server does not have a file.
func isNotFound(err error) bool {
	var s statusError
	return errors.As(err, &s) && s.code == http.StatusNotFound
}

// fetch gives the path of a file of which size and digest are known, in the directory
// of downloads. A part that is there is gone on with; what does not have the digest
// is thrown away. The names are those of the same file; arrived is told of each
// piece, negative when pieces were thrown away.
func (a *Archive) fetch(ctx context.Context, o origin, f file, names []string, arrived func(int64)) (string, error) {
	whole := filepath.Join(a.options.Downloads, f.sha256)
	if isWhole(whole, f) {
		arrived(f.size)
		return whole, nil
	}
	var failed error
	next := 0
	for try := range tries {
		mirror, name := o.mirrors[try%len(o.mirrors)], names[next]
		err := a.fetchOnce(ctx, mirror, name, f, whole, arrived)
		if err == nil {
			return whole, nil
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		failed = fmt.Errorf("%s/%s: %w", redact(mirror), name, err)
		a.log.Info("a try to fetch failed", "try", try+1, "of", tries, "error", failed)
		switch {
		case isNotFound(err) && next+1 < len(names):
			next++
		case isFinal(err) && len(o.mirrors) == 1, errors.Is(err, errDisk):
			return "", unavailable("fetch from Debian: %w", failed)
		}
	}
	return "", unavailable("fetch from Debian, %d times: %w", tries, failed)
}

// isWhole reports whether a file is there as it was signed. It is read: a power cut
// may have left its name and not its contents.
func isWhole(path string, f file) bool {
	in, err := os.Open(path)
	if err != nil {
		return false
	}
	defer in.Close()
	sum := sha256.New()
	if n, err := io.Copy(sum, io.LimitReader(in, f.size+1)); err != nil || n != f.size {
		return false
	}
	return hex.EncodeToString(sum.Sum(nil)) == f.sha256
}

// errDisk marks what is the fault of this machine, not of a server.
var errDisk = errors.New("cannot be kept")

// fetchOnce goes on with a download and, when it is whole and has the right digest,
// gives it its name.
func (a *Archive) fetchOnce(ctx context.Context, mirror, name string, f file, whole string, arrived func(int64)) (err error) {
	part, err := os.OpenFile(whole+".part", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("%w: %w", errDisk, err)
	}
	defer part.Close()
	sum := sha256.New()
	have, err := io.Copy(sum, io.LimitReader(part, f.size+1))
	if err != nil {
		return fmt.Errorf("%w: %w", errDisk, err)
	}
	counted := int64(0)
	count := func(n int64) { counted += n; arrived(n) }
	defer func() {
		if err != nil {
			arrived(-counted) // the next try begins by counting what is there
		}
	}()
	if have > f.size {
		have = 0
		if err := restart(part, sum); err != nil {
			return err
		}
	}
	count(have)
	if have < f.size {
		body, from, err := a.open(ctx, mirror, name, have)
		if err != nil {
			return err
		}
		defer body.Close()
		if from != have { // the server cannot go on and begins anew
			count(-have)
			if err := restart(part, sum); err != nil {
				return err
			}
		}
		if err := receive(part, sum, body, f.size-from, count); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.sha256 {
		if err := restart(part, sum); err != nil {
			return err
		}
		return errors.New("it arrived damaged: its digest is not the one that was signed")
	}
	if err := os.Rename(part.Name(), whole); err != nil {
		return fmt.Errorf("%w: %w", errDisk, err)
	}
	return nil
}

// restart throws away what has come.
func restart(part *os.File, sum hash.Hash) error {
	sum.Reset()
	if err := part.Truncate(0); err != nil {
		return fmt.Errorf("%w: %w", errDisk, err)
	}
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%w: %w", errDisk, err)
	}
	return nil
}

// receive writes just so many bytes of an answer.
func receive(part *os.File, sum hash.Hash, body io.Reader, wanted int64, count func(int64)) error {
	buffer := make([]byte, 64<<10)
	for wanted > 0 {
		n, err := body.Read(buffer[:min(int64(len(buffer)), wanted)])
		if n > 0 {
			if _, err := part.Write(buffer[:n]); err != nil {
				return fmt.Errorf("%w: %w", errDisk, err)
			}
			sum.Write(buffer[:n])
			wanted -= int64(n)
			count(int64(n))
		}
		if err == io.EOF && wanted > 0 {
			return fmt.Errorf("it ended %d bytes too early", wanted)
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// fetchAll fetches packages, several at a time, and gives their paths in their order.
// The first failure ends the others. progress is called by this goroutine alone.
func (a *Archive) fetchAll(ctx context.Context, parcels []*parcel, progress func(done int64)) ([]string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	paths := make([]string, len(parcels))
	arrived := make(chan int64) // closed when all workers have ended
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(downloadsAtOnce, len(parcels)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(parcels) {
					return
				}
				p := parcels[i]
				path, err := a.fetch(ctx, p.suite.origin, p.file, []string{p.file.name}, func(n int64) { arrived <- n })
				if err != nil {
					cancel(err)
					return
				}
				paths[i] = path
			}
		})
	}
	go func() { // ends with the workers, which end with the context at the latest
		workers.Wait()
		close(arrived)
	}()
	var done int64
	for n := range arrived {
		done += n
		progress(done)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return paths, nil
}
