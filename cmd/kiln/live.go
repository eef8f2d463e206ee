package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"kiln/client"
)

// proofFile is where the server expects the proof that we may write into a directory.
const proofFile = ".kiln-live"

// live is a function that shows a directory, for as long as a request lasts.
type live struct {
	server   *server
	function string
	session  string
	body     interface{ Close() error }
	over     chan struct{} // closed when the server ended it
}

// liveAnswer is a line of the server's answer.
type liveAnswer struct {
	Session    string `json:"session"`
	Generation int    `json:"generation"`
}

// bind shows a directory to a function until close, or until ctx ends.
func (s *server) bind(ctx context.Context, function, dir string) (*live, error) {
	l := &live{server: s, function: function, over: make(chan struct{})}
	resp, err := l.prove(ctx, http.MethodPost, dir)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewReader(resp.Body)
	first, err := lines.ReadBytes('\n')
	var a liveAnswer
	if err == nil {
		err = json.Unmarshal(first, &a)
	}
	if err != nil {
		_ = resp.Body.Close() // it was only read
		return nil, err
	}
	l.session, l.body = a.Session, resp.Body
	go func() {
		defer close(l.over)
		for {
			if _, err := lines.ReadSlice('\n'); err != nil {
				return
			}
		}
	}()
	return l, nil
}

// changed says that files of the directory are others now, and gives the number of the
// generation that runs them.
func (l *live) changed(ctx context.Context, dir string) (int, error) {
	resp, err := l.prove(ctx, http.MethodPut, dir)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var a liveAnswer
	return a.Generation, json.NewDecoder(resp.Body).Decode(&a)
}

// prove makes a request with a proof that lies in the directory meanwhile.
func (l *live) prove(ctx context.Context, method, dir string) (_ *http.Response, err error) {
	name, proof := filepath.Join(dir, proofFile), rand.Text()
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &failure{code: exitPlatform, err: err}
	}
	if err := writeNew(name, proof); err != nil {
		return nil, &failure{code: exitPlatform, what: "proving to the server that the folder is yours", err: err}
	}
	defer func() { err = errors.Join(err, os.Remove(name)) }()
	body, err := json.Marshal(map[string]string{"directory": dir, "proof": proof, "session": l.session})
	if err != nil {
		return nil, err
	}
	return l.server.Send(ctx, method, []string{"_kiln", "v1", "live", l.function}, body)
}

// writeNew writes a file that must not be there yet and that nobody else reads.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// close gives the function its package back.
func (l *live) close() {
	_ = l.body.Close() // the server sees that we are gone
	<-l.over
}

// logs prints the function's log until ctx ends; the channel is closed then.
func (d *development) logs(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		q := url.Values{"function": {d.function.Name}, "follow": {"1"}, "limit": {"0"}}
		if _, err := d.server.logs(ctx, q, logPrinter(d.w, "text")); err != nil && ctx.Err() == nil {
			fmt.Fprintf(d.w.talk, "kiln: the log: %v\n", d.explain(err, d.function.Name))
		}
	}()
	return done
}

// invoke calls the function and prints its answer.
func (d *development) invoke(ctx context.Context, event []byte) error {
	got, err := d.Invoke(ctx, &client.InvocationRequest{FunctionName: d.function.Name, Payload: event})
	if err != nil {
		return err
	}
	if got.FunctionError != "" {
		fmt.Fprintf(d.w.talk, "the function failed: %s\n", functionError(got.Payload))
		return nil
	}
	return printPayload(d.w.out, got.Payload)
}
