// Command probe runs inside a box under test: its first argument names what it
// does there, and what it prints is what the test looks at.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "probe: what?")
		os.Exit(2)
	}
	for _, table := range []map[string]func(args []string){programs, attacks} {
		if f := table[os.Args[1]]; f != nil {
			f(os.Args[2:])
			return
		}
	}
	fmt.Fprintf(os.Stderr, "probe: no such program %q\n", os.Args[1])
	os.Exit(2)
}

// check ends the probe loudly when something went wrong that is not under test.
func check(err error) {
	if err != nil {
		fmt.Println("probe failed:", err)
		os.Exit(3)
	}
}
