package kiln

// Qualifier is what the caller wrote behind the function's name: a version
// number, an alias, $LATEST or nothing. The catalog resolves it once.
type Qualifier string

// Latest is the qualifier and version name of the one version that changes.
const Latest = "$LATEST"
