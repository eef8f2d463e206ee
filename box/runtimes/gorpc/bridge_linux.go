package gorpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// speaksAPI is in every program that knows the Runtime API.
var speaksAPI = []byte("AWS_LAMBDA_RUNTIME_API")

// Run starts a function and gives the exit code of the environment's runtime process.
// It returns only when the function is over or cannot be started.
func Run(program string) int {
	api := &api{root: "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime"}
	modern, err := knowsAPI(program)
	if err == nil && modern {
		err = syscall.Exec(program, []string{program}, os.Environ())
	}
	if err != nil {
		return api.refused(program, err)
	}
	return bridge(api, program)
}

// knowsAPI reports whether a program can be started as it is.
func knowsAPI(program string) (bool, error) {
	f, err := os.Open(program)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	buffer := make([]byte, 1<<20)
	held := 0 // bytes of the end of what was read before
	for {
		n, err := f.Read(buffer[held:])
		if bytes.Contains(buffer[:held+n], speaksAPI) || held == 0 && bytes.HasPrefix(buffer[:n], []byte("#!")) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		keep := min(held+n, len(speaksAPI)-1)
		copy(buffer, buffer[held+n-keep:held+n])
		held = keep
	}
}

// bridge runs the function as a server of net/rpc and hands it the invocations.
func bridge(a *api, program string) int {
	port, err := freePort()
	if err != nil {
		return a.refused(program, err)
	}
	function := exec.Command(program)
	function.Env = append(os.Environ(), "_LAMBDA_SERVER_PORT="+strconv.Itoa(port))
	function.Stdout, function.Stderr = os.Stdout, os.Stderr
	if err := function.Start(); err != nil {
		return a.refused(program, err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	over := make(chan struct{})
	go func() { // ends with the function, and this process after it
		_ = function.Wait() // its end is in ProcessState
		close(over)
	}()
	go func() {
		for s := range signals { // the process ends before the channel does
			_ = function.Process.Signal(s) // it may have ended meanwhile
		}
	}()
	client, err := dial(port, over)
	if err == nil {
		err = client.Call("Function.Ping", new(struct{}), new(struct{}))
	}
	for err == nil {
		err = serve(a, client, over)
	}
	var exit *shouldExit
	if errors.As(err, &exit) {
		_ = function.Process.Kill() // AWS ends it, too: it said that it is in no state to go on
		<-over
		return 1
	}
	select {
	case <-over:
		return codeOf(function.ProcessState)
	case <-time.After(time.Second):
		fmt.Fprintln(os.Stderr, "the function is lost:", err)
		_ = function.Process.Kill() // likewise
		<-over
		return 1
	}
}

// freePort gives a port of this environment that nobody listens on.
func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// dial connects to the function as soon as it listens.
func dial(port int, over <-chan struct{}) (*rpc.Client, error) {
	for {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return rpc.NewClient(conn), nil
		}
		select {
		case <-over:
			return nil, errors.New("it ended before it listened")
		case <-time.After(time.Millisecond):
		}
	}
}

// codeOf ends this process as the function has ended: by the same signal, or with the
// code that it gives.
func codeOf(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), status.Signal()) // where it cannot, the code says as much
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// shouldExit says that the function panicked: AWS's runtime does not go on then.
type shouldExit struct{}

func (*shouldExit) Error() string { return "the function panicked" }

// serve hands one invocation over. An error is one of the bridge, not of the function.
func serve(a *api, client *rpc.Client, over <-chan struct{}) error {
	work, err := a.next(over)
	if err != nil {
		return err
	}
	answer := new(response)
	if err := client.Call("Function.Invoke", work.request(), answer); err != nil {
		return err
	}
	if answer.Error == nil {
		return a.post(work, "/response", "", answer.Payload)
	}
	text, err := json.Marshal(answer.Error)
	if err != nil {
		return err
	}
	if err := a.post(work, "/error", answer.Error.Type, text); err != nil {
		return err
	}
	if answer.Error.ShouldExit {
		return new(shouldExit)
	}
	return nil
}

// api is the Runtime API, as far as the bridge needs it.
type api struct {
	root string
	http http.Client
}

// work is one invocation.
type work struct {
	header http.Header
	body   []byte
}

// next waits for an invocation, or for the end of the function.
func (a *api) next(over <-chan struct{}) (*work, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() { // ends with the call
		select {
		case <-over:
			cancel()
		case <-ended:
		}
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.root+"/invocation/next", nil)
	if err != nil {
		return nil, err
	}
	got, err := a.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = got.Body.Close() }() // it was read to its end
	body, err := io.ReadAll(got.Body)
	if err == nil && got.StatusCode != http.StatusOK {
		err = errors.New("the Runtime API answered " + got.Status)
	}
	return &work{got.Header, body}, err
}

// post sends an outcome; what the Runtime API says to it changes nothing here.
func (a *api) post(w *work, path, kind string, body []byte) error {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, a.root+"/invocation/"+w.header.Get("Lambda-Runtime-Aws-Request-Id")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if kind != "" {
		r.Header.Set("Lambda-Runtime-Function-Error-Type", kind)
	}
	if attempt := w.header.Get("Lambda-Runtime-Invocation-Id"); attempt != "" {
		r.Header.Set("Lambda-Runtime-Invocation-Id", attempt)
	}
	return a.send(r)
}

func (a *api) send(r *http.Request) error {
	got, err := a.http.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, got.Body)
	return errors.Join(err, got.Body.Close())
}

// refused tells that a function cannot be started, in the words of AWS's runtime.
func (a *api) refused(program string, err error) int {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	why := &fs.PathError{Op: "fork/exec", Path: program, Err: err}
	fmt.Fprintln(os.Stderr, why.Error()+": PathError")
	text, err := json.Marshal(failure{Message: why.Error(), Type: "PathError"})
	if err != nil {
		return 1
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, a.root+"/init/error", bytes.NewReader(text))
	if err != nil {
		return 1
	}
	r.Header.Set("Lambda-Runtime-Function-Error-Type", "PathError")
	if err := a.send(r); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}
