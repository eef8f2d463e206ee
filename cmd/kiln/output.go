package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// outputFlag gives a command -o. format reads it: "table" or "json".
func outputFlag(w world, cmd *cobra.Command) (format func() (string, error)) {
	value := cmd.Flags().StringP("output", "o", "", "form of the data on stdout: `json|table` (default table, or KILN_OUTPUT)")
	return func() (string, error) {
		s, source := *value, "--output"
		if s == "" {
			s, _ = w.env("KILN_OUTPUT")
			source = "KILN_OUTPUT"
		}
		switch s {
		case "":
			return "table", nil
		case "json", "table":
			return s, nil
		}
		return "", usagef("%s: %q is not a form of output; json or table is expected", source, s)
	}
}

// printJSON writes v for programs: indented, without escaping HTML, with a
// newline.
func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printTable writes rows for people, in columns; the first row is the heading.
func printTable(out io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-len([]rune(cell))+2))
			}
		}
		if _, err := fmt.Fprintln(out, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// isTerminal reports whether a person sees what is written to out.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// colors says whether to colour what goes to out: a terminal that did not ask for
// plain text (NO_COLOR, TERM=dumb).
func colors(w world, out io.Writer) bool {
	if v, ok := w.env("NO_COLOR"); ok && v != "" {
		return false
	}
	if term, _ := w.env("TERM"); term == "dumb" {
		return false
	}
	return isTerminal(out)
}

// printable makes text that came from a function or a server safe for a terminal:
// control characters are shown, not obeyed.
func printable(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isControl(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// printableLines does so with text of a log, in which some runtimes end the lines of one
// record with a carriage return, as on AWS: each is a line here too.
func printableLines(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	return printable(strings.TrimRight(s, "\n"))
}

func isControl(r rune) bool { return r < 0x20 && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 }
