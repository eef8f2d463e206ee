package accounts

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Key is the key of a server: it encrypts secrets at rest and seals sessions.
type Key [32]byte

// OpenKey reads the key of a server from a file, or makes the file, readable for its
// owner alone. A file that others may read is refused.
func OpenKey(path string) (Key, error) {
	var k Key
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, _ = rand.Read(k[:]) // crypto/rand never fails: it ends the program instead
		return k, writeKey(path, k)
	}
	if err != nil {
		return k, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return k, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return k, fmt.Errorf("%s holds the key of all secrets and can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != len(k) {
		return k, fmt.Errorf("%s is not a key of 64 hexadecimal digits", path)
	}
	copy(k[:], raw)
	return k, nil
}

// writeKey writes a new key so that it is whole and durable, or not there.
func writeKey(path string, k Key) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".auth-key-") // has mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(hex.EncodeToString(k[:]) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// sealer encrypts and authenticates, each text for one purpose.
type sealer struct {
	aead    cipher.AEAD
	session []byte // derives the secrets of sessions
}

func newSealer(k Key) (*sealer, error) {
	encryption, err := hkdf.Key(sha256.New, k[:], nil, "kiln accounts encryption", 32)
	if err != nil {
		return nil, err
	}
	session, err := hkdf.Key(sha256.New, k[:], nil, "kiln accounts sessions", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(encryption)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead, session}, nil
}

// close encrypts a text for a purpose.
func (s *sealer) close(purpose string, text []byte) string {
	return base64.StdEncoding.EncodeToString(s.aead.Seal(nil, nil, text, []byte(purpose)))
}

// open decrypts what close gave for the same purpose.
func (s *sealer) open(purpose, sealed string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, err
	}
	return s.aead.Open(nil, nil, raw, []byte(purpose))
}

// secretOf gives the secret of a session's access key, which nobody has to keep.
func (s *sealer) secretOf(id string) string {
	h := hmac.New(sha256.New, s.session)
	h.Write([]byte(id))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))[:40]
}

// newSecret draws a secret access key: 240 random bits.
func newSecret() string {
	var b [30]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the program instead
	return base64.StdEncoding.EncodeToString(b[:])
}

// newID draws an id as AWS forms them: four letters for its kind and 16 more signs.
func newID(kind string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the program instead
	return kind + base32.StdEncoding.EncodeToString(b[:])
}
