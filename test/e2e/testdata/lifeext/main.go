// Command lifeext is an extension that says what it hears and, once in the life of its
// environment, does what PLOT says.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

var (
	api  = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2020-01-01/extension/"
	name = filepath.Base(os.Args[0])
)

func main() {
	if plot("die before register") {
		os.Exit(3)
	}
	answer := call("POST", "register", `{"events":["INVOKE","SHUTDOWN"]}`, map[string]string{"Lambda-Extension-Name": name})
	me := answer.Header.Get("Lambda-Extension-Identifier")
	if plot("init/error") {
		fail("init/error", me)
	}
	for {
		var event struct{ EventType, ShutdownReason string }
		text, err := io.ReadAll(call("GET", "event/next", "", map[string]string{"Lambda-Extension-Identifier": me}).Body)
		check(err)
		check(json.Unmarshal(text, &event))
		fmt.Println(name, "hears", strings.TrimSpace(event.EventType+" "+event.ShutdownReason))
		switch {
		case event.EventType == "SHUTDOWN":
			return
		case plot("die in invoke"):
			os.Exit(4)
		case plot("exit/error"):
			fail("exit/error", me)
		case plot("never next"):
			select {}
		}
	}
}

// plot reports whether PLOT says so and it was not done yet.
func plot(act string) bool {
	if os.Getenv("PLOT") != act {
		return false
	}
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "done"), os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return false
	}
	check(f.Close())
	return true
}

func fail(path, me string) {
	call("POST", path, "{}", map[string]string{"Lambda-Extension-Identifier": me, "Lambda-Extension-Function-Error-Type": "Plot.Twist"})
	os.Exit(1)
}

func call(method, path, body string, headers map[string]string) *http.Response {
	r, err := http.NewRequest(method, api+path, strings.NewReader(body))
	check(err)
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	answer, err := http.DefaultClient.Do(r)
	check(err)
	if answer.StatusCode >= 300 {
		check(fmt.Errorf("%s %s: %s", method, path, answer.Status))
	}
	return answer
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}
