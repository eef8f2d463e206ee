package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"kiln/client"
)

// invokeCommand is `kiln invoke`: the answer goes to stdout, everything about it to
// stderr, and the exit code says how it went.
func invokeCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "invoke NAME",
		Aliases: []string{"call"},
		Short:   "Call a function and print its answer",
		Long: `Call a function and print its answer on stdout. With --log the end of its log (4 KB)
goes to stderr.

Exit codes: 0 the function answered; 1 the function failed, and its error is on
stdout; 2 the command line is wrong; 3 the function did not run.`,
		Example: `  kiln invoke hello --payload '{"name": "Ada"}'
  kiln invoke hello --payload @event.json --log
  kiln invoke hello:prod --payload - < event.json`,
		Args: exactly("the name of a function"),
	}
	open := serverFlags(w, cmd)
	payload := cmd.Flags().StringP("payload", "p", "", "the event: `JSON`, @FILE or - for stdin (default none)")
	qualifier := cmd.Flags().String("qualifier", "", "`VERSION` or alias (default $LATEST)")
	log := cmd.Flags().Bool("log", false, "print the end of the log on stderr")
	async := cmd.Flags().Bool("async", false, "hand the event over and do not wait for the function")
	dryRun := cmd.Flags().Bool("dry-run", false, "only check that the call would be let through")
	clientContext := cmd.Flags().String("client-context", "", "`JSON` that the function finds in context.client_context")
	tenant := cmd.Flags().String("tenant", "", "`ID` of the tenant that the call is for, where the function keeps tenants apart")
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
		in := &client.InvocationRequest{FunctionName: args[0], Qualifier: orNil(*qualifier), TenantId: orNil(*tenant)}
		if in.Payload, err = readEvent(w, *payload); err != nil {
			return err
		}
		if *log {
			in.LogType = orNil("Tail")
		}
		if *dryRun {
			in.InvocationType = orNil("DryRun")
		}
		if *async {
			if *dryRun || *log {
				return usagef("--async waits for nothing: it has no log and no dry run")
			}
			in.InvocationType = orNil("Event")
		}
		if *clientContext != "" {
			in.ClientContext = orNil(base64.StdEncoding.EncodeToString([]byte(*clientContext)))
		}
		got, err := s.Invoke(cmd.Context(), in)
		if err != nil {
			name, _, _ := strings.Cut(args[0], ":")
			return s.explain(err, name)
		}
		if form == "json" {
			err = printJSON(w.out, invocationJSON(got))
		} else {
			err = printPayload(w.out, got.Payload)
		}
		if err != nil {
			return err
		}
		if len(got.LogTail) > 0 {
			fmt.Fprintln(w.talk, printableLines(string(got.LogTail)))
		}
		if *async {
			fmt.Fprintf(w.talk, "Accepted as %s.\n", got.RequestID)
		}
		if *dryRun {
			fmt.Fprintln(w.talk, "The call would be let through.")
		}
		if got.FunctionError != "" {
			todo := "--log shows its log"
			if *log {
				todo = ""
			}
			return &failure{code: exitFunction, what: "the function failed", err: errors.New(functionError(got.Payload)), todo: todo}
		}
		return nil
	}
	return cmd
}

// readEvent reads what --payload or --event means; "" is no payload at all.
func readEvent(w world, text string) ([]byte, error) {
	name, isFile := strings.CutPrefix(text, "@")
	var event []byte
	var err error
	switch {
	case text == "":
		return nil, nil
	case text == "-":
		event, err = io.ReadAll(w.in)
	case isFile:
		event, err = os.ReadFile(name)
	default:
		event = []byte(text)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("the event file %s does not exist", name)
	}
	if err != nil {
		return nil, &failure{code: exitUsage, what: "the event", err: err}
	}
	if !json.Valid(event) {
		hint := ""
		if !isFile && text != "-" {
			if _, err := os.Stat(text); err == nil {
				hint = "; it is a file: write @" + text
			}
		}
		return nil, usagef("the event is not valid JSON%s%s", whereInvalid(event), hint)
	}
	return event, nil
}

// whereInvalid says what a JSON parser dislikes, in a few words.
func whereInvalid(event []byte) string {
	var v any
	err := json.Unmarshal(event, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf(" (%s, at byte %d)", syntax, syntax.Offset)
	}
	return ""
}

// printPayload writes an answer as it is, and ends the line.
func printPayload(out io.Writer, payload []byte) error {
	if len(payload) == 0 {
		return nil
	}
	if !bytes.HasSuffix(payload, []byte("\n")) {
		payload = append(bytes.Clone(payload), '\n')
	}
	_, err := out.Write(payload)
	return err
}

// functionError gives the one line of a function error's payload.
func functionError(payload []byte) string {
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(payload, &e); err != nil || e.ErrorMessage == "" && e.ErrorType == "" {
		return "its error is on stdout"
	}
	message, _, _ := strings.Cut(e.ErrorMessage, "\n")
	return strings.Trim(printable(e.ErrorType+": "+message), ": ")
}

// invocationJSON is an invocation as -o json prints it; an answer that is JSON is
// part of it and not a text in it.
func invocationJSON(i *client.Invocation) map[string]any {
	m := map[string]any{"statusCode": i.StatusCode, "executedVersion": i.ExecutedVersion, "requestId": i.RequestID}
	if json.Valid(i.Payload) {
		m["payload"] = json.RawMessage(i.Payload)
	} else if len(i.Payload) > 0 {
		m["payload"] = string(i.Payload)
	}
	if i.FunctionError != "" {
		m["functionError"] = i.FunctionError
	}
	if len(i.LogTail) > 0 {
		m["log"] = string(i.LogTail)
	}
	return m
}
