package catalog

import (
	"encoding/base64"
	"encoding/hex"

	"kiln"
)

// The refusals, with the texts that AWS answers (recorded answers first, then what
// users reported where nothing was recorded).

func notFound(id kiln.FunctionID, q kiln.Qualifier) error {
	return kiln.Errorf(kiln.NotFound, "Function not found: %s", id.QualifiedARN(q))
}

func aliasNotFound(id kiln.FunctionID, name string) error {
	return kiln.Errorf(kiln.NotFound, "Cannot find alias arn: %s", id.QualifiedARN(kiln.Qualifier(name)))
}

// wrongState is the refusal of what a state does not allow.
func wrongState(s kiln.State) error {
	return kiln.Errorf(kiln.Conflict, "The operation cannot be performed at this time. The function is currently in the following state: %s", s)
}

func updateInProgress(id kiln.FunctionID) error {
	return kiln.Errorf(kiln.Conflict, "The operation cannot be performed at this time. An update is in progress for resource: %s", id.ARN())
}

var errRevision = &kiln.Error{Code: kiln.Precondition, Message: "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"}

var errLayerRevision = &kiln.Error{Code: kiln.Precondition, Message: "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id"}

func layerNotThere(id kiln.LayerID, number int) error {
	return kiln.Errorf(kiln.NotFound, "Layer version %s does not exist.", id.VersionARN(number))
}

// checkRevision refuses a caller who did not see the latest revision; a caller who
// names none is never refused.
func checkRevision(wanted, latest string) error {
	if wanted != "" && wanted != latest {
		return errRevision
	}
	return nil
}

// codeSHA256 gives the digest of a package as the API shows it: of a zip base64, of an
// image hex.
func codeSHA256(p kiln.Package) string {
	if p.Image != "" {
		return p.SHA256
	}
	raw, err := hex.DecodeString(p.SHA256)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(raw)
}
