// Package auth says who sends a request and from where it may come: the account and
// region of its signature's credential scope, the host names that a port answers to,
// and whether a page of another site is behind it. It reads Signature Version 4 as clients write it, in the
// Authorization header or in the query of a presigned URL; it never checks a
// signature, never looks anything up and never sees a function.
//
// As long as signatures are not checked, an identity is a claim and separates name
// spaces only. A server that needs more must not be reachable by others, which is
// why the program listens on the loopback interface unless it is told otherwise. A
// request that comes from inside an execution environment is another matter: its
// listener proves who it is, whatever it claims; see Environment.
package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"kiln"
)

// Algorithm is the one signature scheme that is read.
const Algorithm = "AWS4-HMAC-SHA256"

// Identity is who a request says it comes from.
type Identity struct {
	kiln.Scope
	AccessKey string // "" when the request is not signed
	Service   string // the service that the signature is for, "" when not signed
	Principal string // ARN of the role session of a request from inside, else ""
}

// Signed reports whether the request carried a signature.
func (i Identity) Signed() bool { return i.AccessKey != "" }

// Options is the configuration of a Gate.
type Options struct {
	// Home is the scope of unsigned requests and of access keys that are not an
	// account number; empty members are kiln.DefaultAccount and kiln.DefaultRegion.
	Home kiln.Scope
	// RequireSignature asks that unsigned and wrongly signed requests are refused.
	// New refuses it: kiln cannot check signatures yet.
	RequireSignature bool
}

// Gate reads identities. It is immutable and safe for concurrent use.
type Gate struct{ home kiln.Scope }

// New gives a Gate, or an error for a configuration that it could not keep.
func New(o Options) (*Gate, error) {
	if o.RequireSignature {
		return nil, errors.New("kiln does not verify signatures yet, so it cannot require them: listen on a loopback address, or put a proxy that authenticates in front")
	}
	home := o.Home
	if home.Account == "" {
		home.Account = kiln.DefaultAccount
	}
	if home.Region == "" {
		home.Region = kiln.DefaultRegion
	}
	if !isAccount(home.Account) {
		return nil, errors.New("account " + home.Account + " is not a number of 12 digits")
	}
	if !isRegion(home.Region) {
		return nil, errors.New("region " + home.Region + " is not a region name")
	}
	return &Gate{home: home}, nil
}

// Identify reads the identity of a request. An unsigned request belongs to the home
// scope; a signature that is not well formed is a *Refusal, never the home scope. A
// key of exactly 12 digits is the account itself, any other key belongs to the home
// account.
func (g *Gate) Identify(r *http.Request) (Identity, error) {
	s, err := signatureOf(r)
	if err != nil {
		return Identity{}, err
	}
	if s.kind == unsigned {
		return Identity{Scope: g.home}, nil
	}
	account := g.home.Account
	if isAccount(s.key) {
		account = s.key
	}
	return Identity{Scope: kiln.Scope{Account: account, Region: s.region}, AccessKey: s.key, Service: s.service}, nil
}

// signature is what a request says of who signed it.
type signature struct {
	kind                 kind
	key, region, service string
}

// kind is where a signature stands.
type kind uint8

const (
	unsigned  kind = iota
	inHeader       // Authorization
	presigned      // the query of the URL
)

// signatureOf reads the signature of a request. One that is not well formed is a
// *Refusal.
func signatureOf(r *http.Request) (signature, error) {
	header := r.Header.Get("Authorization")
	inQuery := strings.Contains(r.URL.RawQuery, "X-Amz-Credential=")
	var kind kind
	var credential string
	var err error
	switch {
	case len(r.Header["Authorization"]) > 1, header != "" && inQuery:
		return signature{}, incomplete("Request carries more than one authentication mechanism; only one is allowed.")
	case header != "":
		kind = inHeader
		credential, err = credentialOfHeader(header)
	case inQuery:
		kind = presigned
		credential, err = credentialOfQuery(r.URL.RawQuery)
	default:
		return signature{}, nil
	}
	if err != nil {
		return signature{}, err
	}
	s, err := readCredential(credential)
	s.kind = kind
	return s, err
}

// readCredential reads key/date/region/service/aws4_request.
func readCredential(credential string) (signature, error) {
	var parts [5]string
	rest := credential
	for i := range parts {
		part, tail, more := strings.Cut(rest, "/")
		if part == "" || more != (i < 4) {
			return signature{}, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + clip(credential) + "'.")
		}
		parts[i], rest = part, tail
	}
	key, date, region, service, term := parts[0], parts[1], parts[2], parts[3], parts[4]
	switch {
	case term != "aws4_request":
		return signature{}, mismatch("Credential should be scoped with a valid terminator: 'aws4_request', not '" + clip(term) + "'.")
	case !isDate(date):
		return signature{}, mismatch("Date in Credential scope does not have the form YYYYMMDD, got '" + clip(date) + "'.")
	case !isRegion(region):
		return signature{}, mismatch("Credential should be scoped to a valid region, not '" + clip(region) + "'.")
	}
	return signature{key: key, region: region, service: service}, nil
}

// credentialOfHeader gives the Credential of an Authorization header that has all
// the parts a signature needs.
func credentialOfHeader(header string) (string, error) {
	algorithm, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if algorithm != Algorithm {
		return "", incomplete("Unsupported AWS 'algorithm': '" + clip(algorithm) + "'; only " + Algorithm + " is read.")
	}
	var credential, signed, signature string
	for part := range strings.SplitSeq(rest, ",") {
		part = strings.TrimSpace(part)
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			if part == "" {
				continue
			}
			return "", incomplete("'" + clip(part) + "' not a valid key=value pair (missing equal-sign) in Authorization header: '" + clip(header) + "'.")
		}
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			signed = value
		case "Signature":
			signature = value
		}
	}
	return credential, require("Authorization header requires '%' parameter.", " Authorization="+clip(header),
		"Credential", credential, "Signature", signature, "SignedHeaders", signed)
}

// credentialOfQuery gives the Credential of a presigned URL that has all the parts a
// signature needs.
func credentialOfQuery(raw string) (string, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return "", incomplete("The query of the request is not well formed.")
	}
	if a := q.Get("X-Amz-Algorithm"); a != Algorithm {
		return "", incomplete("Unsupported AWS 'algorithm': '" + clip(a) + "'; only " + Algorithm + " is read.")
	}
	credential := q.Get("X-Amz-Credential")
	return credential, require("AWS query-string parameters must include '%'.", "",
		"X-Amz-Credential", credential, "X-Amz-Signature", q.Get("X-Amz-Signature"), "X-Amz-SignedHeaders", q.Get("X-Amz-SignedHeaders"))
}

// require refuses when one of the pairs of name and value has no value, with one
// sentence for each.
func require(sentence, tail string, pairs ...string) error {
	var missing []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			missing = append(missing, strings.Replace(sentence, "%", pairs[i], 1))
		}
	}
	if missing == nil {
		return nil
	}
	return incomplete(strings.Join(missing, " ") + tail)
}

// clip bounds what an answer repeats of a request.
func clip(s string) string {
	if len(s) > 256 {
		return s[:256] + "…"
	}
	return s
}

// isAccount reports whether s is an account number.
func isAccount(s string) bool { return len(s) == 12 && isDigits(s) }

// isDate reports whether s has the form of a scope's date.
func isDate(s string) bool { return len(s) == 8 && isDigits(s) }

// isDigits reports whether s has nothing but digits.
func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// isRegion reports whether s can be the name of a region. The region becomes part of
// keys and of file names, so that nothing but lower-case letters, digits and hyphens
// may pass.
func isRegion(s string) bool {
	if s == "" || len(s) > 32 || s[0] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}
