package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/client"
)

// logRecord is one line of a log as the server sends it.
type logRecord struct {
	Time      time.Time `json:"time"`
	Type      string    `json:"type"`
	Group     string    `json:"group"`
	Stream    string    `json:"stream"`
	Function  string    `json:"function,omitempty"`
	Version   string    `json:"version,omitempty"`
	RequestID string    `json:"requestId,omitempty"`
	Text      string    `json:"text"`
}

// logsCommand is `kiln logs`.
func logsCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print the log of a function, and follow it with -f",
		Long: `Print the log of a function: what it wrote, and the START, END and REPORT lines of
its invocations. With -f it goes on until Ctrl-C. -o json prints one JSON object a line.`,
		Example: "  kiln logs hello -f\n  kiln logs hello --since 5m\n  kiln logs hello --request-id 8f4e…",
		Args:    exactly("the name of a function"),
	}
	open := serverFlags(w, cmd)
	follow := cmd.Flags().BoolP("follow", "f", false, "go on with what is written from now on")
	since := cmd.Flags().String("since", "", "only lines from the last `DURATION`, or from a time such as 2026-01-02T15:04:05Z")
	request := cmd.Flags().String("request-id", "", "only the lines of one invocation, by its `ID`")
	limit := cmd.Flags().IntP("lines", "n", 0, "at most the last `N` lines (default 1000; with -f 20)")
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
		q := url.Values{"function": {args[0]}}
		if *follow {
			q.Set("follow", "1")
			if *limit == 0 && *since == "" {
				*limit = 20
			}
		}
		if *limit < 0 {
			return usagef("--lines %d: a number of lines is expected", *limit)
		}
		if *limit > 0 {
			q.Set("limit", strconv.Itoa(*limit))
		}
		if *since != "" {
			q.Set("since", *since)
		}
		if *request != "" {
			q.Set("requestId", *request)
		}
		n, err := s.logs(cmd.Context(), q, logPrinter(w, form))
		if err != nil {
			return s.explain(err, args[0])
		}
		if n == 0 {
			return s.noLines(cmd.Context(), args[0], w)
		}
		return nil
	}
	return cmd
}

// logPrinter gives what prints a record on stdout.
func logPrinter(w world, form string) func(*logRecord) error {
	if form == "json" {
		e := json.NewEncoder(w.out)
		e.SetEscapeHTML(false)
		return func(r *logRecord) error { return e.Encode(r) }
	}
	dim, plain := "", ""
	if colors(w, w.out) {
		dim, plain = "\x1b[2m", "\x1b[0m"
	}
	return func(r *logRecord) error {
		at := r.Time.Local().Format("15:04:05.000")
		// Lines of one record are set in, so that none passes for a record of its own.
		text := strings.ReplaceAll(printableLines(r.Text), "\n", "\n"+strings.Repeat(" ", len(at)+1))
		_, err := fmt.Fprintf(w.out, "%s%s%s %s\n", dim, at, plain, text)
		return err
	}
}

// logs reads lines until the server or ctx ends them, and gives their number.
func (s *server) logs(ctx context.Context, q url.Values, each func(*logRecord) error) (int, error) {
	resp, err := s.Call(ctx, http.MethodGet, []string{"_kiln", "v1", "logs"}, q)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	for n := 0; ; n++ {
		var r logRecord
		if err := lines.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return n, nil
			}
			return n, err
		}
		if err := each(&r); err != nil {
			return n, err
		}
	}
}

// noLines says why there was nothing to print: no such function, or nothing yet.
func (s *server) noLines(ctx context.Context, name string, w world) error {
	if ctx.Err() != nil {
		return nil
	}
	if _, err := s.GetFunctionConfiguration(ctx, &client.GetFunctionConfigurationRequest{FunctionName: name}); err != nil {
		return s.explain(err, name)
	}
	fmt.Fprintln(w.talk, "No lines match.")
	return nil
}
