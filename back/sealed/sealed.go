// Package sealed keeps records of a store encrypted, so that who reads the file, or a
// backup of it, learns no variable of a function. It encrypts and hands on: what a
// record means, and where it lies, is others' business.
package sealed

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"kiln/engine/catalog"
)

var _ catalog.Store = (*Store)(nil)

// magic begins every sealed value; no JSON does.
var magic = []byte("kiln sealed 1\n")

// ErrKey is the answer to a record that was sealed with another key, or was changed.
var ErrKey = errors.New("the record was encrypted with another key, or was changed: the key file belongs to the data directory and must be restored with it")

// Store is a store whose records below some prefixes are encrypted with a key that
// only the server has. A value is bound to its record's key: it cannot be moved to
// another one.
type Store struct {
	under    catalog.Store
	aead     cipher.AEAD
	prefixes []string
}

// New wraps a store. key has 32 bytes; records whose keys begin with one of the
// prefixes are sealed from now on, those that were written before are read as they are.
func New(under catalog.Store, key [32]byte, prefixes ...string) (*Store, error) {
	derived, err := hkdf.Key(sha256.New, key[:], nil, "kiln records encryption", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Store{under, aead, prefixes}, nil
}

// Scan is catalog.Store.
func (s *Store) Scan(ctx context.Context, prefix string, f func(catalog.Record) error) error {
	return s.under.Scan(ctx, prefix, func(r catalog.Record) error {
		value, sealed := bytes.CutPrefix(r.Value, magic)
		if sealed {
			text, err := s.aead.Open(nil, nil, value, []byte(r.Key))
			if err != nil {
				return fmt.Errorf("record %q: %w", r.Key, ErrKey)
			}
			r.Value = text
		}
		return f(r)
	})
}

// Commit is catalog.Store.
func (s *Store) Commit(ctx context.Context, writes []catalog.Write) ([]uint64, error) {
	out := make([]catalog.Write, len(writes))
	for i, w := range writes {
		if w.Value != nil && s.seals(w.Key) {
			w.Value = append(bytes.Clone(magic), s.aead.Seal(nil, nil, w.Value, []byte(w.Key))...)
		}
		out[i] = w
	}
	return s.under.Commit(ctx, out)
}

func (s *Store) seals(key string) bool {
	for _, p := range s.prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}
