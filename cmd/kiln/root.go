package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newRoot builds the tree of commands.
func newRoot(w world) *cobra.Command {
	root := &cobra.Command{
		Use:   "kiln",
		Short: "Run AWS Lambda functions, unmodified, on your own machine",
		Long: `kiln runs AWS Lambda functions, unmodified, on your own machine: one program, own
sandbox, no containers. AWS's own clients work with nothing but an endpoint set.

Exit codes: 0 done; 1 the function failed, or what was checked is not so; 2 the
command line or a setting is wrong; 3 kiln or its server could not do it.`,
		Example: `  kiln init hello --lang go && kiln run hello --event hello/event.json
  sudo kiln serve
  kiln deploy hello && kiln invoke hello --payload '{"name": "Ada"}'`,
		Args:          cobra.ArbitraryArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			var known []string
			for _, c := range cmd.Commands() {
				if !c.Hidden {
					known = append(known, c.Name())
				}
			}
			return usagef("there is no command %q%s", args[0], suggestion(args[0], known))
		},
	}
	root.SetIn(w.in)
	root.SetOut(w.out)
	root.SetErr(w.talk)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &failure{code: exitUsage, err: err, todo: cmd.CommandPath() + " --help shows what it takes"}
	})
	root.AddGroup(
		&cobra.Group{ID: "start", Title: "Start:"},
		&cobra.Group{ID: "functions", Title: "Functions:"},
		&cobra.Group{ID: "machine", Title: "This machine:"},
	)
	for group, commands := range map[string][]*cobra.Command{
		"start":     {initCommand(w), runCommand(w), serveCommand(w), quickstartCommand(w)},
		"functions": {deployCommand(w), devCommand(w), invokeCommand(w), logsCommand(w), lsCommand(w), describeCommand(w), rmCommand(w), layerCommand(w), urlCommand(w)},
		"machine":   {userCommand(w), runtimeCommand(w), doctorCommand(w), configCommand(w), versionCommand(w)},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	return root
}

// exactly makes the check that a command got its arguments, by their names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s needs %s; for example: %s", cmd.CommandPath(), strings.Join(names[len(args):], " and "), firstExample(cmd))
		case len(args) > len(names):
			return usagef("%s takes %d argument(s), got also %q", cmd.CommandPath(), len(names), args[len(names)])
		}
		return nil
	}
}

func firstExample(cmd *cobra.Command) string {
	first, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	return first
}

// settingFlags gives a command the named settings of the server as flags ("all" is
// every one) and --config. given reads back those that were used.
func settingFlags(w world, cmd *cobra.Command, names ...string) (given func() layers) {
	file := cmd.Flags().String("config", "", "configuration `FILE` (default ./kiln.yaml, then /etc/kiln/kiln.yaml, when there)")
	values := map[string]*flagText{}
	for _, s := range settings(w) {
		if names[0] != "all" && !contains(names, s.key) {
			continue
		}
		v := &flagText{kind: s.kind}
		values[s.key] = v
		usage := s.usage
		if s.value != "" {
			usage += " (default " + s.value + ")"
		}
		f := cmd.Flags().VarPF(v, s.key, "", usage)
		if s.isSwitch {
			f.NoOptDefVal = "true"
		}
	}
	return func() layers {
		l := layers{file: *file, environ: w.environ(), flags: map[string]string{}}
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if v, ok := values[f.Name]; ok {
				l.flags[f.Name] = v.text
			}
		})
		return l
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// flagText is a flag whose text is judged later, by its setting.
type flagText struct{ text, kind string }

func (f *flagText) String() string     { return "" }
func (f *flagText) Set(s string) error { f.text = s; return nil }
func (f *flagText) Type() string       { return f.kind }
