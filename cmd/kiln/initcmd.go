package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kiln/internal/pack"
)

// initCommand is `kiln init`: it writes a starter and says what to do with it.
func initCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a starter function in a language of your choice",
		Long: `Write a starter function into DIR (default: the current folder). It never
overwrites a file. kiln run and kiln deploy understand the result without flags.`,
		Example: "  kiln init hello --lang python\n  kiln init --lang go",
		Args:    cobra.ArbitraryArgs,
	}
	lang := cmd.Flags().String("lang", "", "`"+strings.Join(pack.Starters(), "|")+"` (default: the first of python, node, go that this machine has, else shell)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir := "."
		switch len(args) {
		case 0:
		case 1:
			dir = args[0]
		default:
			return usagef("kiln init takes one folder, got also %q", args[1])
		}
		language := *lang
		if language == "" {
			language = likelyLanguage()
		}
		if !contains(pack.Starters(), language) {
			return usagef("there is no starter in %q%s", language, suggestion(language, pack.Starters()))
		}
		files, err := pack.WriteStarter(dir, language)
		if err != nil {
			return &failure{code: exitPlatform, err: err}
		}
		for _, f := range files {
			fmt.Fprintln(w.out, filepath.Join(dir, f))
		}
		fmt.Fprintf(w.talk, "\nA function in %s. Try it:\n  %[2]s run %[3]s --event %[4]s\n  %[2]s deploy %[3]s\n", language, w.program, dir, filepath.Join(dir, "event.json"))
		return nil
	}
	return cmd
}

// likelyLanguage guesses what the user has at hand.
func likelyLanguage() string {
	for _, l := range []struct{ program, language string }{{"python3", "python"}, {"node", "node"}, {"go", "go"}} {
		if _, err := exec.LookPath(l.program); err == nil {
			return l.language
		}
	}
	return "shell"
}
