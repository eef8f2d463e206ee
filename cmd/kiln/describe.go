package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kiln/client"
)

// description is everything that describe tells of a function.
type description struct {
	Configuration *client.FunctionConfiguration  `json:"configuration"`
	Code          *client.FunctionCodeLocation   `json:"code,omitempty"`
	Concurrency   *client.Concurrency            `json:"concurrency,omitempty"`
	Tags          map[string]string              `json:"tags,omitempty"`
	Pull          string                         `json:"pull,omitempty"` // how far its image is, while it is pulled
	Versions      []client.FunctionConfiguration `json:"versions"`
	Aliases       []client.AliasConfiguration    `json:"aliases"`
}

// describeCommand is `kiln describe`.
func describeCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "describe NAME",
		Aliases: []string{"show", "get"},
		Short:   "Tell everything about one function",
		Example: "  kiln describe hello\n  kiln describe hello -o json",
		Args:    exactly("the name of a function"),
	}
	open := serverFlags(w, cmd)
	qualifier := cmd.Flags().String("qualifier", "", "`VERSION` or alias (default $LATEST)")
	format := outputFlag(w, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := format()
		if err != nil {
			return err
		}
		s, err := open()
		if err != nil {
			return err
		}
		d, err := s.describe(cmd.Context(), args[0], *qualifier)
		if err != nil {
			return s.explain(err, args[0])
		}
		if form == "json" {
			return printJSON(w.out, d)
		}
		return printTable(w.out, d.rows())
	}
	return cmd
}

// describe asks for a function, its versions and its aliases.
func (s *server) describe(ctx context.Context, name, qualifier string) (*description, error) {
	got, err := s.GetFunction(ctx, &client.GetFunctionRequest{FunctionName: name, Qualifier: orNil(qualifier)})
	if err != nil {
		return nil, err
	}
	d := &description{Configuration: got.Configuration, Code: got.Code, Concurrency: got.Concurrency, Tags: got.Tags,
		Versions: []client.FunctionConfiguration{}, Aliases: []client.AliasConfiguration{}}
	if value(got.Configuration.PackageType) == "Image" && value(got.Configuration.State) != "Active" || value(got.Configuration.LastUpdateStatus) == "InProgress" {
		d.Pull = s.pullText(ctx, name)
	}
	versions := &client.ListVersionsByFunctionRequest{FunctionName: name}
	for more := true; more; more = value(versions.Marker) != "" {
		page, err := s.ListVersionsByFunction(ctx, versions)
		if err != nil {
			return nil, err
		}
		d.Versions = append(d.Versions, page.Versions...)
		versions.Marker = page.NextMarker
	}
	aliases := &client.ListAliasesRequest{FunctionName: name}
	for more := true; more; more = value(aliases.Marker) != "" {
		page, err := s.ListAliases(ctx, aliases)
		if err != nil {
			return nil, err
		}
		d.Aliases = append(d.Aliases, page.Aliases...)
		aliases.Marker = page.NextMarker
	}
	return d, nil
}

// rows gives the description as lines of name and value.
func (d *description) rows() [][]string {
	c := d.Configuration
	var rows [][]string
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name, printable(text)})
		}
	}
	add("Function", value(c.FunctionName))
	add("ARN", value(c.FunctionArn))
	add("Description", value(c.Description))
	add("State", stateText(c))
	add("Image", imageText(d.Code))
	add("Pulled", d.Pull)
	if i := c.ImageConfigResponse; i != nil && i.ImageConfig != nil {
		add("Entry point", strings.Join(i.ImageConfig.EntryPoint, " "))
		add("Command", strings.Join(i.ImageConfig.Command, " "))
		add("Working directory", value(i.ImageConfig.WorkingDirectory))
	}
	add("Runtime", value(c.Runtime))
	add("Handler", value(c.Handler))
	add("Architecture", strings.Join(c.Architectures, ", "))
	add("Memory", fmt.Sprintf("%d MB", value(c.MemorySize)))
	add("Timeout", fmt.Sprintf("%d s", value(c.Timeout)))
	if c.EphemeralStorage != nil {
		add("/tmp", fmt.Sprintf("%d MB", value(c.EphemeralStorage.Size)))
	}
	for _, l := range c.Layers {
		add("Layer", value(l.Arn)+", "+bytesText(value(l.CodeSize)))
	}
	add("Role", value(c.Role))
	if value(c.PackageType) != "Image" {
		add("Code", bytesText(value(c.CodeSize))+", sha256 "+value(c.CodeSha256))
	}
	add("Modified", value(c.LastModified))
	if d.Concurrency != nil && d.Concurrency.ReservedConcurrentExecutions != nil {
		add("Reserved", fmt.Sprintf("%d at a time", *d.Concurrency.ReservedConcurrentExecutions))
	}
	if c.LoggingConfig != nil {
		add("Log group", value(c.LoggingConfig.LogGroup))
		if l := c.LoggingConfig; value(l.LogFormat) == "JSON" {
			add("Log format", fmt.Sprintf("JSON, the function's from %s and the platform's from %s on", value(l.ApplicationLogLevel), value(l.SystemLogLevel)))
		}
	}
	if c.Environment != nil {
		for _, name := range slices.Sorted(maps.Keys(c.Environment.Variables)) {
			add("Environment", name+"="+c.Environment.Variables[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Tags)) {
		add("Tag", name+"="+d.Tags[name])
	}
	for _, v := range d.Versions {
		if value(v.Version) != "$LATEST" {
			add("Version", strings.TrimSpace(value(v.Version)+"  "+value(v.Description)))
		}
	}
	for _, a := range d.Aliases {
		text := value(a.Name) + " → " + value(a.FunctionVersion)
		if a.RoutingConfig != nil {
			for _, v := range slices.Sorted(maps.Keys(a.RoutingConfig.AdditionalVersionWeights)) {
				text += fmt.Sprintf(", %g %% → %s", a.RoutingConfig.AdditionalVersionWeights[v]*100, v)
			}
		}
		add("Alias", text)
	}
	return rows
}

// stateText says in one line whether a function can be called.
func stateText(c *client.FunctionConfiguration) string {
	s := value(c.State)
	if r := value(c.StateReason); r != "" {
		s += ": " + r
	}
	if u := value(c.LastUpdateStatus); u != "" && u != "Successful" {
		s += "; last update " + u
		if r := value(c.LastUpdateStatusReason); r != "" {
			s += ": " + r
		}
	}
	return s
}
