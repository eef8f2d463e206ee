package e2e_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const runtimesTable = "../../docs/RUNTIMES.md"

// writeRuntimes writes docs/RUNTIMES.md: which identifiers ran the matrix, and on what.
func writeRuntimes(t testing.TB, rows []*row) {
	t.Helper()
	var ran, image, open []string
	for _, r := range rows {
		deprecated := r.Deprecated
		switch {
		case r.ran != "":
			ran = append(ran, fmt.Sprintf("| `%s` | %s | %s | %s |", r.Identifier, r.ran, r.origin(), deprecated))
		case r.state == "fetchable":
			open = append(open, fmt.Sprintf("| `%s` | %s | %s |", r.Identifier, r.origin(), deprecated))
		default:
			image = append(image, fmt.Sprintf("| `%s` | %s |", r.Identifier, deprecated))
		}
	}
	var b strings.Builder
	b.WriteString("# Runtimes\n\nMade by the matrix test (`KILN_TEST_FULL=1 KILN_TEST_UPDATE=1 go test -run TestEachRuntimeRunsTheMatrix ./test/e2e`, as root), which runs one function of\n" +
		"each language on every runtime identifier that can be had: echo, context and environment compared with what AWS showed, an error of the\nfunction, a syntax error, a missing import, timeout, exit, " +
		"an error that no caller waits for, lines of the log in text and in JSON with levels, `AWS_LAMBDA_EXEC_WRAPPER`.\n\n" +
		"`kiln runtime ls` says the same of your machine, `kiln runtime add` fetches. A deprecated runtime runs like any other; kiln warns once.\n\n")
	section(&b, "Ran the matrix", "| Runtime | Version that ran | From | Deprecated by AWS |\n|---|---|---|---|", ran)
	section(&b, "Can be fetched, and were not to be had on the day of this run", "| Runtime | From | Deprecated by AWS |\n|---|---|---|", open)
	section(&b, "By import of an image, or with an interpreter that the machine has", "| Runtime | Deprecated by AWS |\n|---|---|", image)
	if err := os.WriteFile(runtimesTable, []byte(strings.TrimRight(b.String(), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func section(b *strings.Builder, title, head string, lines []string) {
	if len(lines) > 0 {
		slices.SortFunc(lines, func(x, y string) int { return strings.Compare(x, y) })
		fmt.Fprintf(b, "## %s\n\n%s\n%s\n\n", title, head, strings.Join(lines, "\n"))
	}
}

// origin says where an interpreter comes from, without a path of this machine.
func (r *row) origin() string {
	switch {
	case r.Family == "provided" || r.Family == "go":
		return "the function's own program"
	case r.state == "ready" && !strings.HasSuffix(r.source, "(fetched)"):
		return "the machine"
	case r.Family == "nodejs":
		return "npm"
	case r.NPM != "":
		return "npm, on Debian " + r.Debian.Suite
	case r.Debian != nil:
		return "Debian " + r.Debian.Suite
	}
	return ""
}

func TestTheTableOfRuntimesHasEachIdentifierOnce(t *testing.T) {
	text, err := os.ReadFile(runtimesTable)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readRows(t) {
		if got := strings.Count(string(text), "| `"+r.Identifier+"` |"); got != 1 {
			t.Errorf("%s: %d rows, want 1", r.Identifier, got)
		}
	}
}
