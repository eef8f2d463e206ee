package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// configCommand is `kiln config`.
func configCommand(w world) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at the configuration of the server", RunE: needSubcommand}
	cmd.AddCommand(configCheckCommand(w))
	return cmd
}

// configCheckCommand prints the effective configuration as a kiln.yaml whose
// comments say where each value comes from; it fails when serve would.
func configCheckCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Print the effective configuration and where each value comes from",
		Long: `Print the effective configuration and where each value comes from.

A setting is a line of kiln.yaml, a variable KILN_… or a flag of serve, by the same
word; flags win over variables, and variables over the file. A key or variable that
kiln does not know is an error.`,
		Example: "  kiln config check\n  kiln config check --config /etc/kiln/kiln.yaml -o json",
		Args:    exactly(),
	}
	given := settingFlags(w, cmd, "all")
	format := outputFlag(w, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := format()
		if err != nil {
			return err
		}
		_, choices, refused := load(w, given())
		if choices == nil {
			return refused
		}
		if form == "json" {
			return errors.Join(printJSON(w.out, choices), refused)
		}
		var rows [][]string
		for _, c := range choices {
			rows = append(rows, []string{c.Key + ": " + quoted(c.Value), "# " + c.Source})
		}
		return errors.Join(printTable(w.out, rows), refused)
	}
	return cmd
}

// quoted gives a value as YAML reads it back as the same text.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, "#{}[],&*!|>'\"%@`") || strings.Contains(s, ": ") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// needSubcommand answers a command that only groups others.
func needSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var known []string
	for _, c := range cmd.Commands() {
		known = append(known, c.Name())
	}
	return usagef("there is no command %q in %s%s", args[0], cmd.CommandPath(), suggestion(args[0], known))
}
