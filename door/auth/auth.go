// Package auth says who sends a request, from where it may come, and what whoever
// sends it may do: signatures, host names, other sites' pages, policies. It reads
// Signature Version 4 as clients write it, in the Authorization header or in the query
// of a presigned URL. It keeps nothing (Keys finds secrets and principals) and never
// sees a function.
//
// A Gate without Keys checks no signature: an identity is a claim then and separates
// name spaces only, which is why such a server listens on the loopback interface. A
// Gate with Keys lets in nobody whose signature is not right. A request that comes from
// inside an execution environment is another matter: its listener proves who it is,
// whatever it claims; see Environment.
package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kiln"
)

// Algorithm is the one signature scheme that is read.
const Algorithm = "AWS4-HMAC-SHA256"

// Identity is who a request says it comes from; with a Caller, who it does come from.
type Identity struct {
	kiln.Scope
	AccessKey string  // "" when the request is not signed
	Service   string  // the service that the signature is for, "" when not signed
	Principal string  // ARN of who is known to ask, "" when nobody is
	Caller    *Caller // what a principal that was verified may do; nil where signatures are not checked
}

// Signed reports whether the request carried a signature.
func (i Identity) Signed() bool { return i.AccessKey != "" }

// Options is the configuration of a Gate.
type Options struct {
	// Home is the scope of unsigned requests and of access keys that are not an
	// account number; empty members are kiln.DefaultAccount and kiln.DefaultRegion.
	Home kiln.Scope
	// Organization is the id of the organization that all accounts of this server are in,
	// "" for none: the key aws:PrincipalOrgID.
	Organization string
	// Keys finds the secrets that requests are signed with. Nil lets in everybody.
	Keys Keys
	Now  func() time.Time // for tests
}

// Keys finds what an access key stands for.
type Keys interface {
	// Key gives the secret of an access key, and for whom it signs. A key that must
	// come with a session token is given with that token alone. Errors are *Refusal.
	Key(id, token string) (Key, error)
}

// Key is one access key.
type Key struct {
	Secret string
	Caller *Caller
}

// Gate reads identities. It is immutable and safe for concurrent use.
type Gate struct {
	home kiln.Scope
	org  string
	keys Keys
	now  func() time.Time
}

// New gives a Gate, or an error for a configuration that it could not keep.
func New(o Options) (*Gate, error) {
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
	if o.Organization != "" && !IsOrganization(o.Organization) {
		return nil, errors.New("organization " + o.Organization + " is not o- with 10 to 32 lower-case letters and digits")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Gate{home: home, org: o.Organization, keys: o.Keys, now: o.Now}, nil
}

// Verifies reports whether the gate lets in only whose signature is right.
func (g *Gate) Verifies() bool { return g.keys != nil }

// Home is the account and region of whoever does not say another.
func (g *Gate) Home() kiln.Scope { return g.home }

// Verify reads the identity of a request that must be signed for a service, and checks
// the signature as far as the head of the request goes: what is left is in the Seal,
// which must be checked with the body before anything is done. Where signatures are not
// checked it is Identify. A refusal is a *Refusal.
func (g *Gate) Verify(r *http.Request, service string) (Identity, *Seal, error) {
	if g.keys == nil {
		who, err := g.Identify(r)
		return who, nil, err
	}
	s, err := signatureOf(r)
	if err != nil {
		return Identity{}, nil, err
	}
	if s.kind == unsigned {
		return Identity{}, nil, missing("Missing Authentication Token")
	}
	if s.service != service {
		return Identity{}, nil, mismatch("Credential should be scoped to correct service: '" + service + "'.")
	}
	token, sent := tokenOf(r, s.kind)
	if sent && token == "" {
		return Identity{}, nil, unrecognized()
	}
	key, err := g.keys.Key(s.key, token)
	if err != nil {
		return Identity{}, nil, err
	}
	seal, err := s.verify(r, key.Secret, g.now())
	if err != nil {
		return Identity{}, nil, err
	}
	return Identity{
		Scope: kiln.Scope{Account: key.Caller.Account, Region: s.region}, AccessKey: s.key, Service: s.service,
		Principal: key.Caller.ARN, Caller: key.Caller,
	}, seal, nil
}

// ServiceOf gives the service that a request says it is signed for, "" when it is not
// signed.
func ServiceOf(r *http.Request) (string, error) {
	s, err := signatureOf(r)
	return s.service, err
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
	kind                       kind
	key, date, region, service string // the credential
	signed                     string // names of the signed headers, as they stand in the request
	signature                  string // in hex
	time, expires              string // X-Amz-Date, "" for the header Date; X-Amz-Expires
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
	var s signature
	var credential string
	var err error
	switch {
	case len(r.Header["Authorization"]) > 1, header != "" && inQuery:
		return signature{}, incomplete("Request carries more than one authentication mechanism; only one is allowed.")
	case header != "":
		s.kind, s.time = inHeader, r.Header.Get("X-Amz-Date")
		credential, err = s.readHeader(header)
	case inQuery:
		s.kind = presigned
		credential, err = s.readQuery(r.URL.RawQuery)
	default:
		return signature{}, nil
	}
	if err != nil {
		return signature{}, err
	}
	if err := s.readCredential(credential); err != nil {
		return signature{}, err
	}
	return s, nil
}

// readCredential reads key/date/region/service/aws4_request.
func (s *signature) readCredential(credential string) error {
	var parts [5]string
	rest := credential
	for i := range parts {
		part, tail, more := strings.Cut(rest, "/")
		if part == "" || more != (i < 4) {
			return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + clip(credential) + "'.")
		}
		parts[i], rest = part, tail
	}
	key, date, region, service, term := parts[0], parts[1], parts[2], parts[3], parts[4]
	switch {
	case term != "aws4_request":
		return mismatch("Credential should be scoped with a valid terminator: 'aws4_request', not '" + clip(term) + "'.")
	case !isDate(date):
		return mismatch("Date in Credential scope does not have the form YYYYMMDD, got '" + clip(date) + "'.")
	case !isRegion(region):
		return mismatch("Credential should be scoped to a valid region, not '" + clip(region) + "'.")
	}
	s.key, s.date, s.region, s.service = key, date, region, service
	return nil
}

// readHeader reads an Authorization header that has all the parts a signature needs,
// and gives its Credential.
func (s *signature) readHeader(header string) (credential string, err error) {
	algorithm, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if algorithm != Algorithm {
		return "", incomplete("Unsupported AWS 'algorithm': '" + clip(algorithm) + "'; only " + Algorithm + " is read.")
	}
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
			s.signed = value
		case "Signature":
			s.signature = value
		}
	}
	return credential, require("Authorization header requires '%' parameter.", " Authorization="+clip(header),
		"Credential", credential, "Signature", s.signature, "SignedHeaders", s.signed)
}

// readQuery reads the query of a presigned URL that has all the parts a signature
// needs, and gives its Credential.
func (s *signature) readQuery(raw string) (credential string, err error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return "", incomplete("The query of the request is not well formed.")
	}
	if a := q.Get("X-Amz-Algorithm"); a != Algorithm {
		return "", incomplete("Unsupported AWS 'algorithm': '" + clip(a) + "'; only " + Algorithm + " is read.")
	}
	credential, s.signature, s.signed = q.Get("X-Amz-Credential"), q.Get("X-Amz-Signature"), q.Get("X-Amz-SignedHeaders")
	s.time, s.expires = q.Get("X-Amz-Date"), q.Get("X-Amz-Expires")
	return credential, require("AWS query-string parameters must include '%'.", "",
		"X-Amz-Credential", credential, "X-Amz-Signature", s.signature, "X-Amz-SignedHeaders", s.signed)
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

// IsOrganization reports whether s can be the id of an organization.
func IsOrganization(s string) bool {
	id, ok := strings.CutPrefix(s, "o-")
	return ok && len(id) >= 10 && len(id) <= 32 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
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
