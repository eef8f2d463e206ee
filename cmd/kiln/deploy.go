package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/client"
	"kiln/internal/pack"
)

// settleTime is how long deploy waits for the server to put a function in place.
const settleTime = 5 * time.Minute

// deployCommand is `kiln deploy`.
func deployCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deploy DIR|ZIP|PROGRAM|--image REF",
		Short: "Create a function or bring it up to date",
		Long: `Create a function from a folder, a zip, a program or one source file, or bring the
one of that name up to date, and wait until it can be called.

Runtime and handler come from the code: a bootstrap file, a Go main package (which is
built for Linux), a handler in lambda_function.py, handler.py, app.py, main.py,
index.mjs, index.js, function.rb and the like, Java (sources, a Maven or Gradle project,
a jar) or .NET (a project, or what it published). Sources are compiled here, by the tool
of the language. A file function.yaml in the folder can say more, by
the names of the flags, with environment (a table), exclude (a list of patterns) and
layers (a list); flags win. What neither says stays as it is on the server.

With --image the function is a container image, of a registry or of the server's disk.

The ARN goes to stdout, all else to stderr.`,
		Example: `  kiln deploy examples/hello-go
  kiln deploy . --name hello --memory 512 --timeout 30s --env STAGE=dev
  kiln deploy function.zip --runtime python3.12 --handler app.handler
  kiln deploy --image localhost:5000/hello:latest --memory 512`,
	}
	open := serverFlags(w, cmd)
	read, image := functionFlags(cmd), imageFlags(cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("image") {
			return exactly()(cmd, args)
		}
		return exactly("a folder, a zip or a program")(cmd, args)
	}
	publish := cmd.Flags().Bool("publish", false, "give the result a version number")
	format := outputFlag(w, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := format()
		if err != nil {
			return err
		}
		chosen, err := image()
		if err != nil {
			return err
		}
		at := append(args, "")[0]
		f, err := read(at)
		if err != nil {
			return err
		}
		if f.image = chosen; chosen != nil {
			if err := f.settleImage(); err != nil {
				return err
			}
		}
		s, err := open()
		if err != nil {
			return err
		}
		if err := s.resolve(cmd.Context()); err != nil {
			return err
		}
		d := &deployment{server: s, function: f, publish: *publish, w: w}
		c, err := d.run(cmd.Context())
		if err != nil {
			return s.explain(err, "")
		}
		d.warnDeprecated(cmd.Context(), time.Now())
		d.hints(at)
		if form == "json" {
			return printJSON(w.out, c)
		}
		_, err = fmt.Fprintln(w.out, value(c.FunctionArn))
		return err
	}
	return cmd
}

// deployment is one function on its way to a server.
type deployment struct {
	*server
	function *function
	publish  bool
	w        world
	zip      []byte
	looked   []runtimeEntry // at the runtimes of a family, nil when none was chosen
	address  string         // its URL, when it is to have one
	bar      *progressBar   // of an image
}

// run packs the function, creates it or changes what differs, and returns its
// configuration when it can be called.
func (d *deployment) run(ctx context.Context) (*client.FunctionConfiguration, error) {
	f := d.function
	existing, err := d.GetFunctionConfiguration(ctx, &client.GetFunctionConfigurationRequest{FunctionName: f.Name})
	var refusal *client.Error
	switch {
	case errors.As(err, &refusal) && refusal.Status == http.StatusNotFound && refusal.Code == "ResourceNotFoundException":
		existing = nil
	case err != nil:
		return nil, err
	}
	if err := d.prepare(ctx, existing); err != nil {
		return nil, err
	}
	var c *client.FunctionConfiguration
	if existing == nil {
		c, err = d.create(ctx)
	} else {
		c, err = d.update(ctx, existing)
	}
	if err == nil {
		d.address, err = d.settleURL(ctx)
	}
	return c, err
}

// prepare settles what is not said, and packs code.
func (d *deployment) prepare(ctx context.Context, existing *client.FunctionConfiguration) error {
	if d.function.image != nil {
		return d.settleImageArchitecture(ctx, existing)
	}
	if err := d.settleRuntime(ctx, existing); err != nil {
		return err
	}
	if err := d.settleArchitecture(ctx, existing); err != nil {
		return err
	}
	if err := d.settleLayers(ctx); err != nil {
		return err
	}
	return d.pack(ctx)
}

// warnDeprecated says when AWS has deprecated the runtime of what was deployed. A server
// that cannot tell changes nothing.
func (d *deployment) warnDeprecated(ctx context.Context, now time.Time) {
	if d.function.Runtime == "" {
		return
	}
	list := d.looked
	if list == nil {
		var err error
		if list, err = d.runtimes(ctx, url.Values{"newest": {d.function.Runtime}}); err != nil {
			return
		}
	}
	for _, e := range list {
		if day, err := time.Parse(time.DateOnly, e.Deprecated); err == nil && e.Identifier == d.function.Runtime && !now.Before(day) {
			fmt.Fprintf(d.w.talk, "Note: AWS has deprecated %s (%s). It still runs here.\n", e.Identifier, e.Deprecated)
		}
	}
}

// settleRuntime turns "python" or "nodejs" into the identifier that the function
// has already, or else into the newest that the server is ready to run.
func (d *deployment) settleRuntime(ctx context.Context, existing *client.FunctionConfiguration) error {
	f := d.function
	if !isFamily(f.Runtime) {
		return nil
	}
	if existing != nil && familyOf(value(existing.Runtime)) == f.Runtime {
		f.Runtime = value(existing.Runtime)
		return nil
	}
	list, err := d.runtimes(ctx, url.Values{"newest": {f.Runtime}})
	if err != nil {
		return err
	}
	d.looked = list
	f.Runtime, err = newestRuntime(list, f.Runtime)
	return err
}

// settleArchitecture decides what to build for: what was asked for, what the
// program is, what the function is, or what the server runs on.
func (d *deployment) settleArchitecture(ctx context.Context, existing *client.FunctionConfiguration) error {
	f := d.function
	built := f.source.Architecture
	if f.Architecture != "" && built != "" && f.Architecture != built {
		return usagef("%s is a program for %s, not for %s", f.source.Path, built, f.Architecture)
	}
	switch {
	case f.Architecture != "":
	case built != "":
		f.Architecture = built
	case existing != nil && len(existing.Architectures) == 1:
		f.Architecture = existing.Architectures[0]
	default:
		var about struct{ Architecture string }
		if err := d.get(ctx, nil, &about, "version"); err != nil {
			return err
		}
		f.Architecture = about.Architecture
	}
	return nil
}

// pack makes the zip, and says so when that takes a build.
func (d *deployment) pack(ctx context.Context) (err error) {
	f := d.function
	if f.source.Builds {
		fmt.Fprintf(d.w.talk, "Building %s for %s …\n", f.Name, f.Architecture)
	}
	d.zip, err = f.pack(ctx, d.w)
	return err
}

// pack makes the zip of a function whose architecture is settled.
func (f *function) pack(ctx context.Context, w world) ([]byte, error) {
	z, err := f.source.Pack(ctx, pack.Options{Architecture: f.Architecture, Runtime: f.Runtime, Exclude: f.Exclude, Talk: w.talk})
	if err != nil && ctx.Err() == nil {
		return nil, &failure{code: exitPlatform, err: err}
	}
	return z, err
}

func (d *deployment) create(ctx context.Context) (*client.FunctionConfiguration, error) {
	f := d.function
	in := &client.CreateFunctionRequest{
		FunctionName: &f.Name, Runtime: &f.Runtime, Handler: &f.Handler, Role: orNil(d.role()), Code: &client.FunctionCode{ZipFile: d.zip},
		Description: orNil(f.Description), MemorySize: orNil(int32(f.Memory)), Timeout: orNil(int32(f.Timeout / time.Second)), Publish: orNil(d.publish),
	}
	if f.Architecture != "" {
		in.Architectures = []string{f.Architecture}
	}
	if f.Storage != 0 {
		in.EphemeralStorage = &client.EphemeralStorage{Size: orNil(int32(f.Storage))}
	}
	if f.Environment != nil {
		in.Environment = &client.Environment{Variables: f.Environment}
	}
	in.Layers, in.Tags, in.LoggingConfig = f.Layers, f.tags(), f.Log.wanted(nil)
	d.asImage(in)
	if _, err := d.CreateFunction(ctx, in); err != nil {
		return nil, err
	}
	c, err := d.settled(ctx)
	if err == nil {
		d.say("created", c)
	}
	return c, err
}

// update sends the code if it differs, then the settings that differ.
func (d *deployment) update(ctx context.Context, existing *client.FunctionConfiguration) (*client.FunctionConfiguration, error) {
	f := d.function
	var done []string
	in, newCode, err := d.newCode(ctx, existing)
	if err != nil {
		return nil, err
	}
	change, changed := d.differences(existing)
	if newCode {
		if _, err := d.UpdateFunctionCode(ctx, in); err != nil {
			return nil, err
		}
		if _, err := d.settled(ctx); err != nil {
			return nil, err
		}
		done = append(done, "new code")
	}
	if changed {
		if _, err := d.UpdateFunctionConfiguration(ctx, change); err != nil {
			return nil, err
		}
	}
	c, err := d.settled(ctx)
	if err != nil {
		return nil, err
	}
	retagged, err := d.retag(ctx)
	if err != nil {
		return nil, err
	}
	if retagged {
		if c, err = d.settled(ctx); err != nil {
			return nil, err
		}
	}
	if changed || retagged {
		done = append(done, "new settings")
	}
	if d.publish {
		if c, err = d.PublishVersion(ctx, &client.PublishVersionRequest{FunctionName: f.Name}); err != nil {
			return nil, err
		}
		done = append(done, "version "+value(c.Version))
	}
	what := "nothing to change"
	if done != nil {
		what = strings.Join(done, ", ")
	}
	d.say(what, c)
	return c, nil
}

// differences gives the request that brings the settings up to date, and whether
// there is anything in it.
func (d *deployment) differences(c *client.FunctionConfiguration) (*client.UpdateFunctionConfigurationRequest, bool) {
	f := d.function
	in := &client.UpdateFunctionConfigurationRequest{FunctionName: f.Name}
	changed := false
	text := func(to **string, want string, have *string) {
		if want != "" && want != value(have) {
			*to, changed = &want, true
		}
	}
	number := func(to **int32, want int, have *int32) {
		if n := int32(want); n != 0 && n != value(have) {
			*to, changed = &n, true
		}
	}
	text(&in.Runtime, f.Runtime, c.Runtime)
	text(&in.Handler, f.Handler, c.Handler)
	text(&in.Role, f.Role, c.Role)
	text(&in.Description, f.Description, c.Description)
	number(&in.MemorySize, f.Memory, c.MemorySize)
	number(&in.Timeout, int(f.Timeout/time.Second), c.Timeout)
	if f.Storage != 0 && (c.EphemeralStorage == nil || int(value(c.EphemeralStorage.Size)) != f.Storage) {
		in.EphemeralStorage, changed = &client.EphemeralStorage{Size: orNil(int32(f.Storage))}, true
	}
	var have map[string]string
	if c.Environment != nil {
		have = c.Environment.Variables
	}
	if f.Environment != nil && !maps.Equal(f.Environment, have) {
		in.Environment, changed = &client.Environment{Variables: f.Environment}, true
	}
	if log := f.Log.wanted(c.LoggingConfig); log != nil {
		in.LoggingConfig, changed = log, true
	}
	var layers []string
	for _, l := range c.Layers {
		layers = append(layers, value(l.Arn))
	}
	if f.Layers != nil && !slices.Equal(f.Layers, layers) {
		in.Layers, changed = f.Layers, true
	}
	changed = d.imageDiffers(in, c) || changed
	return in, changed
}

// settled waits until the function is Active and its last update is over, and
// gives the server's reason when that went wrong.
func (d *deployment) settled(ctx context.Context) (*client.FunctionConfiguration, error) {
	ctx, cancel := context.WithTimeout(ctx, d.patience())
	defer cancel()
	defer func() {
		if d.bar != nil {
			d.bar.end()
		}
	}()
	pause := 5 * time.Millisecond
	for {
		c, err := d.GetFunctionConfiguration(ctx, &client.GetFunctionConfigurationRequest{FunctionName: d.function.Name})
		if err != nil {
			return nil, err
		}
		switch {
		case value(c.State) == "Failed":
			return nil, platformf("", "%s cannot be put in place: %s", d.function.Name, printable(value(c.StateReason)))
		case value(c.LastUpdateStatus) == "Failed":
			return nil, platformf("the code before it still serves", "the update of %s went wrong: %s", d.function.Name, printable(value(c.LastUpdateStatusReason)))
		case value(c.State) != "Pending" && value(c.LastUpdateStatus) != "InProgress":
			return c, nil
		}
		d.showPull(ctx)
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, platformf("kiln describe "+d.function.Name+" shows its state", "%s is not ready after %s", d.function.Name, d.patience())
			}
			return nil, ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, 100*time.Millisecond)
		}
	}
}

// role gives the execution role: the one asked for, or one that says where it
// comes from.
func (d *deployment) role() string {
	if d.function.Role != "" {
		return d.function.Role
	}
	return "arn:aws:iam::" + d.account + ":role/kiln"
}

func (d *deployment) say(what string, c *client.FunctionConfiguration) {
	if d.function.image != nil {
		fmt.Fprintf(d.w.talk, "%s: %s (image %s, %d MB, %d s)\n", d.function.Name, what, printable(d.function.image.reference), value(c.MemorySize), value(c.Timeout))
		return
	}
	fmt.Fprintf(d.w.talk, "%s: %s (%s, %s, %d MB, %d s, code %s)\n", d.function.Name, what,
		value(c.Runtime), printable(value(c.Handler)), value(c.MemorySize), value(c.Timeout), bytesText(value(c.CodeSize)))
}

// hints tells how to call what was deployed.
func (d *deployment) hints(path string) {
	payload, event := "{}", ""
	if path != "" {
		event = eventBeside(path)
	}
	if event != "" {
		payload = "@" + event
	}
	fmt.Fprintf(d.w.talk, "Call it:\n  %s\n  %s\n", d.kilnLine(payload), d.awsLine(event))
	if d.address != "" {
		fmt.Fprintf(d.w.talk, "  curl %s\n", shellQuoted(printable(d.address)))
	}
}

// kilnLine gives the kiln command that calls the function.
func (d *deployment) kilnLine(payload string) string {
	line := d.w.program + " invoke " + d.function.Name + " --payload " + shellQuoted(payload)
	if d.endpoint != defaultEndpoint {
		line += " --endpoint-url " + d.endpoint
	}
	if d.account != defaultAccount && !d.keyed {
		line += " --account " + d.account
	}
	if d.region != defaultRegion {
		line += " --region " + d.region
	}
	return line
}

// awsLine gives the command of AWS's own command line that does the same, in a form
// that its versions 1 and 2 both take. Unsigned it needs no credentials, but is the
// default account's in the default region.
func (d *deployment) awsLine(event string) string {
	line := "aws --endpoint-url " + d.endpoint + " --region " + d.region
	switch {
	case d.keyed: // the credentials are in the variables already
	case d.account == defaultAccount && d.region == defaultRegion:
		line += " --no-sign-request"
	default:
		line = "AWS_ACCESS_KEY_ID=" + d.account + " AWS_SECRET_ACCESS_KEY=kiln " + line
	}
	line += " lambda invoke --function-name " + d.function.Name
	if event != "" {
		line += " --payload " + shellQuoted("fileb://"+event)
	}
	return line + " /dev/stdout"
}

// shellQuoted gives a word as a shell takes it for one.
func shellQuoted(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// families are the names that stand for the newest runtime of their kind.
var families = []string{"python", "nodejs", "ruby", "java", "dotnet"}

func isFamily(s string) bool { return slices.Contains(families, s) }

// familyOf gives the family of an identifier: "python" of "python3.12", "java" of
// "java8.al2", "dotnet" of "dotnetcore3.1". What is no runtime is its own.
func familyOf(identifier string) string {
	family := strings.TrimRight(identifier, "0123456789.")
	if at := strings.IndexAny(identifier, "0123456789."); at >= 0 && !strings.Contains(identifier, "-") {
		family = identifier[:at]
	}
	return strings.TrimSuffix(family, "core")
}
