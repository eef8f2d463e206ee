package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// streamer is a custom runtime that answers with as many bytes as the event, or the body
// of the HTTP request in it, says; the first eight are the time at which they are written.
const streamer = `package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	address := os.Getenv("AWS_LAMBDA_RUNTIME_API")
	c, err := net.Dial("tcp", address)
	if err != nil {
		os.Exit(1)
	}
	in := bufio.NewReader(c)
	piece := make([]byte, 1<<16)
	for {
		fmt.Fprintf(c, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: h\r\n\r\n")
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			os.Exit(1)
		}
		var event struct {
			Bytes int
			RawQueryString string
		}
		text, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(text, &event); err != nil {
			os.Exit(2)
		}
		if event.Bytes == 0 {
			event.Bytes, _ = strconv.Atoi(event.RawQueryString)
		}
		fmt.Fprintf(c, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: h\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n", r.Header.Get("Lambda-Runtime-Aws-Request-Id"))
		head := make([]byte, 0, 64)
		for left := event.Bytes; left > 0; left -= len(piece) {
			p := piece[:min(left, len(piece))]
			if left == event.Bytes {
				binary.BigEndian.PutUint64(p, uint64(time.Now().UnixNano()))
			}
			head = append(strconv.AppendInt(head[:0], int64(len(p)), 16), '\r', '\n')
			v := net.Buffers{head, p, []byte("\r\n")}
			if _, err := v.WriteTo(c); err != nil {
				os.Exit(3)
			}
		}
		fmt.Fprintf(c, "0\r\n\r\n")
		if r, err = http.ReadResponse(in, nil); err != nil {
			os.Exit(4)
		}
		io.Copy(io.Discard, r.Body)
	}
}
`

// stream measures answers that leave while they are written: how long the first byte
// takes from the function to the caller, how many bytes a second pass, and what the server
// needs of memory for it.
func (s *suite) stream(ctx context.Context) error {
	srv, err := s.serve(ctx, "stream", "--stream-rate", "off", "--stream-size", "off")
	if err != nil {
		return err
	}
	defer srv.stop()
	code, err := s.compile(ctx, "streamer", streamer)
	if err != nil {
		return err
	}
	if err := srv.deploy(ctx, "stream", "provided.al2023", "bootstrap", 1769, code); err != nil {
		return err
	}
	made, err := srv.call(ctx, "POST", "/2021-10-31/functions/stream/url", []byte(`{"AuthType":"NONE","InvokeMode":"RESPONSE_STREAM"}`))
	if err != nil {
		return err
	}
	for _, permission := range []string{
		`{"StatementId":"url","Action":"lambda:InvokeFunctionUrl","Principal":"*","FunctionUrlAuthType":"NONE"}`,
		`{"StatementId":"call","Action":"lambda:InvokeFunction","Principal":"*","InvokedViaFunctionUrl":true}`,
	} {
		if _, err := srv.call(ctx, "POST", "/2015-03-31/functions/stream/policy", []byte(permission)); err != nil {
			return err
		}
	}
	var config struct{ FunctionUrl string }
	if err := json.Unmarshal(made, &config); err != nil {
		return err
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(config.FunctionUrl, "http://"), "/")

	const body = 200 << 20
	first := row{name: "first byte of a streamed answer, function to caller, p50", unit: "µs", goal: "≤ 2 ms"}
	late := row{name: "the same, p99", unit: "µs"}
	events := row{name: "bytes of a streamed answer of 200 MB, InvokeWithResponseStream", unit: "MB/s", goal: "≥ 500 MB/s"}
	page := row{name: "the same of a function URL", unit: "MB/s"}
	grown := row{name: "memory that the server took for 200 MB (peak RSS above that before)", unit: "MB", goal: "flat"}
	for range s.rounds {
		p50, p99, err := srv.firstBytes(ctx, host)
		if err != nil {
			return err
		}
		first.kiln, late.kiln = append(first.kiln, p50), append(late.kiln, p99)
		before, err := srv.resetPeak()
		if err != nil {
			return err
		}
		rate, err := srv.pour(ctx, "POST", "/2021-11-15/functions/stream/response-streaming-invocations", "", fmt.Sprintf(`{"Bytes":%d}`, body), body)
		if err != nil {
			return err
		}
		events.kiln = append(events.kiln, rate)
		after, err := srv.memoryOf("VmHWM")
		if err != nil {
			return err
		}
		grown.kiln = append(grown.kiln, float64(after-before)/(1<<20))
		if rate, err = srv.pour(ctx, "GET", "/?"+strconv.Itoa(body), host, "", body); err != nil {
			return err
		}
		page.kiln = append(page.kiln, rate)
		bare, err := twoHops(ctx, body)
		if err != nil {
			return err
		}
		events.floor, page.floor = append(events.floor, bare), append(page.floor, bare)
	}
	for _, r := range []row{first, late, events, page, grown} {
		s.table.add(r)
	}
	return nil
}

// compile builds a Go program into a package.
func (s *suite) compile(ctx context.Context, name, source string) ([]byte, error) {
	binary, file := filepath.Join(s.dir, name), filepath.Join(s.dir, name+".go")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", binary, file)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	return zipped("bootstrap", string(text), 0o755)
}

// firstBytes takes short streamed answers and gives median and 99th percentile of the
// time that their first bytes took, in microseconds. Function and caller read one clock.
func (s *server) firstBytes(ctx context.Context, host string) (p50, p99 float64, err error) {
	var all []float64
	for range 200 {
		resp, err := s.open(ctx, "GET", "/?8", host, "")
		if err != nil {
			return 0, 0, err
		}
		var stamp [8]byte
		_, err = io.ReadFull(resp.Body, stamp[:])
		now := time.Now().UnixNano()
		resp.Body.Close()
		if err != nil {
			return 0, 0, err
		}
		all = append(all, float64(now-int64(binary.BigEndian.Uint64(stamp[:])))/1000)
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100], nil
}

// open sends one request and gives the answer with its body unread.
func (s *server) open(ctx context.Context, method, path, host, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.host+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	if host != "" {
		r.Host = host
	}
	resp, err := http.DefaultClient.Do(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		return nil, fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	return resp, err
}

// pour reads one streamed answer to its end and gives megabytes a second.
func (s *server) pour(ctx context.Context, method, path, host, body string, size int64) (float64, error) {
	begin := time.Now()
	resp, err := s.open(ctx, method, path, host, body)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 256<<10))
	if err == nil && n < size {
		err = fmt.Errorf("%s: %d bytes of %d came", path, n, size)
	}
	return float64(n) / 1e6 / time.Since(begin).Seconds(), err
}

// resetPeak forgets the highest memory use of the server and gives the one of now.
func (s *server) resetPeak() (int64, error) {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0); err != nil {
		return 0, err
	}
	return s.memoryOf("VmRSS")
}

// memoryOf gives a line of the server's status in bytes.
func (s *server) memoryOf(name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s of process %d", name, s.cmd.Process.Pid)
}

// twoHops pours bytes from one loopback connection into another and reads them: the bare
// way of a streamed answer. It gives megabytes a second.
func twoHops(ctx context.Context, size int64) (float64, error) {
	near, far, err := loopback(ctx)
	if err != nil {
		return 0, err
	}
	second, reader, err := loopback(ctx)
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	begin := time.Now()
	go func() {
		defer near.Close()
		piece := make([]byte, 1<<16)
		for left := size; left > 0; left -= int64(len(piece)) {
			if _, err := near.Write(piece[:min(left, int64(len(piece)))]); err != nil {
				return // the reader counts
			}
		}
	}()
	go func() {
		defer second.Close()
		defer far.Close()
		// Not with splice: a server looks at what it passes on.
		_, _ = io.CopyBuffer(struct{ io.Writer }{second}, struct{ io.Reader }{far}, make([]byte, 1<<16)) // the reader counts
	}()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{reader}, make([]byte, 256<<10))
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes of %d came", n, size)
	}
	return float64(n) / 1e6 / time.Since(begin).Seconds(), err
}

// loopback gives the two ends of a connection.
func loopback(ctx context.Context) (near, far net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if near, err = (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	far, err = l.Accept()
	return near, far, err
}
