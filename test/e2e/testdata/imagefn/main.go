// Imagefn is the program of the container images that the tests build: it is what its
// name says. As /lambda-entrypoint.sh it does what AWS's script of that name does; as
// anything else it is a client of the Runtime API that answers with what it sees.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
)

func main() {
	if os.Args[0] == "/lambda-entrypoint.sh" {
		entrypoint()
		return
	}
	if strings.HasPrefix(os.Args[0], "/opt/extensions/") {
		extension()
		return
	}
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		event, _ := io.ReadAll(next.Body)
		next.Body.Close()
		answer, err := http.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader(look(event)))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		answer.Body.Close()
	}
}

// entrypoint hands over to the bootstrap with the handler that it was given.
func entrypoint() {
	if len(os.Args) != 2 {
		fmt.Println("entrypoint requires the handler name to be the first argument")
		os.Exit(142)
	}
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		fmt.Println("this would be the emulator")
		os.Exit(1)
	}
	os.Setenv("_HANDLER", os.Args[1])
	err := syscall.Exec("/var/runtime/bootstrap", []string{"/var/runtime/bootstrap"}, os.Environ())
	fmt.Println(err)
	os.Exit(1)
}

// extension registers for every event and leaves a mark that it did.
func extension() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2020-01-01/extension/"
	r, _ := http.NewRequest(http.MethodPost, api+"register", strings.NewReader(`{"events":["INVOKE","SHUTDOWN"]}`))
	r.Header.Set("Lambda-Extension-Name", strings.TrimPrefix(os.Args[0], "/opt/extensions/"))
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		fmt.Println(answer, err)
		os.Exit(1)
	}
	answer.Body.Close()
	os.WriteFile("/tmp/extension", []byte(os.Args[0]), 0o600)
	for {
		next, _ := http.NewRequest(http.MethodGet, api+"event/next", nil)
		next.Header.Set("Lambda-Extension-Identifier", answer.Header.Get("Lambda-Extension-Identifier"))
		event, err := http.DefaultClient.Do(next)
		if err != nil {
			os.Exit(1)
		}
		text, _ := io.ReadAll(event.Body)
		event.Body.Close()
		if strings.Contains(string(text), `"SHUTDOWN"`) {
			return
		}
	}
}

// look tells everything about the environment, and what became of some attempts.
func look(event []byte) []byte {
	dir, _ := os.Getwd()
	env := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	marker, _ := os.ReadFile("/marker")
	passwd, _ := os.ReadFile("/etc/passwd")
	hosts, _ := os.ReadFile("/etc/hosts")
	extended, _ := os.ReadFile("/tmp/extension")
	out, _ := json.Marshal(map[string]any{
		"event": json.RawMessage(event), "args": os.Args, "dir": dir, "env": env, "uid": os.Getuid(), "marker": string(marker),
		"passwd": string(passwd), "hosts": string(hosts), "extended": string(extended),
		"root": try("/written"), "own": try(dir + "/written"), "tmp": try("/tmp/written"),
	})
	return out
}

// try gives why a file cannot be written, "" when it can.
func try(name string) string {
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return err.(*os.PathError).Err.Error()
	}
	return ""
}
