package main

import (
	"github.com/spf13/cobra"
)

// quickstartCommand is `kiln quickstart`, which `make run` calls.
func quickstartCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quickstart [DIR]",
		Short: "Serve, deploy the functions below a folder, call one, show the log",
		Long: `Start the server, deploy each function in the folders of DIR (default: examples) that
is not there yet, call one, print its answer, its REPORT line and what to try next, and
stay in the foreground with a live log until Ctrl-C.`,
		Example: "  sudo kiln quickstart examples",
		Args:    cobra.ArbitraryArgs,
	}
	given := settingFlags(w, cmd, "all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir := "examples"
		switch len(args) {
		case 0:
		case 1:
			dir = args[0]
		default:
			return usagef("kiln quickstart takes one folder, got also %q", args[1])
		}
		c, choices, err := load(w, given())
		if err != nil {
			return err
		}
		if c.Auth == "on" {
			return usagef("kiln quickstart shows a server of its own, which asks nobody who he is: set auth off, or use kiln serve")
		}
		c.quiet(choices, "warn")
		tour, err := planTour(w, dir)
		if err != nil {
			return err
		}
		return serve(cmd.Context(), w, c, tour)
	}
	return cmd
}

// quiet lets the server say less than it would by itself, unless a level was asked
// for: what is to be seen are the words of the functions.
func (c *config) quiet(choices []choice, level string) {
	for _, ch := range choices {
		if ch.Key == "log-level" && ch.Source == "default" {
			c.LogLevel = level
		}
	}
}
