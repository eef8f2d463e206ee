package kiln

// Policy is who may use a function, one of its versions or an alias, beyond what callers
// may by their own policies.
type Policy struct {
	Document   string // JSON, as the API shows it
	RevisionID string // of the policy alone
}

// MaxPolicySize is how many bytes the document of a policy may have.
const MaxPolicySize = 20480
