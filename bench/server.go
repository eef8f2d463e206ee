package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server is one `kiln serve` of the bench.
type server struct {
	host string
	cmd  *exec.Cmd
	done chan error
}

// serve starts a server with its own data directory and waits until it is ready.
func (s *suite) serve(ctx context.Context, name string, args ...string) (*server, error) {
	data := filepath.Join(s.dir, name)
	cmd := exec.CommandContext(ctx, s.binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--console", "off", "--data-dir", data}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	srv := &server{cmd: cmd, done: make(chan error, 1)}
	go func() { srv.done <- cmd.Wait() }()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-srv.done:
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("kiln serve ended: %w\n%s", err, text)
		default:
		}
		var info struct {
			PID      int
			Endpoint string
		}
		text, err := os.ReadFile(filepath.Join(data, "kiln.lock"))
		if err != nil || json.Unmarshal(text, &info) != nil || info.PID != cmd.Process.Pid {
			continue
		}
		srv.host = strings.TrimPrefix(info.Endpoint, "http://")
		return srv, nil
	}
	srv.stop()
	return nil, fmt.Errorf("kiln serve was not ready within 30 s")
}

// stop drains the server and waits for its end.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	<-s.done
}

// deploy creates a function and waits until it is active.
func (s *server) deploy(ctx context.Context, name, runtime, handler string, memory int, code []byte) error {
	in := map[string]any{"FunctionName": name, "Runtime": runtime, "Handler": handler, "Role": "arn:aws:iam::000000000000:role/bench",
		"MemorySize": memory, "Timeout": 30, "Code": map[string]any{"ZipFile": code}}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if _, err := s.call(ctx, "POST", "/2015-03-31/functions", body); err != nil {
		return err
	}
	for {
		text, err := s.call(ctx, "GET", "/2015-03-31/functions/"+name+"/configuration", nil)
		if err != nil {
			return err
		}
		var c struct{ State, StateReason string }
		if err := json.Unmarshal(text, &c); err != nil {
			return err
		}
		switch c.State {
		case "Active":
			return nil
		case "Pending":
			time.Sleep(10 * time.Millisecond)
		default:
			return fmt.Errorf("%s is %s: %s", name, c.State, c.StateReason)
		}
	}
}

// call sends one request of the control plane or one invocation.
func (s *server) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.host+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode > 299 || resp.Header.Get("X-Amz-Function-Error") != "" {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return text, nil
}

// zipped packs one file.
func zipped(name, text string, mode os.FileMode) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(mode)
	f, err := w.CreateHeader(h)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(f, text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// python gives the identifier of an interpreter that kiln found, and the program
// that the host runs it with.
func (s *suite) python(ctx context.Context) (identifier, program string, err error) {
	out, err := exec.CommandContext(ctx, s.binary, "runtime", "ls", "-o", "json", "--data-dir", filepath.Join(s.dir, "runtimes")).Output()
	if err != nil {
		return "", "", fmt.Errorf("kiln runtime ls: %w", err)
	}
	var list []struct{ Identifier, State, Source string }
	if err := json.Unmarshal(out, &list); err != nil {
		return "", "", err
	}
	for _, want := range []string{"python3.11", "python3.13", "python3.12", "python3.10"} {
		for _, r := range list {
			if r.Identifier == want && r.State == "ready" {
				return r.Identifier, r.Source, nil
			}
		}
	}
	return "", "", fmt.Errorf("no Python runtime is ready on this machine")
}
