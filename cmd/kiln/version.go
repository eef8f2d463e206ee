package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker of a release: -X main.version=v1.2.3.
var version string

// versionText gives the version of this program: the release's, else the commit it
// was built from, else "development".
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "development"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "development-" + s.Value[:12]
		}
	}
	return "development"
}

// versionCommand is `kiln version`.
func versionCommand(w world) *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version of kiln", Args: exactly(), Example: "  kiln version -o json"}
	format := outputFlag(w, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := format()
		if err != nil {
			return err
		}
		if form == "json" {
			return printJSON(w.out, map[string]string{"version": versionText(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
		}
		_, err = fmt.Fprintf(w.out, "kiln %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	}
	return cmd
}
