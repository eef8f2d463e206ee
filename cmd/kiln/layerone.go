package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kiln/client"
)

// layerDescribeCommand is `kiln layer describe`.
func layerDescribeCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "describe NAME[:VERSION]", Aliases: []string{"show", "get"}, Short: "Tell everything about one layer version",
		Example: "  kiln layer describe tools\n  kiln layer describe tools:2 -o json", Args: exactly("the name of a layer"),
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
		arn, err := s.layerARN(cmd.Context(), args[0])
		if err != nil {
			return s.explain(err, "")
		}
		v, err := s.GetLayerVersionByArn(cmd.Context(), &client.GetLayerVersionByArnRequest{Arn: &arn})
		if err != nil {
			return s.explain(noLayer(err, args[0]), "")
		}
		if form == "json" {
			return printJSON(w.out, v)
		}
		return printTable(w.out, layerVersionRows(v))
	}
	return cmd
}

// noLayer says which layer version is not there.
func noLayer(err error, text string) error {
	var refusal *client.Error
	if errors.As(err, &refusal) && refusal.Status == http.StatusNotFound {
		return platformf("kiln layer ls shows the layers", "there is no layer version %s", text)
	}
	return err
}

func layerVersionRows(v *client.GetLayerVersionResponse) [][]string {
	var rows [][]string
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name, printable(text)})
		}
	}
	add("ARN", value(v.LayerVersionArn))
	add("Description", value(v.Description))
	add("License", value(v.LicenseInfo))
	add("Runtimes", strings.Join(v.CompatibleRuntimes, ", "))
	add("Architectures", strings.Join(v.CompatibleArchitectures, ", "))
	add("Created", value(v.CreatedDate))
	if v.Content != nil {
		add("Package", bytesText(value(v.Content.CodeSize))+", sha256 "+value(v.Content.CodeSha256))
		add("Download", value(v.Content.Location))
	}
	return rows
}

// layerRmCommand is `kiln layer rm`.
func layerRmCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rm NAME:VERSION…", Aliases: []string{"remove", "delete"}, Short: "Remove layer versions; functions that have them keep them",
		Example: "  kiln layer rm tools:2",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("kiln layer rm needs a layer version such as tools:2; kiln layer ls NAME shows them")
			}
			for _, arg := range args {
				if _, number := splitLayer(arg); number == 0 {
					return usagef("%s does not say which version: NAME:VERSION is expected, such as tools:2", arg)
				}
			}
			return nil
		},
	}
	open := serverFlags(w, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := open()
		if err != nil {
			return err
		}
		for _, arg := range args {
			name, number := splitLayer(arg)
			if err := s.DeleteLayerVersion(cmd.Context(), &client.DeleteLayerVersionRequest{LayerName: name, VersionNumber: number}); err != nil {
				return s.explain(err, "")
			}
			fmt.Fprintln(w.out, arg)
		}
		return nil
	}
	return cmd
}

// splitLayer reads NAME:VERSION, where NAME may be an ARN; version 0 is none.
func splitLayer(text string) (name string, number int64) {
	i := strings.LastIndexByte(text, ':')
	n, err := strconv.ParseInt(text[i+1:], 10, 64)
	if i < 0 || err != nil || n < 1 || strings.HasSuffix(text[:i], ":layer") {
		return text, 0
	}
	return text[:i], n
}

// layerARN gives the ARN of the layer version that a user means by a name, a name and a
// number, or an ARN. Without a number it is the newest.
func (s *server) layerARN(ctx context.Context, text string) (string, error) {
	name, number := splitLayer(text)
	if number == 0 {
		page, err := s.ListLayerVersions(ctx, &client.ListLayerVersionsRequest{LayerName: name, MaxItems: orNil(int32(1))})
		if err != nil {
			return "", err
		}
		if len(page.LayerVersions) == 0 {
			return "", platformf("kiln layer ls shows the layers", "there is no layer %s in account %s, region %s", name, s.account, s.region)
		}
		return value(page.LayerVersions[0].LayerVersionArn), nil
	}
	if strings.HasPrefix(name, "arn:") {
		return text, nil
	}
	return fmt.Sprintf("arn:aws:lambda:%s:%s:layer:%s:%d", s.region, s.account, name, number), nil
}
