package auth

import (
	"crypto/subtle"
	"net/http"
	"strings"

	"kiln"
)

// Environment is the execution environment on whose own listener a request arrived.
// Nobody else can reach that listener, so that no signature has to prove who asks:
// a request acts as the function, whatever key it is signed with. What is checked is
// that it claims to be nobody else, and that the function's code meant to send it.
// It is immutable and safe for concurrent use.
type Environment struct {
	scope     kiln.Scope
	function  kiln.FunctionID
	role      string
	principal string
	token     string
}

// NewEnvironment gives the environment of a function that runs as a role, given by
// its ARN, and has a session token of its own. An empty token panics: it would let
// in what carries none.
func NewEnvironment(function kiln.FunctionID, role, token string) *Environment {
	if token == "" {
		panic("auth: an environment needs a session token")
	}
	return &Environment{function.Scope, function, role, session(function, role), token}
}

// Principal gives the ARN of the role session that requests act as.
func (e *Environment) Principal() string { return e.principal }

// Function names the function, and the ARN of the role that it runs as.
func (e *Environment) Function() (id kiln.FunctionID, role string) { return e.function, e.role }

// Carries reports whether a request has the environment's session token: whoever sent it
// meant it to be the function's. Others are somebody else's, and must prove it where
// signatures are checked.
func (e *Environment) Carries(r *http.Request) bool {
	kind := inHeader
	if strings.Contains(r.URL.RawQuery, "X-Amz-Credential=") {
		kind = presigned
	}
	token, sent := tokenOf(r, kind)
	return sent && subtle.ConstantTimeCompare([]byte(token), []byte(e.token)) == 1
}

// session gives the ARN of a function's session of its role, as AWS has it: the
// role's name without its path, and the function's name as that of the session.
func session(function kiln.FunctionID, role string) string {
	partition := "aws"
	if parts := strings.SplitN(role, ":", 3); len(parts) == 3 && parts[0] == "arn" {
		partition = parts[1]
	}
	name := role[strings.LastIndexAny(role, "/:")+1:]
	return "arn:" + partition + ":sts::" + function.Account + ":assumed-role/" + name + "/" + function.Name
}

// Identify gives the identity of a request from inside: the function's account and
// role, and the region that the request is signed for, else the function's. It
// refuses, as AWS words it,
//
//   - a key that is another account's number, and a session token that is not this
//     environment's, wherever it comes from;
//   - a request with neither a signature in its header nor this environment's token: a
//     function that fetches URLs for others can be made to send one, and must not
//     thereby lend them its role.
func (e *Environment) Identify(r *http.Request) (Identity, error) {
	s, err := signatureOf(r)
	if err != nil {
		return Identity{}, err
	}
	token, sent := tokenOf(r, s.kind)
	switch {
	case sent && subtle.ConstantTimeCompare([]byte(token), []byte(e.token)) == 0:
		return Identity{}, unrecognized()
	case isAccount(s.key) && s.key != e.scope.Account:
		return Identity{}, unrecognized()
	case !sent && s.kind != inHeader:
		return Identity{}, missing("Missing Authentication Token. Inside a function, sign the request, or send the function's AWS_SESSION_TOKEN as X-Amz-Security-Token.")
	}
	who := Identity{Scope: e.scope, AccessKey: s.key, Service: s.service, Principal: e.principal}
	if s.region != "" {
		who.Region = s.region
	}
	return who, nil
}

// tokenOf gives the session token of a request, from its header or from the query of
// a presigned URL. Two of them are one that nobody has.
func tokenOf(r *http.Request, k kind) (token string, sent bool) {
	all := r.Header["X-Amz-Security-Token"]
	if k == presigned {
		all = append(all[:len(all):len(all)], r.URL.Query()["X-Amz-Security-Token"]...)
	}
	switch len(all) {
	case 0:
		return "", false
	case 1:
		return all[0], true
	}
	return "", true
}
