package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

func TestKillingTheServerLeavesNoProcessAndLosesNoFunction(t *testing.T) {
	data := t.TempDir()
	needRoot(t)
	s := startIn(t, data)
	c := naughtyFunction(t, s, "survivor", timeout(60))
	naughtyFunction(t, s, "frozen")
	answer(t, c, "frozen", `{"do":"spin"}`)
	busy := make(chan error, 1)
	go func() {
		_, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("survivor"), Payload: []byte(`{"do":"timeout"}`)}, func(o *lambda.Options) { o.RetryMaxAttempts = 1 })
		busy <- err
	}()
	var inside []string
	eventually(t, 20*time.Second, "two runtimes run in sandboxes", func() bool { inside = runtimes(data, s); return len(inside) >= 2 })
	s.kill(t)
	eventually(t, 10*time.Second, "every process of the sandboxes is gone", func() bool {
		for _, p := range inside {
			if _, err := os.Stat(p); err == nil {
				return false
			}
		}
		return true
	})
	if err := <-busy; err == nil {
		t.Error("the call in flight was answered by a dead server")
	}
	s = startIn(t, data)
	if got := answer(t, s.client(), "survivor", `{}`); got != `"fine"` {
		t.Errorf("after the restart: %s", got)
	}
}

// runtimes lists the processes that are descendants of the server.
func runtimes(data string, s *server) []string {
	parents := map[string]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		rest := string(text[strings.LastIndexByte(string(text), ')')+1:])
		if fields := strings.Fields(rest); len(fields) > 1 {
			parents[filepath.Base(filepath.Dir(f))] = fields[1]
		}
	}
	var out []string
	for pid := range parents {
		for p := parents[pid]; p != "" && p != "0"; p = parents[p] {
			if p == fmt.Sprint(s.cmd.Process.Pid) {
				if comm, _ := os.ReadFile("/proc/" + pid + "/comm"); strings.Contains(string(comm), "python") {
					out = append(out, "/proc/"+pid)
				}
				break
			}
		}
	}
	return out
}

func TestWhatWasAcknowledgedIsThereAfterAKill(t *testing.T) {
	data := t.TempDir()
	needRoot(t)
	code := zipOf(t, file{Name: "bootstrap", Text: "#!/bin/sh\n", Mode: 0o755})
	acknowledged := map[string]bool{}
	for round := range 5 {
		s := startIn(t, data)
		c := s.client()
		var made atomic.Int64
		names := make(chan string, 1000)
		stop := make(chan struct{})
		go func() {
			defer close(names)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				in := input(fmt.Sprintf("f-%d-%d", round, n), code)
				if _, err := c.CreateFunction(t.Context(), in, func(o *lambda.Options) { o.RetryMaxAttempts = 1 }); err != nil {
					return
				}
				names <- *in.FunctionName
				made.Add(1)
			}
		}()
		eventually(t, 30*time.Second, "functions were created", func() bool { return made.Load() >= int64(5+3*round) })
		s.kill(t)
		close(stop)
		for n := range names {
			acknowledged[n] = true
		}
	}
	s := startIn(t, data)
	for name := range acknowledged {
		if _, err := s.client().GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String(name)}); err != nil {
			t.Errorf("%s was acknowledged and is lost: %v", name, err)
		}
	}
	if len(acknowledged) < 25 {
		t.Errorf("only %d functions were acknowledged: the test proves nothing", len(acknowledged))
	}
}

func TestASecondServerOnOneDataDirectoryRefuses(t *testing.T) {
	s := start(t)
	begin := time.Now()
	out, err := exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--console", "off", "--data-dir", s.Data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), s.Data) {
		t.Errorf("the second server: %v\n%s", err, out)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAFullDiskGivesAClearErrorAndRecovers(t *testing.T) {
	needRoot(t)
	data := t.TempDir()
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(data, 0); err != nil {
			t.Error(err)
		}
	})
	s := startIn(t, data)
	c := s.client()
	small := zipOf(t, file{Name: "bootstrap", Text: "#!/bin/sh\n", Mode: 0o755})
	if _, err := c.CreateFunction(t.Context(), input("before", small)); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(data, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<16)
	for err == nil {
		_, err = f.Write(block)
	}
	f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	once := func(o *lambda.Options) { o.RetryMaxAttempts = 1 }
	_, err = c.CreateFunction(t.Context(), input("during", zipOf(t, file{Name: "bootstrap", Text: strings.Repeat("x", 1<<20), Mode: 0o755})), once)
	var status *awshttp.ResponseError
	if !errors.As(err, &status) || status.HTTPStatusCode() < 500 || !strings.Contains(err.Error(), "no space is left") {
		t.Errorf("on a full disk: %v", err)
	}
	if _, err := c.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("before")}); err != nil {
		t.Errorf("reads while the disk is full: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateFunction(t.Context(), input("after", small)); err != nil {
		t.Errorf("after there is space again: %v", err)
	}
	for _, name := range []string{"before", "after"} {
		if err := lambda.NewFunctionActiveV2Waiter(c).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String(name)}, 30*time.Second); err != nil {
			t.Errorf("%s, after there is space again: %v", name, err)
		}
	}
	if _, err := c.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("during")}); err == nil {
		t.Error("the function that could not be stored exists")
	}
}
