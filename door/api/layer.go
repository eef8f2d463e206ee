package api

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"kiln"
	"kiln/door/lambda"
)

// maxLayersOfPage is the most that one page of layers or of their versions has.
const maxLayersOfPage = 50

// layer reads a LayerName, which is a name or the ARN of a layer. A layer of another
// region is not to be found in this one.
func (c *call) layer(name string) (kiln.LayerID, error) {
	if kiln.IsName(name) {
		return kiln.LayerID{Scope: c.Scope, Name: name}, nil
	}
	id, number, ok := kiln.ParseLayerARN(name)
	switch {
	case !ok || number != 0:
		return kiln.LayerID{}, invalid("The layer name " + clip(name) + " is neither a name nor the ARN of a layer.")
	case id.Region != c.Region:
		return kiln.LayerID{}, &lambda.Error{Code: lambda.ResourceNotFoundException, Message: noSuchLayer}
	}
	return id, nil
}

// noSuchLayer is AWS's answer for a layer version that is not there.
const noSuchLayer = "The resource you requested does not exist."

// ownLayer reads a LayerName that must be of the caller's own account for what the
// caller wants to do with it.
func (c *call) ownLayer(name, action string) (kiln.LayerID, error) {
	id, err := c.layer(name)
	if err == nil && id.Account != c.Account {
		err = c.layerDenied(action, id.ARN())
	}
	return id, err
}

// layerVersion reads a LayerName and the number of a version. Whether it is there is
// not asked.
func (c *call) layerVersion(name string, number int64, action string) (kiln.LayerID, int, error) {
	id, err := c.ownLayer(name, action)
	if err != nil {
		return kiln.LayerID{}, 0, err
	}
	n, err := layerNumber(number)
	return id, n, err
}

// layerNumber refuses what cannot be the number of a layer version.
func layerNumber(number int64) (int, error) {
	switch {
	case number < 1:
		return 0, invalid("Layer Version Cannot be less than 1")
	case number > math.MaxInt32:
		return 0, &lambda.Error{Code: lambda.ResourceNotFoundException, Message: noSuchLayer}
	}
	return int(number), nil
}

// layerDenied is AWS's answer to an account that no policy of a layer lets in. It does
// not tell whether the layer is there.
func (c *call) layerDenied(action, arn string) error {
	who := c.Principal
	if who == "" {
		who = "arn:aws:iam::" + c.Account + ":root"
	}
	return &lambda.Error{Code: lambda.AccessDeniedException, Message: "User: " + who + " is not authorized to perform: " + action +
		" on resource: " + arn + " because no resource-based policy allows the " + action + " action"}
}

// readable gives a layer version that the caller may read and use: one of its own
// account, or one that is shared with it.
func (s *Server) readable(c *call, id kiln.LayerID, number int) (*kiln.LayerVersion, error) {
	v, err := s.o.Catalog.LayerVersion(id, number)
	if slices.Contains(c.layers, id.VersionARN(number)) { // policies have decided already
		return v, err
	}
	if id.Account != c.Account && (err != nil || !v.SharedWith(c.Account)) {
		return nil, c.layerDenied("lambda:GetLayerVersion", id.VersionARN(number))
	}
	return v, err
}

// layersOf turns the ARNs of a request into the layers of a function. What the function
// has already it keeps, also when the layer version was deleted since or is not shared
// any more.
func (s *Server) layersOf(c *call, arns []string, had []kiln.LayerUse) ([]kiln.LayerUse, error) {
	if len(arns) > kiln.MaxLayers {
		return nil, invalid(fmt.Sprintf("Cannot reference more than %d layers.", kiln.MaxLayers))
	}
	var out []kiln.LayerUse
	seen := map[kiln.LayerID]string{}
	for _, arn := range arns {
		id, number, ok := kiln.ParseLayerARN(arn)
		if !ok || number == 0 {
			return nil, noSuchLayerVersion(arn)
		}
		known := slices.IndexFunc(had, func(use kiln.LayerUse) bool { return use.ARN == arn })
		if known >= 0 {
			out = append(out, had[known])
		} else {
			use, err := s.layerUse(c, arn, id, number)
			if err != nil {
				return nil, err
			}
			out = append(out, use)
		}
		if other, twice := seen[id]; twice {
			return nil, invalid("Two different versions of the same layer are not allowed to be referenced in the same function. " + other + " and " + arn + " are versions of the same layer.")
		}
		seen[id] = arn
	}
	return out, nil
}

// layerUse finds a layer version that a function is to have.
func (s *Server) layerUse(c *call, arn string, id kiln.LayerID, number int) (kiln.LayerUse, error) {
	switch {
	case id.Region != c.Region && id.Account == c.Account:
		return kiln.LayerUse{}, invalid("Layers are not in the same region as the function. Layers are expected to be in region " + c.Region + ".")
	case id.Region != c.Region:
		return kiln.LayerUse{}, c.layerDenied("lambda:GetLayerVersion", arn)
	}
	v, err := s.readable(c, id, number)
	switch {
	case kiln.CodeOf(err) == kiln.NotFound:
		return kiln.LayerUse{}, noSuchLayerVersion(arn)
	case err != nil:
		return kiln.LayerUse{}, err
	}
	return kiln.LayerUse{ARN: v.ARN(), Package: v.Package}, nil
}

func noSuchLayerVersion(arn string) error {
	return invalid("Layer version " + clip(arn) + " does not exist.")
}

// layerConfiguration turns the layers of a function into the shapes that describe them.
func layerConfiguration(list []kiln.LayerUse) []lambda.Layer {
	var out []lambda.Layer
	for _, use := range list {
		out = append(out, lambda.Layer{Arn: &use.ARN, CodeSize: &use.Package.Size})
	}
	return out
}

// layerListItem is a layer version as lists have it: members that it has nothing for
// are absent, the description alone is there and empty.
func layerListItem(v *kiln.LayerVersion) *lambda.LayerVersionsListItem {
	arn, number, created := v.ARN(), int64(v.Number), v.Created.UTC().Format(lastModified)
	return &lambda.LayerVersionsListItem{
		LayerVersionArn: &arn, Version: &number, Description: &v.Description, CreatedDate: &created, LicenseInfo: present(v.License),
		CompatibleArchitectures: v.Architectures, CompatibleRuntimes: v.Runtimes,
	}
}

// layerVersionResponse is a layer version as GetLayerVersion gives it, with a URL that
// its package can be downloaded from for ten minutes.
func (s *Server) layerVersionResponse(c *call, v *kiln.LayerVersion) *lambda.GetLayerVersionResponse {
	item, layer, url, sum := layerListItem(v), v.Layer.ARN(), s.downloadURL(c, v.Package.SHA256), base64SHA256(v.Package.SHA256)
	return &lambda.GetLayerVersionResponse{
		Content:  &lambda.LayerVersionContentOutput{Location: &url, CodeSha256: &sum, CodeSize: &v.Package.Size},
		LayerArn: &layer, LayerVersionArn: item.LayerVersionArn, Description: item.Description, CreatedDate: item.CreatedDate, Version: item.Version,
		CompatibleArchitectures: item.CompatibleArchitectures, CompatibleRuntimes: item.CompatibleRuntimes, LicenseInfo: item.LicenseInfo,
	}
}

// suits reports whether a layer version says that it is for a runtime and an
// architecture; nil asks for none.
func suits(v *kiln.LayerVersion, runtime, architecture *string) bool {
	return (runtime == nil || slices.Contains(v.Runtimes, *runtime)) && (architecture == nil || slices.Contains(v.Architectures, *architecture))
}

// base64SHA256 gives the digest of a package as AWS writes it.
func base64SHA256(digest string) string {
	sum, err := hex.DecodeString(digest)
	if err != nil {
		return digest // not ours; better as it is than lost
	}
	return base64.StdEncoding.EncodeToString(sum)
}
