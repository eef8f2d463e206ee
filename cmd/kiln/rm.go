package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kiln/client"
)

// rmCommand is `kiln rm`: it removes each function that is named, and goes on when
// one cannot be removed.
func rmCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rm NAME…",
		Aliases: []string{"remove", "delete"},
		Short:   "Remove functions with their versions and aliases",
		Example: "  kiln rm hello\n  kiln rm hello --qualifier 3",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("kiln rm needs the name of a function; kiln ls shows them")
			}
			return nil
		},
	}
	open := serverFlags(w, cmd)
	qualifier := cmd.Flags().String("qualifier", "", "remove this `VERSION` only")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := open()
		if err != nil {
			return err
		}
		failed := 0
		for _, name := range args {
			_, err := s.DeleteFunction(cmd.Context(), &client.DeleteFunctionRequest{FunctionName: name, Qualifier: orNil(*qualifier)})
			if err != nil {
				err = s.explain(err, name)
				if len(args) == 1 {
					return err
				}
				fmt.Fprintln(w.talk, "kiln: "+err.Error())
				failed++
				continue
			}
			fmt.Fprintln(w.out, name)
		}
		if failed > 0 {
			return &failure{code: exitPlatform, silent: true}
		}
		return nil
	}
	return cmd
}
