package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/client"
)

// imagePatience is how long deploy waits for an image: it may be large, and how far it
// is can be seen.
const imagePatience = time.Hour

// imageChoice is the container image that a function is.
type imageChoice struct {
	reference  string
	entrypoint []string // nil is not said
	command    []string // nil is not said
	workdir    string   // "" is not said
}

// imageFlags gives a command the flags of images. read gives the image that they name,
// nil when they name none.
func imageFlags(cmd *cobra.Command) (read func() (*imageChoice, error)) {
	c := &imageChoice{}
	reference := cmd.Flags().String("image", "", "deploy this container image instead of code: `REF` is REGISTRY/NAME:TAG, oci:DIR, oci-archive:FILE or docker-archive:FILE")
	entrypoint := cmd.Flags().StringArray("entrypoint", nil, "`WORD` of what to run in the place of the image's ENTRYPOINT; may be repeated")
	command := cmd.Flags().StringArray("command", nil, "`WORD` in the place of the image's CMD, which is the handler in AWS's images; may be repeated")
	workdir := cmd.Flags().String("workdir", "", "`DIR` in the place of the image's working directory")
	return func() (*imageChoice, error) {
		c.reference, c.entrypoint, c.command, c.workdir = *reference, *entrypoint, *command, *workdir
		if c.reference == "" {
			if c.entrypoint != nil || c.command != nil || c.workdir != "" {
				return nil, usagef("--entrypoint, --command and --workdir belong to --image")
			}
			return nil, nil
		}
		return c, c.absolute()
	}
}

// absolute makes the path of a local image one that the server understands.
func (i *imageChoice) absolute() error {
	for _, kind := range []string{"oci:", "oci-archive:", "docker-archive:"} {
		rest, ok := strings.CutPrefix(i.reference, kind)
		if !ok {
			continue
		}
		full, err := filepath.Abs(rest)
		if err != nil {
			return err
		}
		i.reference = kind + full
	}
	return nil
}

// name gives the name that a function has when none is given: the last part of the
// image's, without tag or digest.
func (i *imageChoice) name() string {
	_, local, isLocal := strings.Cut(i.reference, ":/")
	base := path.Base(i.reference)
	if isLocal {
		base = path.Base("/" + local)
	}
	base, _, _ = strings.Cut(base, "@")
	base, _, _ = strings.Cut(base, ":")
	return strings.TrimSuffix(base, path.Ext(base))
}

// settleImage completes a function that is an image, and refuses what it cannot have.
func (f *function) settleImage() error {
	if f.Runtime != "" || f.Handler != "" || f.Layers != nil {
		return usagef("an image brings its runtime, handler and layers along: --runtime, --handler and --layer are for code; --command replaces the image's CMD")
	}
	if f.Name == "" {
		f.Name = f.image.name()
	}
	return nil
}

// settleImageArchitecture decides for which architecture the image is wanted: what was
// asked for, what the function is, or what the server runs on.
func (d *deployment) settleImageArchitecture(ctx context.Context, existing *client.FunctionConfiguration) error {
	f := d.function
	switch {
	case f.Architecture != "":
	case existing != nil && len(existing.Architectures) == 1:
		f.Architecture = existing.Architectures[0]
	default:
		var about struct{ Architecture string }
		if err := d.get(ctx, nil, &about, "version"); err != nil {
			return err
		}
		f.Architecture = about.Architecture
	}
	if existing != nil && value(existing.PackageType) != "Image" {
		return usagef("%s exists and is no image: a function keeps its package type; delete it first (kiln rm %s)", f.Name, f.Name)
	}
	return nil
}

// asImage makes the request for a new function one for an image.
func (d *deployment) asImage(in *client.CreateFunctionRequest) {
	i := d.function.image
	if i == nil {
		return
	}
	kind := "Image"
	in.PackageType, in.Runtime, in.Handler, in.Code = &kind, nil, nil, &client.FunctionCode{ImageUri: &i.reference}
	if i.config().set() {
		in.ImageConfig = i.config().ImageConfig
	}
}

// imageConfig is what replaces parts of an image.
type imageConfig struct{ *client.ImageConfig }

func (i *imageChoice) config() imageConfig {
	return imageConfig{&client.ImageConfig{EntryPoint: i.entrypoint, Command: i.command, WorkingDirectory: orNil(i.workdir)}}
}

func (c imageConfig) set() bool {
	return c.EntryPoint != nil || c.Command != nil || c.WorkingDirectory != nil
}

// newCode gives the request that brings the code up to date, and whether the code
// differs. A tag may have moved: the server is asked what it names now.
func (d *deployment) newCode(ctx context.Context, existing *client.FunctionConfiguration) (*client.UpdateFunctionCodeRequest, bool, error) {
	f := d.function
	in := &client.UpdateFunctionCodeRequest{FunctionName: f.Name, ZipFile: d.zip}
	if f.Architecture != "" {
		in.Architectures = []string{f.Architecture}
	}
	if f.image == nil {
		sum := sha256.Sum256(d.zip)
		return in, base64.StdEncoding.EncodeToString(sum[:]) != value(existing.CodeSha256), nil
	}
	in.ImageUri = &f.image.reference
	dry := *in
	yes := true
	dry.DryRun = &yes
	would, err := d.UpdateFunctionCode(ctx, &dry)
	if err != nil {
		return nil, false, err
	}
	return in, value(would.CodeSha256) != value(existing.CodeSha256) || value(existing.State) != "Active", nil
}

// imageDiffers puts into a request what is to be replaced of the image, when that is
// not so already.
func (d *deployment) imageDiffers(in *client.UpdateFunctionConfigurationRequest, c *client.FunctionConfiguration) bool {
	i := d.function.image
	if i == nil || !i.config().set() {
		return false
	}
	want := i.config().ImageConfig
	if c.ImageConfigResponse != nil && c.ImageConfigResponse.ImageConfig != nil {
		have := c.ImageConfigResponse.ImageConfig
		if slices.Equal(have.EntryPoint, want.EntryPoint) && slices.Equal(have.Command, want.Command) && value(have.WorkingDirectory) == value(want.WorkingDirectory) {
			return false
		}
	}
	in.ImageConfig = want
	return true
}

// pull asks how far the image of a function is; ok is false when none is on its way.
func (s *server) pull(ctx context.Context, name string) (done, total int64, unpacking, ok bool) {
	var p struct {
		Done, Total int64
		Unpacking   bool
	}
	if s.get(ctx, nil, &p, "pulls", name) != nil {
		return 0, 0, false, false // it is here already, or not begun
	}
	return p.Done, p.Total, p.Unpacking, true
}

// showPull draws how far the image is that deploy waits for.
func (d *deployment) showPull(ctx context.Context) {
	if d.function.image == nil {
		return
	}
	if d.bar == nil {
		d.bar = &progressBar{out: d.w.talk, name: d.function.Name, live: isTerminal(d.w.talk), doing: "Pulling the image of"}
	}
	done, total, unpacking, ok := d.pull(ctx, d.function.Name)
	switch {
	case !ok:
	case unpacking:
		d.bar.name = d.function.Name + " (unpacking)"
		d.bar.show(total, total)
	default:
		d.bar.show(done, total)
	}
}

// patience is how long deploy waits for the server.
func (d *deployment) patience() time.Duration {
	if d.function.image != nil {
		return imagePatience
	}
	return settleTime
}

// pullText says how far the image of a function is; "" when none is on its way.
func (s *server) pullText(ctx context.Context, name string) string {
	done, total, unpacking, ok := s.pull(ctx, name)
	switch {
	case !ok:
		return ""
	case unpacking:
		return "all of " + bytesText(total) + ", being unpacked"
	}
	return bytesText(done) + " of " + bytesText(total)
}

// imageText names an image as it was given, and the digest that it had.
func imageText(c *client.FunctionCodeLocation) string {
	if c == nil || c.ImageUri == nil {
		return ""
	}
	_, digest, _ := strings.Cut(value(c.ResolvedImageUri), "@")
	if strings.HasSuffix(*c.ImageUri, digest) {
		return *c.ImageUri
	}
	return *c.ImageUri + " (" + digest + ")"
}
