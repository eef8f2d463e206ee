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
	b.WriteString(runtimesNotes)
	if err := os.WriteFile(runtimesTable, []byte(strings.TrimRight(b.String(), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// runtimesNotes are what no table says.
const runtimesNotes = `## What serves a runtime

An interpreter of exactly the version that the identifier names, never another: one of the machine (on the search path, or where its package
manager or a version manager puts it), one that ` + "`kiln runtime add`" + ` fetched, or an image's (` + "`kiln runtime add ruby3.4 --image REF`" + `, see
[images](IMAGES.md)). What was fetched comes before what the machine has. Before its first use an interpreter is tried in a box.

| State in ` + "`kiln runtime ls`" + ` | Means |
|---|---|
| ` + "`ready`" + ` | functions run |
| ` + "`fetchable`" + ` | ` + "`kiln runtime add NAME`" + ` brings it: through npm, or as a root of Debian packages |
| ` + "`missing`" + ` | it could be fetched, but not from here: ` + "`-o json`" + ` says what is missing |
| ` + "`image only`" + ` | an image brings it, or whoever installs it on the machine |

Dates of deprecation are AWS's. Kiln blocks nothing: the server's log says once that a runtime is deprecated, ` + "`kiln deploy`" + ` says it each time.

## .NET

- Handlers are ` + "`ASSEMBLY::TYPE::METHOD`" + `, public or not, static or not, or with a whole signature in METHOD's place; with an event, an
  ` + "`ILambdaContext`" + `, both or none; ` + "`Stream`" + ` as it is, all else by the serializer that ` + "`LambdaSerializerAttribute`" + ` names on the method or assembly;
  results may be a ` + "`Task`" + `. A handler without ` + "`::`" + ` is a program: ` + "`HANDLER.dll`" + `, or a native one.
- The package's ` + "`.deps.json`" + ` and ` + "`.runtimeconfig.json`" + ` count, as on AWS; one that is missing ends the start with exit status 105 or 106, a program
  that is missing with 104. ` + "`LAMBDA_DOTNET_MAIN_ASSEMBLY`" + ` is obeyed, ` + "`AWS_LAMBDA_DOTNET_PREJIT`" + ` changes nothing.
- AWS's packages are known by the names of their types. They can be had from NuGet only, which kiln's tests cannot reach: the tests run against
  assemblies of the same names and shapes, of our own.
- Lines of the console are as they are before .NET 6; later they have time, request and level, or are JSON.
- The collector's heap is nine tenths of the function's memory, from .NET Core 3.0 on.
- ` + "`dotnetcore2.1`" + ` needs OpenSSL 1.0. ` + "`kiln runtime add`" + ` takes it from a package of PyPI, by its digest, since Debian has none any more.
- One ` + "`dotnet`" + ` of the machine serves every version that lies beside it, below ` + "`shared/Microsoft.NETCore.App`" + `.

## Go

` + "`provided`" + ` and its like start ` + "`bootstrap`" + `; ` + "`go1.x`" + ` starts the program that the handler names. A program that knows the Runtime API (AWS's library since
1.18.0, of July 2020) is started as it is; an older one is served by net/rpc, as AWS did, by a process of kiln's in its environment (20 MB).
` + "`go1.x`" + ` of a program that is missing or none answers ` + "`PathError`" + `.
`

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
