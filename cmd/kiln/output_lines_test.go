package main

import "testing"

func TestCarriageReturnsOfALogAreEndsOfLines(t *testing.T) {
	for in, want := range map[string]string{
		"one":                     "one",
		"one\rtwo\r\nthree\n":     "one\ntwo\nthree",
		"Error: x\r    at y\r\r":  "Error: x\n    at y",
		"\x1b[2Jred\rSTART\x00":   `\x1b[2Jred` + "\n" + `START\x00`,
		"":                        "",
		"tab\tand ü stay as here": "tab\tand ü stay as here",
	} {
		if got := printableLines(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
