package main

import (
	"github.com/spf13/cobra"
)

// serveCommand is `kiln serve`.
func serveCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: the Lambda API on one port",
		Long: `Run the server in the foreground: the Lambda API on one port, and a status page on
another. Each flag is also a line of kiln.yaml and a variable KILN_…; flags win.

SIGTERM or Ctrl-C lets running invocations end, for at most --drain-timeout; a second
signal ends them at once. Nothing of theirs is left behind either way.

Root can enforce every limit. An ordinary user's functions are kept apart too, by a user
namespace; what is missing then is said at the start, and by kiln doctor.`,
		Example: "  sudo kiln serve\n  sudo kiln serve --listen 127.0.0.1:9000 --console off --data-dir /srv/kiln\n  kiln serve\n  systemd-run --user --scope -p Delegate=yes kiln serve",
		Args:    exactly(),
	}
	given := settingFlags(w, cmd, "all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, _, err := load(w, given())
		if err != nil {
			return err
		}
		return serve(cmd.Context(), w, c, nil)
	}
	return cmd
}
