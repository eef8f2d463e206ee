package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// runCommand is `kiln run`: one invocation in this process, with no server.
func runCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run DIR|ZIP|PROGRAM",
		Short: "Run one invocation with no server",
		Long: `Run one invocation of a function with no server: same sandbox, same Runtime API, same
limits. The answer goes to stdout, the log to stderr; nothing is kept.

Exit codes: 0 the function answered; 1 the function failed, and its error is on
stdout; 2 the command line is wrong; 3 the function did not run.`,
		Example: `  kiln run examples/hello-go --event examples/hello-go/event.json
  echo '{"name": "Ada"}' | kiln run handler.py --event -
  kiln run . --event event.json --memory 1769 --timeout 30s`,
		Args: exactly("a folder, a zip or a program"),
	}
	read := functionFlags(cmd, "role", "network", "url", "log-format", "log-level") // whose flag is the server's here
	given := settingFlags(w, cmd, "data-dir", "sandbox", "network", "cpu-mode", "log-level")
	event := cmd.Flags().StringP("event", "e", "", "the event: `FILE` or - for stdin (default none)")
	quiet := cmd.Flags().BoolP("quiet", "q", false, "no log on stderr")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := read(args[0])
		if err != nil {
			return err
		}
		if len(f.Layers) > 0 {
			return usagef("%s has layers, and layers are kept by a server: start one (kiln serve), then kiln deploy and kiln invoke", f.Name)
		}
		c, choices, err := load(w, given())
		if err != nil {
			return err
		}
		c.quiet(choices, "error")
		if done, err := elsewhere(cmd.Context(), w, c); done {
			return err
		}
		text := *event
		if text != "" && text != "-" {
			text = "@" + text
		}
		payload, err := readEvent(w, text)
		if err != nil {
			return err
		}
		r, err := runOnce(cmd.Context(), w, c, f, payload, *quiet)
		if err != nil {
			return err
		}
		if err := printPayload(w.out, r.payload); err != nil {
			return err
		}
		if r.failed {
			return &failure{code: exitFunction, what: "the function failed", err: errors.New(functionError(r.payload))}
		}
		return nil
	}
	return cmd
}

// answer is what a function gave in kiln run.
type answer struct {
	payload []byte
	failed  bool
}

// warnProcess says once what --sandbox process means.
func warnProcess(w world, c *config) {
	if c.Sandbox == "process" {
		fmt.Fprintln(w.talk, "Warning: --sandbox process isolates nothing: functions can do whatever you can. Run only code that you trust.")
	}
}
