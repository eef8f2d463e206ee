package api

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestTheBoundsInsideAreThoseOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/INSIDE.md")
	if err != nil {
		t.Fatal(err)
	}
	b := within
	for _, want := range []string{
		fmt.Sprintf("| %d of its own and up to %d more; ", b.ownConns, b.mostConns-b.ownConns),
		fmt.Sprintf("| %d,%03d beyond the own ones |", b.sharedConns/1000, b.sharedConns%1000),
		fmt.Sprintf("| %d MB of its own, %d MB at most; ", b.ownBytes>>20, b.mostBytes>>20),
		fmt.Sprintf("| %d MB beyond the own ones |", b.sharedBytes>>20),
		fmt.Sprintf("answers above %d KB", largeAnswer>>10),
		fmt.Sprintf("| head of a request | %d KB (431), within %d s |", b.headBytes>>10, b.head/time.Second),
		fmt.Sprintf("| whole request | within %d minutes |", b.whole/time.Minute),
		fmt.Sprintf("| pause between requests of a connection | %d minute |", b.idle/time.Minute),
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("docs/INSIDE.md does not say %q", want)
		}
	}
}
