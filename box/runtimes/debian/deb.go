package debian

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow bounds the memory that taking one package apart may need.
const maxWindow = 128 << 20

// openDeb gives the files of a package to take, one entry after the other.
func openDeb(ctx context.Context, path string, take func(*tar.Header, io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	member, name, err := findData(bufio.NewReaderSize(f, 256<<10))
	if err != nil {
		return err
	}
	unpacked, end, err := decompress(member, strings.TrimPrefix(name, "data.tar"))
	if err != nil {
		return err
	}
	defer end()
	for entries := tar.NewReader(unpacked); ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := take(entry, entries); err != nil {
			return err
		}
	}
}

// findData goes through an ar archive to the member that holds the files.
func findData(r *bufio.Reader) (io.Reader, string, error) {
	magic := make([]byte, 8)
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != "!<arch>\n" {
		return nil, "", errors.New("it is no Debian package")
	}
	for first := true; ; first = false {
		header := make([]byte, 60)
		if _, err := io.ReadFull(r, header); err != nil {
			return nil, "", errors.New("it holds no data.tar")
		}
		name := strings.TrimRight(strings.TrimSpace(string(header[:16])), "/")
		size, err := strconv.ParseInt(strings.TrimSpace(string(header[48:58])), 10, 64)
		if err != nil || size < 0 || string(header[58:]) != "`\n" {
			return nil, "", errors.New("its table of contents is damaged")
		}
		member := io.LimitReader(r, size)
		switch {
		case first:
			version, err := io.ReadAll(io.LimitReader(member, 16))
			if err != nil || name != "debian-binary" || !strings.HasPrefix(string(version), "2.") {
				return nil, "", errors.New("it is no Debian package of format 2")
			}
		case strings.HasPrefix(name, "data.tar"):
			return member, name, nil
		}
		if _, err := io.Copy(io.Discard, member); err != nil {
			return nil, "", err
		}
		if size%2 == 1 {
			if _, err := r.Discard(1); err != nil {
				return nil, "", errors.New("it ends too early")
			}
		}
	}
}

// decompress reads what is packed in the way that the ending of its name says. end
// gives back what that took.
func decompress(r io.Reader, ending string) (unpacked io.Reader, end func(), err error) {
	end = func() {}
	switch ending {
	case "":
		return r, end, nil
	case ".gz":
		unpacked, err = gzip.NewReader(r)
		return unpacked, end, err
	case ".xz":
		// it reads single bytes
		unpacked, err = xz.NewReader(bufio.NewReaderSize(r, 256<<10))
		return unpacked, end, err
	case ".zst":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWindow))
		if err != nil {
			return nil, end, err
		}
		return d, d.Close, nil
	}
	return nil, end, fmt.Errorf("kiln does not know the compression %q", ending)
}
