package kiln

// Revision is the digest of one exact code + configuration, with the function and
// version it belongs to. Environments may be shared only when revision, tenant and
// initialization type are equal.
type Revision string

// EnvironmentKey is what two invocations must have in common to be served by one
// environment.
type EnvironmentKey struct {
	Revision Revision
	Tenant   string
	InitType InitType
}

// InitType is the way an environment came to be, as AWS_LAMBDA_INITIALIZATION_TYPE
// shows it.
type InitType string

// Initialization types.
const (
	OnDemand    InitType = "on-demand"
	Provisioned InitType = "provisioned-concurrency"
)

// Target is a function reference after resolution: the one version that runs. It
// is a value shared by many invocations and never changed.
type Target struct {
	Version  *Version
	Revision Revision
	// Reserved is the function's reserved concurrency at the time of resolution;
	// nil is none.
	Reserved *int
	// Provisioned is the function's provisioned concurrency, all versions together, and
	// Provision what of it serves calls by this one's qualifier; nil is nothing.
	Provisioned int
	Provision   *Provision
	Loops       bool // the function may be part of a chain of calls without an end
}

// CheckTenant refuses a call without a tenant where tenants are kept apart, and one with
// a tenant where they are not.
func (t *Target) CheckTenant(tenant string) error {
	apart := t.Version != nil && t.Version.Config.PerTenant
	switch {
	case apart && tenant == "":
		return Errorf(Invalid, "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again.")
	case !apart && tenant != "":
		return Errorf(Invalid, "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again.")
	}
	return nil
}
