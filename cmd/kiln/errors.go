package main

import (
	"fmt"
	"strings"
)

// Exit codes, as docs and `kiln help` name them.
const (
	exitOK          = 0
	exitFunction    = 1 // the function failed, or what was checked is not so
	exitUsage       = 2 // the command line or a setting is wrong
	exitPlatform    = 3 // kiln or the server could not do it
	exitInterrupted = 130
)

// failure is an error of a command: what went wrong and why, what to do about it,
// and the exit code.
type failure struct {
	code   int
	what   string
	todo   string // "" when the text says it already
	err    error
	silent bool // everything was said
}

// Error gives one line: what and why, then what to do.
func (f *failure) Error() string {
	s := f.what
	if f.err != nil {
		if s != "" {
			s += ": "
		}
		s += f.err.Error()
	}
	if f.todo != "" {
		s = strings.TrimSuffix(s, ".") + " — " + f.todo
	}
	return s
}

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// usagef is an error in how the command was called.
func usagef(format string, args ...any) *failure {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// platformf is something that kiln or its server could not do; todo says what
// helps.
func platformf(todo, format string, args ...any) *failure {
	return &failure{code: exitPlatform, err: fmt.Errorf(format, args...), todo: todo}
}

// nearest gives the word of known that is most like word, or "" when none is.
func nearest(word string, known []string) string {
	best, min := "", len(word)/2+1
	for _, k := range known {
		if d := distance(word, k); d < min {
			best, min = k, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
