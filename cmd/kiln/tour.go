package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"kiln/client"
	"kiln/internal/pack"
)

// tour is what quickstart does with a server that has just begun: it deploys what
// is absent, calls one function, and follows the log.
type tour struct {
	w     world
	stops []stop
}

// stop is one folder with a function.
type stop struct {
	path     string
	function *function
}

// planTour finds the functions in the folders of dir: Go first, since it needs no
// interpreter, then by name.
func planTour(w world, dir string) (*tour, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, usagef("the folder of examples %s cannot be read (%w); name one, such as: kiln quickstart examples", dir, errors.Unwrap(err))
	}
	t := &tour{w: w}
	var others []stop
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		f, err := readFunction(path)
		if err != nil {
			return nil, err
		}
		if err := f.settle(); err != nil {
			return nil, err
		}
		if f.source.Language == pack.Go {
			t.stops = append(t.stops, stop{path, f})
		} else {
			others = append(others, stop{path, f})
		}
	}
	t.stops = append(t.stops, others...)
	if len(t.stops) == 0 {
		return nil, usagef("%s has no folder with a function", dir)
	}
	return t, nil
}

// visit makes the tour on a server. What cannot be deployed for want of a program is
// told in one line and left out; the tour fails only when nothing can be called.
func (t *tour) visit(ctx context.Context, s *server) error {
	var guest *deployment
	var guestPath string
	for _, st := range t.stops {
		d := &deployment{server: s, function: st.function, w: t.w}
		if err := t.deploy(ctx, d); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(t.w.talk, "%s is left out: %s\n", st.function.Name, s.explain(err, ""))
			continue
		}
		if guest == nil {
			guest, guestPath = d, st.path
		}
	}
	if guest == nil {
		return platformf("", "none of the functions could be deployed")
	}
	return t.call(ctx, guest, guestPath)
}

// deploy puts a function on the server unless one of its name is there.
func (t *tour) deploy(ctx context.Context, d *deployment) error {
	if lacking := lackingProgram(d.function); lacking != "" {
		return errors.New(lacking)
	}
	_, err := d.GetFunctionConfiguration(ctx, &client.GetFunctionConfigurationRequest{FunctionName: d.function.Name})
	var refusal *client.Error
	if err == nil {
		fmt.Fprintf(t.w.talk, "%s: there already\n", d.function.Name)
		return nil
	}
	if !errors.As(err, &refusal) || refusal.Code != "ResourceNotFoundException" {
		return err
	}
	_, err = d.run(ctx)
	return err
}

// lackingProgram says in one line which program of this machine a function needs
// and does not find, or "".
func lackingProgram(f *function) string {
	if f.source.Language != pack.Provided || f.source.Kind != pack.Folder {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(f.source.Path, "bootstrap"))
	if err != nil || !strings.HasPrefix(string(text), "#!") || !strings.Contains(string(text), "curl ") {
		return ""
	}
	if _, err := exec.LookPath("curl"); err != nil {
		return "it needs curl, which this machine does not have"
	}
	return ""
}

// call invokes the function with the event beside it and prints the answer, the
// REPORT line and what to try next.
func (t *tour) call(ctx context.Context, d *deployment, path string) error {
	payload := "{}"
	event := []byte(payload)
	file := eventBeside(path)
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		payload, event = compact(text), text
	}
	got, err := d.Invoke(ctx, &client.InvocationRequest{FunctionName: d.function.Name, Payload: event, LogType: orNil("Tail")})
	if err != nil {
		return d.explain(err, d.function.Name)
	}
	fmt.Fprintf(t.w.talk, "\n$ %s\n", d.kilnLine(payload))
	if err := printPayload(t.w.out, got.Payload); err != nil {
		return err
	}
	for line := range strings.Lines(string(got.LogTail)) {
		if strings.HasPrefix(line, "REPORT ") {
			fmt.Fprint(t.w.talk, printable(line))
		}
	}
	if got.FunctionError != "" {
		return &failure{code: exitFunction, what: d.function.Name + " failed", err: errors.New(functionError(got.Payload))}
	}
	fmt.Fprintf(t.w.talk, "\nTry in another terminal:\n  %s\n  %s\n  %[3]s init my-function && %[3]s deploy my-function\nThe log follows; Ctrl-C ends everything.\n\n", d.kilnLine(payload), d.awsLine(file), t.w.program)
	return nil
}

// follow prints what all functions log from now on, until ctx ends.
func (t *tour) follow(ctx context.Context, s *server) error {
	printer := logPrinter(t.w, "table")
	_, err := s.logs(ctx, url.Values{"follow": {"1"}, "since": {"0s"}}, func(r *logRecord) error {
		r.Text = r.Function + "  " + r.Text
		return printer(r)
	})
	return err
}

// compact gives JSON on one line, or as it is when it is none.
func compact(text []byte) string {
	var v json.RawMessage
	if json.Unmarshal(text, &v) != nil {
		return strings.TrimSpace(string(text))
	}
	b, err := json.Marshal(v)
	if err != nil {
		return strings.TrimSpace(string(text))
	}
	return string(b)
}
