// Command guest is a runtime for the tests of a real box: it does what the event
// says, one word and its argument.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
		time.Sleep(time.Hour) // a child that outlives its parent
	}
	root := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/"
	if os.Getenv("FAIL_INIT") != "" {
		post(root+"init/error", []byte(`{"errorType":"Runtime.Broken","errorMessage":"cannot"}`))
		os.Exit(1)
	}
	for {
		resp, err := http.Get(root + "invocation/next")
		if err != nil {
			os.Exit(70)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		var event string
		if err != nil || json.Unmarshal(body, &event) != nil {
			os.Exit(71)
		}
		verb, argument, _ := strings.Cut(event, " ")
		id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
		answer, _ := json.Marshal(do(verb, argument, id))
		post(root+"invocation/"+id+"/response", answer)
	}
}

func post(url string, body []byte) {
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		os.Exit(72)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func do(verb, argument, id string) string {
	switch verb {
	case "print":
		fmt.Println("line of " + id)
	case "hang":
		signal.Ignore(syscall.SIGTERM)
		select {}
	case "exit":
		code, _ := strconv.Atoi(argument)
		os.Exit(code)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "eat":
		var held [][]byte
		for {
			b := make([]byte, 4<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			held = append(held, b)
		}
	case "keep":
		if err := os.WriteFile("/tmp/kept", []byte(argument), 0o600); err != nil {
			return err.Error()
		}
	case "kept":
		b, err := os.ReadFile("/tmp/kept")
		if err != nil {
			return err.Error()
		}
		return string(b)
	case "spin":
		go func() {
			for {
			}
		}()
	case "orphan":
		c := exec.Command("/proc/self/exe", "child")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Start(); err != nil {
			return err.Error()
		}
		os.Exit(3)
	case "pid":
		return strconv.Itoa(os.Getpid())
	}
	return "done"
}
