package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"kiln/client"
)

// lsCommand is `kiln ls`.
func lsCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the functions of the server",
		Example: "  kiln ls\n  kiln ls -o json",
		Args:    exactly(),
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
		functions := []client.FunctionConfiguration{}
		in := &client.ListFunctionsRequest{}
		for {
			page, err := s.ListFunctions(cmd.Context(), in)
			if err != nil {
				return s.explain(err, "")
			}
			functions = append(functions, page.Functions...)
			if value(page.NextMarker) == "" {
				break
			}
			in.Marker = page.NextMarker
		}
		if form == "json" {
			return printJSON(w.out, functions)
		}
		if len(functions) == 0 {
			fmt.Fprintf(w.talk, "No functions in account %s, region %s; kiln deploy DIR makes one.\n", s.account, s.region)
			return nil
		}
		rows := [][]string{{"NAME", "RUNTIME", "HANDLER", "MEMORY", "TIMEOUT", "CODE", "MODIFIED"}}
		for _, f := range functions {
			rows = append(rows, []string{
				value(f.FunctionName), runtimeOf(&f), printable(value(f.Handler)), fmt.Sprintf("%d MB", value(f.MemorySize)), fmt.Sprintf("%d s", value(f.Timeout)),
				bytesText(value(f.CodeSize)), agoText(value(f.LastModified), time.Now()),
			})
		}
		return printTable(w.out, rows)
	}
	return cmd
}

// runtimeOf names what runs a function: its runtime, or that it is an image.
func runtimeOf(f *client.FunctionConfiguration) string {
	if value(f.PackageType) == "Image" {
		return "image"
	}
	return value(f.Runtime)
}

// bytesText prints a size for people.
func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1<<20:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
}

// agoText prints how long ago a time of the API was; a text that is none stays.
func agoText(s string, now time.Time) string {
	t, err := time.Parse("2006-01-02T15:04:05.000-0700", s)
	if err != nil {
		return s
	}
	switch d := now.Sub(t); {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}
