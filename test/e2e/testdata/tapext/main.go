// Command tapext is an extension that subscribes to telemetry and lets the function
// read what it got: it keeps every event in /tmp/events, one a line. It lets an
// invocation end when it knows that the runtime is done. The variable RECEIVER makes it
// a bad one: "slow" never answers, and "gone" stops to listen after its first batch;
// what it is told when it subscribes during an invocation is then in /tmp/late.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
)

type event struct {
	Type   string
	Record json.RawMessage
}

const subscription = `{"schemaVersion":"2025-01-29","types":["platform","function","extension"],"buffering":{"maxItems":1000,"maxBytes":262144,"timeoutMs":100},
	"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:4243/in"}}`

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API")
	name := filepath.Base(os.Args[0])
	bad := os.Getenv("RECEIVER")
	send := func(method, path, body string, head map[string]string) (*http.Response, []byte) {
		r, err := http.NewRequest(method, api+path, bytes.NewReader([]byte(body)))
		check(err)
		for k, v := range head {
			r.Header.Set(k, v)
		}
		answer, err := http.DefaultClient.Do(r)
		check(err)
		text, err := io.ReadAll(answer.Body)
		check(err)
		check(answer.Body.Close())
		return answer, text
	}
	call := func(method, path, body string, head map[string]string) (*http.Response, []byte) {
		answer, text := send(method, path, body, head)
		if answer.StatusCode != 200 {
			check(fmt.Errorf("%s %s: %s %s", method, path, answer.Status, text))
		}
		return answer, text
	}
	answer, _ := call("POST", "/2020-01-01/extension/register", `{"events":["INVOKE","SHUTDOWN"]}`, map[string]string{"Lambda-Extension-Name": name})
	id := map[string]string{"Lambda-Extension-Identifier": answer.Header.Get("Lambda-Extension-Identifier")}

	var mu sync.Mutex
	done := make(chan string, 100)
	kept, err := os.OpenFile("/tmp/events", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	check(err)
	listener, err := net.Listen("tcp", "sandbox.localdomain:4243")
	check(err)
	go func() {
		err := http.Serve(listener, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if bad == "slow" {
				select {}
			}
			if bad == "gone" {
				check(listener.Close())
				select {}
			}
			var batch []json.RawMessage
			check(json.NewDecoder(r.Body).Decode(&batch))
			mu.Lock()
			defer mu.Unlock()
			for _, text := range batch {
				_, err := kept.Write(append(text, '\n'))
				check(err)
				var e event
				check(json.Unmarshal(text, &e))
				if e.Type == "platform.runtimeDone" {
					var r struct{ RequestID string }
					check(json.Unmarshal(e.Record, &r))
					done <- r.RequestID
				}
			}
		}))
		if bad != "gone" {
			check(err)
		}
	}()
	_, text := call("PUT", "/2022-07-01/telemetry", subscription, id)
	fmt.Println("subscribed", string(text))
	for {
		_, text := call("GET", "/2020-01-01/extension/event/next", "", id)
		var next struct{ EventType, RequestID string }
		check(json.Unmarshal(text, &next))
		if next.EventType == "SHUTDOWN" {
			return
		}
		if bad != "" {
			answer, text := send("PUT", "/2022-07-01/telemetry", subscription, id)
			check(os.WriteFile("/tmp/later", fmt.Appendf(nil, "%d %s", answer.StatusCode, text), 0o644))
			check(os.Rename("/tmp/later", "/tmp/late"))
			continue
		}
		for <-done != next.RequestID {
		}
	}
}

// check ends the extension when something goes wrong.
func check(err error) {
	if err != nil {
		fmt.Println("tapext:", err)
		os.Exit(1)
	}
}
