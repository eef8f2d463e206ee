package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Window is how far the clock of whoever signs may be from the server's.
const Window = 15 * time.Minute

// maxExpires is the longest life of a presigned URL.
const maxExpires = 7 * 24 * time.Hour

// stamp is the form of the time in a signature.
const stamp = "20060102T150405Z"

// unsignedPayload stands for the digest of a body that is not covered by a signature.
const unsignedPayload = "UNSIGNED-PAYLOAD"

// emptySHA256 is the digest of no body.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Seal is what is left to be checked when the head of a request was: that the body is
// the one that was signed, and, where the head does not say its digest, the signature
// itself. A nil Seal has nothing left.
type Seal struct {
	digest    string // in hex, as the head has it; "" when the body decides
	signature string
	key       []byte   // that signs
	scope     string   // time and scope, as they stand in the string to sign
	heads     []string // the canonical request up to the digest of the body, in each form that is accepted
}

// Check compares the body's digest. It must be called, and give nil, before anything
// that the request asks for is done.
func (s *Seal) Check(sum [sha256.Size]byte) error {
	switch got := hex.EncodeToString(sum[:]); {
	case s == nil:
		return nil
	case s.digest == "":
		return s.verify(got)
	case s.digest != got:
		return mismatch("The value of the header x-amz-content-sha256 is not the SHA-256 of the body that was sent.")
	}
	return nil
}

// verify compares the signature with the one that the secret gives for a digest.
func (s *Seal) verify(digest string) error {
	for _, head := range s.heads {
		sum := sha256.Sum256([]byte(head + digest))
		want := hex.EncodeToString(mac(s.key, Algorithm+"\n"+s.scope+"\n"+hex.EncodeToString(sum[:])))
		if hmac.Equal([]byte(want), []byte(s.signature)) {
			return nil
		}
	}
	return mismatch("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

// verify checks a signature as far as the head of the request allows.
func (s signature) verify(r *http.Request, secret string, now time.Time) (*Seal, error) {
	at, err := s.when(r, now)
	if err != nil {
		return nil, err
	}
	if err := s.covers(r.Header); err != nil {
		return nil, err
	}
	scope := s.date + "/" + s.region + "/" + s.service + "/aws4_request"
	seal := &Seal{signature: s.signature, key: signingKey(secret, s.date, s.region, s.service), scope: at + "\n" + scope}
	path, headers := canonicalPath(r), s.canonicalHeaders(r)
	for _, query := range canonicalQueries(r.URL.RawQuery, s.kind == presigned) {
		seal.heads = append(seal.heads, r.Method+"\n"+path+"\n"+query+"\n"+headers+"\n"+s.signed+"\n")
	}
	digest := r.Header.Get("X-Amz-Content-Sha256")
	if digest == "" && s.kind == presigned {
		if digest = r.URL.Query().Get("X-Amz-Content-Sha256"); digest == "" && s.service == "s3" {
			digest = unsignedPayload
		}
	}
	if digest == "" && (r.Body == nil || r.Body == http.NoBody) {
		digest = emptySHA256
	}
	switch {
	case digest == "":
		return seal, nil
	case digest == unsignedPayload:
		return nil, seal.verify(digest)
	case len(digest) != 64 || strings.Trim(digest, "0123456789abcdef") != "":
		return nil, mismatch("The value of the header x-amz-content-sha256 is neither a SHA-256 in lower-case hex nor " + unsignedPayload + ".")
	}
	if err := seal.verify(digest); err != nil {
		return nil, err
	}
	seal.digest = digest
	return seal, nil
}

// when gives the time of a signature as it was signed, and refuses one that is over or
// not there yet.
func (s signature) when(r *http.Request, now time.Time) (string, error) {
	text, life, span := s.time, Window, Window
	if s.kind == presigned {
		n, err := strconv.Atoi(s.expires)
		if life = time.Duration(n) * time.Second; err != nil || n < 0 || life > maxExpires {
			return "", incomplete("X-Amz-Expires must be a number of seconds from 0 to 604800, got '" + clip(s.expires) + "'.")
		}
	} else if text == "" {
		if text = r.Header.Get("Date"); text == "" {
			return "", incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=" + clip(r.Header.Get("Authorization")))
		}
		if at, err := http.ParseTime(text); err == nil {
			text = at.UTC().Format(stamp)
		}
	}
	at, err := time.Parse(stamp, text)
	if err != nil {
		return "", incomplete("Date must be in ISO-8601 'basic format'. Got '" + clip(text) + "'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	now = now.UTC()
	switch {
	case text[:8] != s.date:
		return "", mismatch("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" + s.date + "' != '" + text[:8] + "', from '" + text + "'.")
	case at.Before(now.Add(-life)):
		return "", mismatch("Signature expired: " + text + " is now earlier than " + now.Add(-life).Format(stamp) + " (" + now.Format(stamp) + " - " + minutes(life) + ")")
	case at.After(now.Add(span)):
		return "", mismatch("Signature not yet current: " + text + " is still later than " + now.Add(span).Format(stamp) + " (" + now.Format(stamp) + " + " + minutes(span) + ")")
	}
	return text, nil
}

// minutes writes a span of time as AWS does in these sentences.
func minutes(d time.Duration) string {
	if d%time.Minute != 0 {
		return strconv.Itoa(int(d/time.Second)) + " sec."
	}
	return strconv.Itoa(int(d/time.Minute)) + " min."
}

// covers refuses a signature that leaves out the host, its own time or a header that
// changes what AWS does: whoever stands between could add it.
func (s signature) covers(h http.Header) error {
	signed := strings.Split(s.signed, ";")
	if !slices.Contains(signed, "host") {
		return mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if s.kind == inHeader && s.time == "" && !slices.Contains(signed, "date") {
		return mismatch("'Date' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-") && !slices.Contains(signed, strings.ToLower(name)) {
			return mismatch("There were headers present in the request which were not signed: " + clip(strings.ToLower(name)))
		}
	}
	return nil
}

// canonicalHeaders gives the signed headers, one line each.
func (s signature) canonicalHeaders(r *http.Request) string {
	var b strings.Builder
	for name := range strings.SplitSeq(s.signed, ";") {
		b.WriteString(name)
		b.WriteByte(':')
		switch values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]; {
		case name == "host":
			b.WriteString(r.Host)
		case name == "content-length" && len(values) == 0:
			b.WriteString(strconv.FormatInt(r.ContentLength, 10))
		case name == "transfer-encoding" && len(values) == 0:
			b.WriteString(strings.Join(r.TransferEncoding, ","))
		default:
			for i, v := range values {
				if i > 0 {
					b.WriteByte(',')
				}
				if v = strings.TrimSpace(v); strings.Contains(v, "  ") {
					v = strings.Join(strings.FieldsFunc(v, func(r rune) bool { return r == ' ' }), " ")
				}
				b.WriteString(v)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// canonicalPath gives the path as it was sent, escaped once more; so do all clients
// but those of S3, which escape it once.
func canonicalPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") { // absolute form, or a request that no server has read
		path = r.URL.EscapedPath()
	}
	if path == "" {
		return "/"
	}
	return escape(path, true)
}

// canonicalQueries gives the query in the forms that clients sign: its parts escaped
// in the one way that AWS describes, and, where a client escapes otherwise, as sent.
// Both say the same of the request. A presigned URL is signed without its signature.
func canonicalQueries(raw string, presigned bool) []string {
	if raw == "" {
		return []string{""}
	}
	var strict, sent []string
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" || presigned && strings.HasPrefix(pair, "X-Amz-Signature=") {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		sent = append(sent, key+"="+value)
		strict = append(strict, again(key)+"="+again(value))
	}
	order := func(a, b string) int { // by key, then by value
		i, j := strings.IndexByte(a, '='), strings.IndexByte(b, '=')
		if c := strings.Compare(a[:i], b[:j]); c != 0 {
			return c
		}
		return strings.Compare(a[i:], b[j:])
	}
	slices.SortFunc(strict, order)
	slices.SortFunc(sent, order)
	if slices.Equal(strict, sent) {
		return []string{strings.Join(strict, "&")}
	}
	return []string{strings.Join(strict, "&"), strings.Join(sent, "&")}
}

// again escapes one part of a query anew. What cannot be read stays as it is.
func again(part string) string {
	if plain, err := url.QueryUnescape(part); err == nil {
		return escape(plain, false)
	}
	return part
}

// escape escapes all but letters, digits, -._~ and, in a path, slashes.
func escape(s string, path bool) string {
	keep := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' || path && c == '/'
	}
	i := 0
	for i < len(s) && keep(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := append(make([]byte, 0, len(s)+16), s[:i]...)
	for ; i < len(s); i++ {
		if c := s[i]; keep(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// signingKey derives the key of one day, region and service from a secret.
func signingKey(secret, date, region, service string) []byte {
	return mac(mac(mac(mac([]byte("AWS4"+secret), date), region), service), "aws4_request")
}

// mac is HMAC-SHA-256.
func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
