package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"

	"kiln"
)

// Objects gives packages that lie in S3. What is wrong with the request (there is no
// such object, or no way to it) is a *kiln.Error with the text that AWS answers.
type Objects interface {
	// Open opens an object. size is what it is said to have, -1 when that is not
	// known; Read ends with an error when it has less.
	Open(ctx context.Context, o kiln.S3Object) (body io.ReadCloser, size int64, err error)
}

// errTooLarge is the answer to an object that cannot be a package: its files would
// be larger than they may be even if nothing of them were packed.
var errTooLarge = &kiln.Error{Code: kiln.Invalid, Message: fmt.Sprintf("Unzipped size must be smaller than %d bytes", kiln.MaxUnzippedSize)}

// fetch is keep for a package in S3. It is written to the store while it arrives, and
// judged there: one that is refused is removed by the next sweep.
func (c *Catalog) fetch(ctx context.Context, o kiln.S3Object) (pkg kiln.Package, release func(), err error) {
	if c.o.Objects == nil {
		return kiln.Package{}, nil, kiln.Errorf(kiln.Invalid, "This server fetches no code from S3. Send it as ZipFile.")
	}
	body, size, err := c.o.Objects.Open(ctx, o)
	if err != nil {
		return kiln.Package{}, nil, err
	}
	defer body.Close()
	if size > kiln.MaxUnzippedSize {
		return kiln.Package{}, nil, errTooLarge
	}
	sha, size, err := c.o.Blobs.Put(ctx, &bounded{body, kiln.MaxUnzippedSize})
	if err != nil {
		return kiln.Package{}, nil, packageError(err)
	}
	release = c.pins.pin(sha)
	blob, _, err := c.o.Blobs.Open(sha) // no sweep came between
	if err != nil {
		release()
		return kiln.Package{}, nil, packageError(err)
	}
	unzipped, err := c.judge(ctx, blob, size)
	if err = errors.Join(err, blob.Close()); err != nil {
		release()
		return kiln.Package{}, nil, err
	}
	return kiln.Package{SHA256: sha, Size: size, UnzippedSize: unzipped}, release, nil
}

// bounded ends with errTooLarge when more comes than may.
type bounded struct {
	r    io.Reader
	left int64
}

// Read is io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
