package runtimes_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const sigusr1 = syscall.SIGUSR1

// testTimeout bounds every wait for a bootstrap; it is never reached unless one
// hangs.
const testTimeout = 30 * time.Second

// outcome is what a bootstrap posted.
type outcome struct {
	path    string
	headers http.Header
	body    string
	// trailers of a body in chunks.
	trailers http.Header
	// pipelined is true when the next question had arrived with the outcome, before
	// the outcome was answered.
	pipelined bool
	// logged is the standard output as it stood when the outcome arrived.
	logged string
}

// work is one invocation for a bootstrap.
type work struct {
	id, payload, trace, arn, client, attempt, tenant string
	deadline                                         time.Time
	chunked                                          bool
}

// fakeAPI is a Runtime API of one connection, written out by hand so that it sees
// exactly what a bootstrap sends.
type fakeAPI struct {
	t        testing.TB
	listener net.Listener
	work     chan work
	outcomes chan outcome
	status   string // of the answer to an outcome
	done     chan struct{}
	stdout   *watched
	conn     atomic.Pointer[net.TCPConn]
}

// hangUp closes the connection.
func (a *fakeAPI) hangUp() { a.conn.Load().Close() }

func newFakeAPI(t testing.TB, stdout *watched) *fakeAPI {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	api := &fakeAPI{
		t:        t,
		listener: l,
		work:     make(chan work, 1),
		outcomes: make(chan outcome, 16),
		status:   "202 Accepted",
		done:     make(chan struct{}),
		stdout:   stdout,
	}
	go api.serve()
	t.Cleanup(func() {
		l.Close()
		close(api.work)
		<-api.done
	})
	return api
}

func (a *fakeAPI) serve() {
	defer close(a.done)
	conn, err := a.listener.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	a.conn.Store(conn.(*net.TCPConn))
	in := bufio.NewReaderSize(conn, 1<<16)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		if request.Method == "GET" && request.URL.Path == "/2018-06-01/runtime/invocation/next" {
			w, ok := <-a.work
			if !ok {
				return
			}
			if _, err := conn.Write(w.answer()); err != nil {
				return
			}
			continue
		}
		o := outcome{path: request.URL.Path, headers: request.Header, body: string(body), trailers: request.Trailer, logged: a.stdout.String()}
		if strings.HasSuffix(o.path, "/response") && o.trailers.Get("Lambda-Runtime-Function-Error-Type") == "" { // an error may be the last word
			conn.SetReadDeadline(time.Now().Add(testTimeout))
			_, err := in.Peek(3)
			conn.SetReadDeadline(time.Time{})
			o.pipelined = err == nil
		}
		a.outcomes <- o
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n", a.status)
	}
}

// answer writes the work as the Runtime API does.
func (w work) answer() []byte {
	var out bytes.Buffer
	out.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
	header := func(name, value string) {
		if value != "" {
			out.WriteString(name + ": " + value + "\r\n")
		}
	}
	deadline := w.deadline
	if deadline.IsZero() {
		deadline = time.Now().Add(time.Minute)
	}
	header("Lambda-Runtime-Aws-Request-Id", w.id)
	header("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
	header("Lambda-Runtime-Invoked-Function-Arn", w.arn)
	header("Lambda-Runtime-Trace-Id", w.trace)
	header("lambda-runtime-client-context", w.client)
	header("Lambda-Runtime-Invocation-Id", w.attempt)
	header("Lambda-Runtime-Aws-Tenant-Id", w.tenant)
	if w.chunked {
		out.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for at := 0; at < len(w.payload); at += 7 {
			piece := w.payload[at:min(at+7, len(w.payload))]
			fmt.Fprintf(&out, "%x;note=1\r\n%s\r\n", len(piece), piece)
		}
		out.WriteString("0\r\nTrailer: x\r\n\r\n")
	} else {
		fmt.Fprintf(&out, "Content-Length: %d\r\n\r\n%s", len(w.payload), w.payload)
	}
	return out.Bytes()
}

// watched is the read end of a pipe that a process writes to. It is read only when
// somebody looks, so that a look shows what was in the pipe at that moment.
type watched struct {
	mu   sync.Mutex
	pipe *os.File
	text bytes.Buffer
}

// newWatched makes the pipe and gives its write end.
func newWatched(t testing.TB) (*watched, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return &watched{pipe: r}, w
}

// String gives everything that was written up to now.
func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	raw, err := w.pipe.SyscallConn()
	if err != nil {
		return w.text.String()
	}
	piece := make([]byte, 1<<16)
	raw.Read(func(fd uintptr) bool { // a closed pipe has nothing more to say
		for {
			n, err := syscall.Read(int(fd), piece)
			if n <= 0 || err != nil {
				return true
			}
			w.text.Write(piece[:n])
		}
	})
	return w.text.String()
}

// reset forgets what was written up to now.
func (w *watched) reset() {
	_ = w.String()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Reset()
}

// guest is one running bootstrap.
type guest struct {
	t       testing.TB
	api     *fakeAPI
	command *exec.Cmd
	stdout  *watched
	stderr  *watched
	ended   chan struct{} // closed when the process is gone
	exit    int
}

// start runs a bootstrap in a directory with a handler's name.
func start(t testing.TB, lang *language, dir, handler string, env ...string) *guest {
	t.Helper()
	return startWith(t, lang, dir, handler, nil, env...)
}

// startWith is start with further open files, from descriptor 3 on.
func startWith(t testing.TB, lang *language, dir, handler string, files []*os.File, env ...string) *guest {
	t.Helper()
	g := &guest{t: t, ended: make(chan struct{})}
	var stdout, stderr *os.File
	g.stdout, stdout = newWatched(t)
	g.stderr, stderr = newWatched(t)
	g.api = newFakeAPI(t, g.stdout)
	g.command = exec.Command(lang.command[0], lang.command[1:]...)
	g.command.Dir = dir
	g.command.ExtraFiles = files
	g.command.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + g.api.listener.Addr().String(),
		"_HANDLER=" + handler,
		"LAMBDA_TASK_ROOT=" + dir,
		"LAMBDA_RUNTIME_DIR=" + lang.runtimeDir,
		"AWS_LAMBDA_FUNCTION_NAME=fn",
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=1024",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/fn",
		"AWS_LAMBDA_LOG_STREAM_NAME=2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef",
		"TZ=:UTC",
		"LANG=en_US.UTF-8",
		"PATH=/usr/bin:/bin",
		"HOME=/nonexistent",
	}, append(lang.env, env...)...)
	g.command.Stdout, g.command.Stderr = stdout, stderr
	err := g.command.Start()
	stdout.Close()
	stderr.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(g.ended)
		g.command.Wait() // the exit code is what is asked for
		g.exit = g.command.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		g.command.Process.Kill()
		<-g.ended
	})
	return g
}

// invoke sends work and gives what came of it.
func (g *guest) invoke(w work) outcome {
	g.t.Helper()
	if w.id == "" {
		w.id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
	}
	if w.arn == "" {
		w.arn = "arn:aws:lambda:us-east-1:123456789012:function:fn"
	}
	select {
	case g.api.work <- w:
	case <-g.ended:
		g.t.Fatalf("ended with %d before the invocation\n%s%s", g.exit, g.stdout, g.stderr)
	}
	return g.outcome()
}

// outcome waits for what the bootstrap posts.
func (g *guest) outcome() outcome {
	g.t.Helper()
	select {
	case o := <-g.api.outcomes:
		return o
	case <-g.ended:
		select {
		case o := <-g.api.outcomes:
			return o
		default:
		}
		g.t.Fatalf("ended with %d and posted nothing\nstdout: %s\nstderr: %s", g.exit, g.stdout, g.stderr)
	case <-time.After(testTimeout):
		g.t.Fatalf("posted nothing\nstdout: %s\nstderr: %s", g.stdout, g.stderr)
	}
	return outcome{}
}

// until waits for a condition.
func (g *guest) until(met func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(testTimeout); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("waited in vain\nstdout: %s\nstderr: %s", g.stdout, g.stderr)
		}
	}
}

// wait gives the exit code.
func (g *guest) wait() int {
	g.t.Helper()
	select {
	case <-g.ended:
	case <-time.After(testTimeout):
		g.t.Fatalf("did not end\nstdout: %s\nstderr: %s", g.stdout, g.stderr)
	}
	return g.exit
}

// folder makes a function's directory from pairs of name and text.
func folder(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := dir + "/" + files[i]
		if err := os.MkdirAll(name[:strings.LastIndex(name, "/")], 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
