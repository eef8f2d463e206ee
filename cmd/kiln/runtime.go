package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// runtimeEntry is one runtime as the server tells of it, or as this machine's own
// book does.
type runtimeEntry struct {
	Identifier string `json:"identifier"`
	State      string `json:"state"` // ready, fetchable, missing, image
	Source     string `json:"source,omitempty"`
	How        string `json:"how,omitempty"`
	Deprecated string `json:"deprecated,omitempty"`
}

// newestRuntime gives the highest version of a family that is ready, or says how
// to get one.
func newestRuntime(list []runtimeEntry, family string) (string, error) {
	var best, fetchable runtimeEntry
	for _, e := range list {
		if familyOf(e.Identifier) != family {
			continue
		}
		if e.State == "ready" && newer(e.Identifier, best.Identifier) {
			best = e
		}
		if e.State == "fetchable" && newer(e.Identifier, fetchable.Identifier) {
			fetchable = e
		}
	}
	switch {
	case best.Identifier != "":
		return best.Identifier, nil
	case fetchable.Identifier != "":
		return "", platformf("kiln runtime add "+fetchable.Identifier+" fetches one", "no %s is ready on the server", family)
	}
	return "", platformf("install one on the server's machine; kiln runtime ls shows what it finds", "no %s is ready on the server", family)
}

// newer compares the numbers in two identifiers of one family.
func newer(a, b string) bool {
	if b == "" {
		return true
	}
	x, y := numbers(a), numbers(b)
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] > y[i]
		}
	}
	return len(x) > len(y)
}

func numbers(s string) []int {
	var out []int
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.Atoi(part)
		if err == nil {
			out = append(out, n)
		}
	}
	return out
}

// eventBeside gives the path of the event.json that belongs to the code at path,
// or "".
func eventBeside(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if !info.IsDir() {
		path = filepath.Dir(path)
	}
	event := filepath.Join(path, "event.json")
	if _, err := os.Stat(event); err != nil {
		return ""
	}
	return event
}

// runtimeTable gives the rows of kiln runtime ls.
func runtimeTable(list []runtimeEntry, now time.Time) [][]string {
	rows := [][]string{{"RUNTIME", "STATE", "SERVED BY", "NOTE"}}
	for _, e := range list {
		note, state := e.How, e.State
		switch state {
		case "fetchable":
			note = "kiln runtime add " + e.Identifier
		case "image":
			note, state = "kiln runtime add "+e.Identifier+" --image REF", "image only"
		}
		note, _, _ = strings.Cut(note, ",") // the rest says how: too long for a table, and -o json has it
		if day, err := time.Parse(time.DateOnly, e.Deprecated); err == nil && !now.Before(day) {
			note = strings.TrimPrefix(note+"; deprecated by AWS since "+e.Deprecated, "; ")
		}
		rows = append(rows, []string{e.Identifier, state, printable(e.Source), printable(note)})
	}
	return rows
}
