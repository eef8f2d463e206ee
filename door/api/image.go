package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"kiln"
	"kiln/door/lambda"
)

// maxImageConfig bounds what a function replaces of its image, as JSON.
const maxImageConfig = 16 << 10

// The refusals of what does not go together with a package type, in AWS's words.
const (
	noHandlerText = "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
	noConfigText  = "Please don't provide ImageConfig when the intended function PackageType is Zip."
)

// imageFunction turns what a request says of an image into code and configuration, and
// refuses what only a zip can have.
func imageFunction(in *lambda.CreateFunctionRequest) (reference string, config kiln.ImageConfig, err error) {
	code := in.Code
	switch {
	case in.Runtime != nil || in.Handler != nil || len(in.Layers) > 0:
		return "", config, invalid(noHandlerText)
	case len(code.ZipFile) > 0 || code.S3Bucket != nil || code.S3Key != nil || code.S3ObjectVersion != nil:
		return "", config, invalid("Please don't provide ZipFile, S3Bucket, S3Key or S3ObjectVersion when the intended function PackageType is Image.")
	case value(code.ImageUri) == "":
		return "", config, invalid("Please provide ImageUri when the intended function PackageType is Image.")
	}
	config, err = imageConfig(in.ImageConfig)
	return *code.ImageUri, config, err
}

// onlyZip refuses what only an image can have.
func onlyZip(uri *string, config *lambda.ImageConfig) error {
	switch {
	case uri != nil:
		return invalid("Please don't provide ImageUri when the intended function PackageType is Zip.")
	case config != nil && (len(config.EntryPoint) > 0 || len(config.Command) > 0 || value(config.WorkingDirectory) != ""):
		return invalid(noConfigText)
	}
	return nil
}

// imageConfig reads what a function replaces of its image.
func imageConfig(in *lambda.ImageConfig) (kiln.ImageConfig, error) {
	if in == nil {
		return kiln.ImageConfig{}, nil
	}
	c := kiln.ImageConfig{EntryPoint: slices.Clone(in.EntryPoint), Command: slices.Clone(in.Command), WorkingDirectory: value(in.WorkingDirectory)}
	text, err := json.Marshal(c)
	if err != nil {
		return c, err
	}
	if len(text) > maxImageConfig {
		return c, invalid("ImageConfig exceeds the limit of 16 KB for the settings of a container image.")
	}
	for _, word := range slices.Concat(c.EntryPoint, c.Command, []string{c.WorkingDirectory}) {
		if strings.IndexByte(word, 0) >= 0 {
			return c, invalid("ImageConfig contains a NUL character, which no process can be given.")
		}
	}
	return c, nil
}

// updateImage changes the image's part of a configuration, and refuses what the
// package type of the function cannot have.
func updateImage(c *kiln.Config, in *lambda.UpdateFunctionConfigurationRequest) error {
	if !c.FromImage() {
		return onlyZip(nil, in.ImageConfig)
	}
	if in.Runtime != nil || in.Handler != nil || len(in.Layers) > 0 {
		return invalid(noHandlerText)
	}
	if in.ImageConfig == nil {
		return nil
	}
	next, err := imageConfig(in.ImageConfig)
	if err == nil {
		c.Image = next
	}
	return err
}

// describeImage turns the description of a zip function into that of an image.
func describeImage(out *lambda.FunctionConfiguration, v *kiln.Version) {
	out.PackageType, out.Runtime, out.Handler = text(lambda.PackageTypeImage), nil, nil
	out.CodeSha256 = &v.Package.SHA256
	if i := v.Config.Image; !i.IsZero() {
		out.ImageConfigResponse = &lambda.ImageConfigResponse{ImageConfig: &lambda.ImageConfig{
			EntryPoint: i.EntryPoint, Command: i.Command, WorkingDirectory: present(i.WorkingDirectory)}}
	}
}

// imageLocation says where the image of a version is.
func imageLocation(v *kiln.Version) *lambda.FunctionCodeLocation {
	return &lambda.FunctionCodeLocation{RepositoryType: text("ECR"), ImageUri: &v.Package.Image, ResolvedImageUri: &v.Package.ImageResolved}
}

// Images tells how far the pulls of images are.
type Images interface {
	// Pulling gives the progress of the pull of a version's image; false when none is
	// under way.
	Pulling(v *kiln.Version) (PullProgress, bool)
	// AddRuntime makes a runtime of the root of an image.
	AddRuntime(ctx context.Context, identifier, image string, progress func(done, total int64)) error
}

// PullProgress is the answer of GET /_kiln/v1/pulls/{name}: how far the pull of an
// image is, in bytes of its layers.
type PullProgress struct {
	Done      int64 `json:"done"`
	Total     int64 `json:"total"`
	Unpacking bool  `json:"unpacking,omitempty"`
}

// pull tells how far the image of a function's $LATEST is; 404 when none is on its
// way.
func (s *Server) pull(w http.ResponseWriter, r *http.Request, c *call) {
	if s.o.Images == nil {
		s.missing(w, "container images")
		return
	}
	id, err := c.function(c.label)
	if err != nil {
		s.problem(w, http.StatusBadRequest, kiln.Invalid, clip(c.label)+" is not the name of a function")
		return
	}
	v, err := s.o.Catalog.Version(id, "")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p, ok := s.o.Images.Pulling(v)
	if !ok {
		s.problem(w, http.StatusNotFound, kiln.NotFound, "no image of "+id.Name+" is being pulled")
		return
	}
	s.json(w, http.StatusOK, p)
}
