package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/client"
	"kiln/internal/pack"
)

// layerCommand is `kiln layer`.
func layerCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "layer",
		Short: "Keep files that functions share",
		Long: `Keep files that functions share. A function that has layers (--layer, or layers in
function.yaml) finds them below /opt, later ones over earlier ones; the languages look
there for packages: python, nodejs/node_modules, ruby/lib, java/lib, bin, lib.`,
		RunE: needSubcommand,
	}
	cmd.AddCommand(layerPublishCommand(w), layerLsCommand(w), layerDescribeCommand(w), layerRmCommand(w))
	return cmd
}

// layerPublishCommand is `kiln layer publish`.
func layerPublishCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish NAME DIR|ZIP",
		Short: "Add a version to a layer, which is made when there is none",
		Long: `Add a version to a layer, which is made when there is none. What is in the folder or zip
lies below /opt, so that a Python package belongs into a folder named python, one for
Node.js into nodejs/node_modules. The ARN of the version goes to stdout.`,
		Example: `  pip install --target numbers/python numpy && kiln layer publish numbers numbers
  kiln layer publish tools tools.zip --runtime python3.12 --runtime python3.13
  kiln layer publish big --s3-bucket packages --s3-key big.zip`,
	}
	open := serverFlags(w, cmd)
	description := cmd.Flags().String("description", "", "a line `TEXT` about the version")
	license := cmd.Flags().String("license", "", "its license, such as `MIT`")
	runtimes := cmd.Flags().StringArray("runtime", nil, "`RUNTIME` that it is for; may be repeated")
	architectures := cmd.Flags().StringArray("architecture", nil, "`ARCHITECTURE` that it is for, x86_64 or arm64; may be repeated")
	exclude := cmd.Flags().StringArray("exclude", nil, "name or `PATTERN` of what stays out of the folder's package; may be repeated")
	bucket := cmd.Flags().String("s3-bucket", "", "`BUCKET` from which the server fetches the zip, instead of a folder or zip here")
	key := cmd.Flags().String("s3-key", "", "`KEY` of the zip in the bucket")
	version := cmd.Flags().String("s3-object-version", "", "`VERSION` of the object (default the latest)")
	format := outputFlag(w, cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if *bucket != "" || *key != "" {
			return exactly("the name of a layer")(cmd, args)
		}
		return exactly("the name of a layer", "a folder or a zip")(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := format()
		if err != nil {
			return err
		}
		content := &client.LayerVersionContentInput{S3Bucket: orNil(*bucket), S3Key: orNil(*key), S3ObjectVersion: orNil(*version)}
		if len(args) == 2 {
			if content.ZipFile, err = packLayer(cmd.Context(), w, args[1], *exclude); err != nil {
				return err
			}
		}
		s, err := open()
		if err != nil {
			return err
		}
		v, err := s.PublishLayerVersion(cmd.Context(), &client.PublishLayerVersionRequest{
			LayerName: args[0], Content: content, Description: orNil(*description), LicenseInfo: orNil(*license),
			CompatibleRuntimes: *runtimes, CompatibleArchitectures: *architectures,
		})
		if err != nil {
			return s.explain(err, "")
		}
		if form == "json" {
			return printJSON(w.out, v)
		}
		fmt.Fprintf(w.talk, "%s: version %d (%s)\n", args[0], value(v.Version), bytesText(value(v.Content.CodeSize)))
		_, err = fmt.Fprintln(w.out, value(v.LayerVersionArn))
		return err
	}
	return cmd
}

// layerFolders are what runtimes and extensions look for below /opt.
var layerFolders = []string{"python", "nodejs", "ruby", "java", "dotnet", "bin", "lib", "extensions", "bootstrap"}

// packLayer makes the zip of a folder, or reads a zip. It says when nothing in a folder
// is where a runtime would look for it: that is a mistake more often than not.
func packLayer(ctx context.Context, w world, path string, exclude []string) ([]byte, error) {
	if err := pack.CheckPatterns(exclude); err != nil {
		return nil, usagef("--exclude: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, usagef("%s does not exist: name a folder or a zip", path)
	}
	source := &pack.Source{Path: path, Kind: pack.Zip}
	if info.IsDir() {
		source.Kind = pack.Folder
		known := slices.ContainsFunc(layerFolders, func(name string) bool {
			_, err := os.Lstat(filepath.Join(path, name))
			return err == nil
		})
		if !known {
			fmt.Fprintf(w.talk, "Note: %s has none of %s at its top; functions find its files below /opt, and no language looks there by itself.\n", path, strings.Join(layerFolders, ", "))
		}
	}
	zip, err := source.Pack(ctx, pack.Options{Exclude: exclude, Talk: w.talk})
	if err != nil && ctx.Err() == nil {
		return nil, &failure{code: exitUsage, err: err}
	}
	return zip, err
}

// layerLsCommand is `kiln layer ls`.
func layerLsCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls [NAME]", Aliases: []string{"list"}, Short: "List the layers, or the versions of one",
		Example: "  kiln layer ls\n  kiln layer ls tools",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one argument, got also %q", cmd.CommandPath(), args[1])
			}
			return nil
		},
	}
	open := serverFlags(w, cmd)
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
		var rows [][]string
		var all any
		if len(args) == 1 {
			versions, err := s.layerVersions(cmd.Context(), args[0])
			if err != nil {
				return s.explain(err, "")
			}
			rows, all = versionRows(versions), versions
		} else {
			layers, err := s.layers(cmd.Context())
			if err != nil {
				return s.explain(err, "")
			}
			rows, all = layerRows(layers), layers
		}
		switch {
		case form == "json":
			return printJSON(w.out, all)
		case len(rows) > 1:
			return printTable(w.out, rows)
		case len(args) == 1:
			return platformf("kiln layer ls shows the layers", "layer %s has no versions in account %s, region %s", args[0], s.account, s.region)
		}
		fmt.Fprintf(w.talk, "No layers in account %s, region %s; kiln layer publish NAME DIR makes one.\n", s.account, s.region)
		return nil
	}
	return cmd
}

// layers lists all layers with their newest versions.
func (s *server) layers(ctx context.Context) ([]client.LayersListItem, error) {
	out := []client.LayersListItem{}
	in := &client.ListLayersRequest{}
	for {
		page, err := s.ListLayers(ctx, in)
		if err != nil {
			return nil, err
		}
		out = append(out, page.Layers...)
		if value(page.NextMarker) == "" {
			return out, nil
		}
		in.Marker = page.NextMarker
	}
}

// layerVersions lists all versions of a layer, the newest first.
func (s *server) layerVersions(ctx context.Context, name string) ([]client.LayerVersionsListItem, error) {
	out := []client.LayerVersionsListItem{}
	in := &client.ListLayerVersionsRequest{LayerName: name}
	for {
		page, err := s.ListLayerVersions(ctx, in)
		if err != nil {
			return nil, err
		}
		out = append(out, page.LayerVersions...)
		if value(page.NextMarker) == "" {
			return out, nil
		}
		in.Marker = page.NextMarker
	}
}

func layerRows(list []client.LayersListItem) [][]string {
	rows := [][]string{{"NAME", "NEWEST", "RUNTIMES", "CREATED", "DESCRIPTION"}}
	for _, l := range list {
		if v := l.LatestMatchingVersion; v != nil {
			rows = append(rows, append([]string{value(l.LayerName)}, versionCells(v)...))
		}
	}
	return rows
}

func versionRows(list []client.LayerVersionsListItem) [][]string {
	rows := [][]string{{"VERSION", "RUNTIMES", "CREATED", "DESCRIPTION"}}
	for i := range list {
		rows = append(rows, versionCells(&list[i]))
	}
	return rows
}

func versionCells(v *client.LayerVersionsListItem) []string {
	runtimes := strings.Join(slices.Concat(v.CompatibleRuntimes, v.CompatibleArchitectures), ", ")
	if runtimes == "" {
		runtimes = "any"
	}
	return []string{strconv.FormatInt(value(v.Version), 10), runtimes, agoText(value(v.CreatedDate), time.Now()), printable(value(v.Description))}
}
