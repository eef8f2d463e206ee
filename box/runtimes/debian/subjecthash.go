package debian

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// subjectHash gives the number by which OpenSSL finds a certificate in a directory:
// the hash of its subject in a form in which equal names are equal, which is UTF-8 in
// lower case with single spaces. It is a name and protects nothing.
func subjectHash(der []byte) (uint32, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return 0, err
	}
	var sets []asn1.RawValue
	if _, err := asn1.Unmarshal(certificate.RawSubject, &sets); err != nil {
		return 0, err
	}
	var canonical []byte
	for _, set := range sets {
		text, err := canonicalSet(set.Bytes)
		if err != nil {
			return 0, err
		}
		canonical = append(canonical, text...)
	}
	sum := sha1.Sum(canonical)
	return binary.LittleEndian.Uint32(sum[:4]), nil
}

// attribute is one part of a name.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// canonicalSet gives one set of a name's parts in canonical form.
func canonicalSet(contents []byte) ([]byte, error) {
	var parts []attribute
	for len(contents) > 0 {
		var a attribute
		rest, err := asn1.Unmarshal(contents, &a)
		if err != nil {
			return nil, err
		}
		if text, ok := textOf(a.Value); ok {
			a.Value = asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagUTF8String, Bytes: []byte(canonicalText(text))}
		}
		parts, contents = append(parts, a), rest
	}
	return asn1.MarshalWithParams(parts, "set")
}

// textOf gives the text of a value; ok is false when it is none.
func textOf(v asn1.RawValue) (text string, ok bool) {
	if v.Class != asn1.ClassUniversal {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, 26: // 26: VisibleString
		return string(v.Bytes), true
	case asn1.TagT61String: // read as Latin-1, as everybody does
		var b strings.Builder
		for _, c := range v.Bytes {
			b.WriteRune(rune(c))
		}
		return b.String(), true
	case asn1.TagBMPString:
		units := make([]uint16, 0, len(v.Bytes)/2)
		for i := 0; i+1 < len(v.Bytes); i += 2 {
			units = append(units, uint16(v.Bytes[i])<<8|uint16(v.Bytes[i+1]))
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}

// canonicalText gives a text in lower case, as far as it is ASCII, without spaces
// around it and with single ones in it.
func canonicalText(text string) string {
	isSpace := func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' }
	words := strings.FieldsFunc(text, isSpace)
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, strings.Join(words, " "))
}
