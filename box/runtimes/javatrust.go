package runtimes

import (
	"bytes"
	"crypto/sha1" // the format's own digest, of data that anybody may read
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf16"
)

// trustStore is the place of the authorities in the bootstrap's directory, when the
// Java has none of its own.
const trustStore = "lib/cacerts"

// bundles are the places where distributions keep the authorities that they trust.
var bundles = []string{
	"etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt",
	"etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "etc/ssl/cert.pem",
}

// makeTrustStore lets a Java whose list of authorities is a link to nowhere, as
// Debian's may be, trust those that its system trusts.
func makeTrustStore(i *interpreter, home string) error {
	own := filepath.Join(i.Prefix, "lib/security/cacerts")
	if link, err := os.Readlink(own); err == nil && filepath.IsAbs(link) {
		own = filepath.Join(i.Root, link)
	}
	if _, err := os.Stat(own); err == nil {
		return nil
	}
	for _, bundle := range bundles {
		text, err := os.ReadFile(filepath.Join("/", i.Root, bundle))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(home, trustStore), keyStore(text), 0o644)
	}
	return nil
}

// keyStore gives the certificates of a bundle as a store in Java's first format, which
// every Java reads without a password.
func keyStore(bundle []byte) []byte {
	var entries bytes.Buffer
	count := uint32(0)
	number := func(size int, value uint64) {
		entries.Write(binary.BigEndian.AppendUint64(nil, value)[8-size:])
	}
	text := func(s string) {
		number(2, uint64(len(s)))
		entries.WriteString(s)
	}
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			continue // Java would refuse the store for it
		}
		count++
		number(4, 2) // a certificate that is trusted
		text(fmt.Sprintf("authority-%d", count))
		number(8, 0) // made at no time in particular
		text("X.509")
		number(4, uint64(len(block.Bytes)))
		entries.Write(block.Bytes)
	}
	store := binary.BigEndian.AppendUint32(nil, 0xfeedfeed)
	store = binary.BigEndian.AppendUint32(store, 2)
	store = binary.BigEndian.AppendUint32(store, count)
	store = append(store, entries.Bytes()...)
	digest := sha1.New()
	for _, unit := range utf16.Encode([]rune("changeit")) {
		digest.Write(binary.BigEndian.AppendUint16(nil, unit))
	}
	digest.Write([]byte("Mighty Aphrodite"))
	digest.Write(store)
	return digest.Sum(store)
}
