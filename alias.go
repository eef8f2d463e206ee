package kiln

// Alias is a name for a version, or for two with weights.
type Alias struct {
	Function    FunctionID
	Name        string
	Version     string // "$LATEST" or a number
	Description string
	// Weights sends a share (0..1) of the calls to one other version; nil is none.
	Weights    map[string]float64
	RevisionID string
}

// ARN gives the ARN of the alias.
func (a *Alias) ARN() string { return a.Function.QualifiedARN(Qualifier(a.Name)) }
