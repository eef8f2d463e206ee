package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sort"
	"strings"
	"time"
)

// Credentials sign requests. kiln takes the account from an access key of 12 digits and
// the region from the signature.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // optional
	Region          string
}

// signedService is the service in the scope of every signature.
const signedService = "lambda"

// sign adds a Signature Version 4 for the given body and moment to the headers.
func (k *Credentials) sign(req *http.Request, body []byte, now time.Time, service string) {
	stamp := now.UTC().Format("20060102T150405Z")
	req.Header.Set("X-Amz-Date", stamp)
	if k.SessionToken != "" {
		req.Header.Set("X-Amz-Security-Token", k.SessionToken)
	}
	names, canonical := signedHeaders(req)
	sum := sha256.Sum256(body)
	text := strings.Join([]string{
		req.Method,
		canonicalPath(req.URL.EscapedPath()),
		req.URL.RawQuery, // url.Values.Encode has sorted it
		canonical,
		names,
		hex.EncodeToString(sum[:]),
	}, "\n")
	hash := sha256.Sum256([]byte(text))
	scope := stamp[:8] + "/" + k.Region + "/" + service + "/aws4_request"
	key := []byte("AWS4" + k.SecretAccessKey)
	for _, part := range []string{stamp[:8], k.Region, service, "aws4_request"} {
		key = mac(key, part)
	}
	signature := mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(hash[:]))
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+k.AccessKeyID+"/"+scope+
		", SignedHeaders="+names+", Signature="+hex.EncodeToString(signature))
}

// signedHeaders returns the names of the headers that are signed, and their canonical
// form: the host, the type of the body and everything that begins with x-amz-.
func signedHeaders(req *http.Request) (names, canonical string) {
	values := map[string]string{"host": req.URL.Host}
	for name, v := range req.Header {
		name = strings.ToLower(name)
		if name == "content-type" || strings.HasPrefix(name, "x-amz-") {
			values[name] = strings.Join(strings.Fields(strings.Join(v, ",")), " ")
		}
	}
	list := make([]string, 0, len(values))
	for name := range values {
		list = append(list, name)
	}
	sort.Strings(list)
	var b strings.Builder
	for _, name := range list {
		b.WriteString(name + ":" + values[name] + "\n")
	}
	return strings.Join(list, ";"), b.String()
}

// canonicalPath escapes every segment of an escaped path once more.
func canonicalPath(escaped string) string {
	segments := strings.Split(escaped, "/")
	for i, s := range segments {
		segments[i] = escape(s)
	}
	return strings.Join(segments, "/")
}

// mac is HMAC-SHA256.
func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
