package debian

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"kiln"
)

// keyring is whom a suite's index may be signed by.
type keyring struct {
	entities openpgp.EntityList
	from     []string // the files, for people
}

// archiveKeyrings are the files in which Debian's own package keeps its keys.
var archiveKeyrings = []string{
	"usr/share/keyrings/debian-archive-keyring.gpg", "usr/share/keyrings/debian-archive-keyring.pgp",
	"usr/share/keyrings/debian-archive-keyring.asc",
}

// keysFor gives the keys that may sign a suite: of an option alone when there is one;
// of a source that has just this suite and says who signs it; else Debian's own keys
// on this machine; and only where that has none, all that its apt trusts.
func (a *Archive) keysFor(suite string) (keyring, error) {
	if a.options.Keyring != "" {
		k := keyring{}
		if err := k.read(a.options.Keyring); err != nil {
			return k, kiln.Errorf(kiln.Invalid, "the keyring cannot be used: %w", err)
		}
		return k, nil
	}
	host := func(name string) string { return filepath.Join(a.options.Host, name) }
	k := keyring{}
	for _, s := range a.sources {
		if a.options.Mirror == "" && s.has(suite) && slices.Contains(s.components, component) {
			if err := k.readSigners(s, a.options.Host); err != nil {
				return k, fmt.Errorf("read the keys of %s: %w", suite, err)
			}
		}
	}
	if len(k.entities) > 0 {
		return k, nil
	}
	for _, name := range archiveKeyrings {
		if err := k.read(host(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return k, err
		}
	}
	if len(k.entities) > 0 {
		return k, nil
	}
	trusted := append([]string{host("etc/apt/trusted.gpg")}, partsOf(host("etc/apt/trusted.gpg.d"), ".gpg", ".asc")...)
	for _, file := range trusted {
		if err := k.read(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return k, err
		}
	}
	if len(k.entities) == 0 {
		return k, kiln.Errorf(kiln.Unsupported,
			"this machine has no keys of Debian to check signatures with: install the package debian-archive-keyring, or name a file with --debian-keyring or debian-keyring in kiln.yaml")
	}
	return k, nil
}

// read adds the keys of a file, in ASCII armour or not. An empty file has none.
func (k *keyring) read(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return nil
	}
	if err := k.parse(text); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	k.from = append(k.from, file)
	return nil
}

// parse adds keys, in ASCII armour or not.
func (k *keyring) parse(text []byte) error {
	read := openpgp.ReadKeyRing
	if bytes.Contains(text, []byte("-----BEGIN PGP")) {
		read = openpgp.ReadArmoredKeyRing
	}
	entities, err := read(bytes.NewReader(text))
	if err != nil {
		return err
	}
	k.entities = append(k.entities, entities...)
	return nil
}

// readSigners adds the keys that a source says it is signed by.
func (k *keyring) readSigners(s source, host string) error {
	if s.keys != "" {
		return k.parse([]byte(s.keys))
	}
	var fingerprints []string
	for _, by := range s.signedBy {
		if filepath.IsAbs(by) {
			if err := k.read(filepath.Join(host, by)); err != nil {
				return err
			}
			continue
		}
		fingerprints = append(fingerprints, strings.ToUpper(strings.TrimSuffix(by, "!")))
	}
	if len(fingerprints) == 0 {
		return nil
	}
	var all keyring
	for _, name := range archiveKeyrings {
		if err := all.read(filepath.Join(host, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, file := range partsOf(filepath.Join(host, "etc/apt/trusted.gpg.d"), ".gpg", ".asc") {
		if err := all.read(file); err != nil {
			return err
		}
	}
	for _, e := range all.entities {
		if slices.ContainsFunc(fingerprintsOf(e), func(f string) bool { return slices.Contains(fingerprints, f) }) {
			k.entities = append(k.entities, e)
		}
	}
	if len(k.entities) == 0 {
		return fmt.Errorf("this machine has no key %s", strings.Join(fingerprints, ", "))
	}
	k.from = append(k.from, all.from...)
	return nil
}

// fingerprintsOf lists the fingerprints of a key and its parts, in upper case.
func fingerprintsOf(e *openpgp.Entity) []string {
	all := []string{strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint))}
	for _, sub := range e.Subkeys {
		all = append(all, strings.ToUpper(hex.EncodeToString(sub.PublicKey.Fingerprint)))
	}
	return all
}

// soundHashes are those that a signature may use; older ones can be forged.
var soundHashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}

// verify gives the text that one of the keys has signed, and nothing that stands
// around it. One good signature is enough: Debian signs with the keys of several
// releases, of which an older machine has some.
func (k keyring) verify(message []byte, now time.Time) (string, error) {
	block, _ := clearsign.Decode(message)
	if block == nil {
		return "", errors.New("it bears no signature")
	}
	signatures, err := signaturesOf(block.ArmoredSignature.Body)
	if err != nil {
		return "", fmt.Errorf("its signature cannot be read: %w", err)
	}
	var unknown, bad []string
	for _, s := range signatures {
		name := "of an unnamed key"
		if s.IssuerKeyId != nil {
			name = fmt.Sprintf("%016X", *s.IssuerKeyId)
		}
		if s.IssuerKeyId == nil || len(k.entities.KeysById(*s.IssuerKeyId)) == 0 {
			unknown = append(unknown, name)
			continue
		}
		if !slices.Contains(soundHashes, s.Hash) {
			bad = append(bad, name+": it uses "+s.Hash.String())
			continue
		}
		var one bytes.Buffer
		if err := s.Serialize(&one); err != nil {
			bad = append(bad, name+": "+err.Error())
			continue
		}
		config := &packet.Config{Time: func() time.Time { return now }}
		if _, _, err := openpgp.VerifyDetachedSignature(k.entities, bytes.NewReader(block.Bytes), &one, config); err != nil {
			bad = append(bad, name+": "+strings.TrimPrefix(err.Error(), "openpgp: "))
			continue
		}
		return string(block.Plaintext), nil
	}
	if len(bad) > 0 {
		return "", fmt.Errorf("its signature is not good (%s)", strings.Join(bad, "; "))
	}
	return "", fmt.Errorf("it is signed by keys that are not in %s (%s): a newer debian-archive-keyring may have them",
		strings.Join(k.from, ", "), strings.Join(unknown, ", "))
}

// signaturesOf reads the signatures of a block. Kinds that are not known are left
// out: others may be good.
func signaturesOf(r io.Reader) ([]*packet.Signature, error) {
	var all []*packet.Signature
	for packets := packet.NewReader(r); ; {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if s, ok := p.(*packet.Signature); ok {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is none")
	}
	return all, nil
}
