// Command report reads the JSON stream of `go test -json` on standard input, prints
// what failed, and holds skipped tests against a list: a test that skips without
// being listed fails the run, and so does a listed one that ran.
//
//	go test -json ./... | go run ./test/report -unavailable test/unavailable.txt
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
)

type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

func main() {
	list := flag.String("unavailable", "", "file of tests that may skip: one `package.Test reason` a line")
	slow := flag.Int("slow", 5, "how many of the slowest tests to name")
	flag.Parse()
	allowed, err := read(*list)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}

	output := map[string][]string{}
	ran, skipped, failed := map[string]bool{}, map[string]bool{}, map[string]bool{}
	times := map[string]float64{}
	packages := 0
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text()) // not test output: a message of the go command
			continue
		}
		name := e.Package + "." + e.Test
		switch e.Action {
		case "output":
			output[name] = append(output[name], e.Output)
		case "build-output":
			output[e.ImportPath] = append(output[e.ImportPath], e.Output)
		case "build-fail":
			failed[e.ImportPath] = true
			fmt.Printf("BUILD FAILED %s\n%s", e.ImportPath, strings.Join(output[e.ImportPath], ""))
		case "pass":
			if e.Test == "" {
				packages++
				fmt.Printf("ok   %-40s %6.1f s\n", e.Package, e.Elapsed)
			} else {
				ran[name], times[name] = true, e.Elapsed
			}
			delete(output, name)
		case "skip":
			if e.Test != "" {
				skipped[name] = true
				fmt.Printf("SKIP %s\n%s", name, strings.Join(output[name], ""))
			}
		case "fail":
			failed[name] = true
			fmt.Printf("FAIL %s\n%s", name, strings.Join(output[name], ""))
		}
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "read the test stream:", err)
		os.Exit(2)
	}

	bad := len(failed)
	for name := range skipped {
		if _, ok := allowed[name]; !ok {
			fmt.Printf("FAIL %s skipped and is not listed in %s\n", name, *list)
			bad++
		}
	}
	for name := range allowed {
		if ran[name] {
			fmt.Printf("FAIL %s is listed as unavailable (%s) and could run: take it off the list\n", name, allowed[name])
			bad++
		}
	}
	names := make([]string, 0, len(times))
	for n := range times {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool { return times[names[i]] > times[names[j]] })
	for i, n := range names {
		if i == *slow || times[n] < 1 {
			break
		}
		fmt.Printf("slow %6.1f s %s\n", times[n], n)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", len(ran), bad, len(skipped))
	if bad > 0 || packages == 0 {
		os.Exit(1)
	}
}

// read gives the listed tests with their reasons.
func read(file string) (map[string]string, error) {
	out := map[string]string{}
	if file == "" {
		return out, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, " ")
		if !ok || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s:%d: a test needs a reason", file, n+1)
		}
		out[name] = strings.TrimSpace(reason)
	}
	return out, nil
}
