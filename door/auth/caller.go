package auth

import "kiln/door/auth/policy"

// Caller is a principal that was verified, with the policies that bound it at that
// moment. It is shared and never changed.
type Caller struct {
	policy.Principal
	Identity []*policy.Document // of the user or role
	Session  []*policy.Document // of the session; nil is not bounded further
}
