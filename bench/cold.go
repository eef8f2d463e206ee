package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// bootstrap is a custom runtime in Go without any library of AWS.
const bootstrap = `package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
)

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		r, err := http.Get(base + "next")
		if err != nil {
			os.Exit(1)
		}
		event, _ := io.ReadAll(r.Body)
		r.Body.Close()
		p, err := http.Post(base+r.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader(event))
		if err != nil {
			os.Exit(1)
		}
		p.Body.Close()
	}
}
`

// cold measures calls that need a new environment each, beside the bare program
// doing the same work outside: a Go binary from exec to its answer, and Python
// importing the handler.
func (s *suite) cold(ctx context.Context) error {
	id, program, err := s.python(ctx)
	if err != nil {
		return err
	}
	binary := filepath.Join(s.dir, "bootstrap")
	source := filepath.Join(s.dir, "bootstrap.go")
	if err := os.WriteFile(source, []byte(bootstrap), 0o644); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the Go function: %w\n%s", err, out)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	goCode, err := zipped("bootstrap", string(text), 0o755)
	if err != nil {
		return err
	}
	pyCode, err := zipped("handler.py", "import json\ndef handler(event, context):\n    return event\n", 0o644)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "handler.py"), []byte("import json\ndef handler(event, context):\n    return event\n"), 0o644); err != nil {
		return err
	}
	api, err := fakeRuntimeAPI()
	if err != nil {
		return err
	}
	defer api.close()
	bareGo := func() (time.Duration, error) { return api.run(ctx, binary) }
	barePython := func() (time.Duration, error) {
		begin := time.Now()
		cmd := exec.CommandContext(ctx, program, "-c", "import handler")
		cmd.Dir = s.dir
		err := cmd.Run()
		return time.Since(begin), err
	}
	for _, mode := range []string{"burst", "strict"} {
		srv, err := s.serve(ctx, "cold-"+mode, "--cpu-mode", mode, "--idle-timeout", "0")
		if err != nil {
			return err
		}
		for _, memory := range []int{1769, 128} {
			goal := map[bool][2]string{true: {"≤ 2x", "≤ 1.6x"}}[memory == 1769 && mode == "burst"]
			for _, f := range []struct {
				name, runtime, handler, goal string
				code                         []byte
				bare                         func() (time.Duration, error)
			}{
				{"Go binary", "provided.al2023", "bootstrap", goal[0], goCode, bareGo},
				{"Python", id, "handler.handler", goal[1], pyCode, barePython},
			} {
				name := fmt.Sprintf("%c%d", f.name[0], memory)
				what := fmt.Sprintf("cold start, %s, %d MB, %s", f.name, memory, mode)
				if err = srv.deploy(ctx, name, f.runtime, f.handler, memory, f.code); err == nil {
					err = s.coldRounds(ctx, srv, name, f.bare, 50*time.Millisecond, row{name: what, unit: "ms", goal: f.goal})
				}
				if err == nil && f.goal != "" {
					err = s.coldRounds(ctx, srv, name, f.bare, 0, row{name: what + ", without a pause", unit: "ms"})
				}
				if err != nil {
					srv.stop()
					return err
				}
			}
		}
		srv.stop()
	}
	return nil
}

// coldRounds takes turns of ten cold calls and ten bare runs. In the pause before
// each the server ends the last environment and makes parts of the next ahead;
// without one both happen during the measurement.
func (s *suite) coldRounds(ctx context.Context, srv *server, name string, bare func() (time.Duration, error), pause time.Duration, r row) error {
	one := func() (time.Duration, error) {
		begin := time.Now()
		_, err := srv.call(ctx, "POST", "/2015-03-31/functions/"+name+"/invocations", []byte(`{}`))
		return time.Since(begin), err
	}
	for round := range s.rounds + 1 {
		var kiln, floor []float64
		for range 10 {
			time.Sleep(pause)
			a, err := one()
			if err != nil {
				return err
			}
			time.Sleep(pause)
			b, err := bare()
			if err != nil {
				return err
			}
			kiln, floor = append(kiln, a.Seconds()*1000), append(floor, b.Seconds()*1000)
		}
		if round > 0 { // the first one warms the page cache for both
			r.kiln, r.floor = append(r.kiln, middle(kiln)), append(r.floor, middle(floor))
		}
	}
	s.table.add(r)
	return nil
}

// runtimeAPI is the least of a Runtime API: one event, and the time of its answer.
type runtimeAPI struct {
	l        net.Listener
	srv      *http.Server
	mu       sync.Mutex
	answered chan struct{}
	served   bool
}

func fakeRuntimeAPI() (*runtimeAPI, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &runtimeAPI{l: l, answered: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		first := !a.served
		a.served = true
		a.mu.Unlock()
		if !first {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
		fmt.Fprint(w, "{}")
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a cut answer counts as one
		w.WriteHeader(http.StatusAccepted)
		a.answered <- struct{}{}
	})
	a.srv = &http.Server{Handler: mux}
	go func() { _ = a.srv.Serve(l) }() // ends with close
	return a, nil
}

func (a *runtimeAPI) close() { _ = a.srv.Close() }

// run starts a runtime and gives the time from its exec to its first answer.
func (a *runtimeAPI) run(ctx context.Context, program string) (time.Duration, error) {
	a.mu.Lock()
	a.served = false
	a.mu.Unlock()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + a.l.Addr().String()}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer end(cmd)
	select {
	case <-a.answered:
		return time.Since(begin), nil
	case <-time.After(10 * time.Second):
		return 0, fmt.Errorf("%s did not answer within 10 s", program)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
