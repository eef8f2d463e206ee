package api_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// compareTable holds docs/COMPATIBILITY.md against what a test has just seen: an
// operation is in it as served only because the request that the Go SDK sends was
// answered as AWS answers it. KILN_UPDATE=1 writes the table anew.
func compareTable(t *testing.T, served map[string]bool) {
	t.Helper()
	list, err := os.ReadFile("../../model/operations.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	rows := strings.Split(strings.TrimSpace(string(list)), "\n")
	b.WriteString("# Compatibility\n\nMade by the tests of `door/api`, which send the request of each operation as aws-sdk-go-v2 does, with every member set that kiln obeys.\n" +
		"An operation that is not served answers 501 `NotImplementedException` and says so.\n\n")
	fmt.Fprintf(&b, "%d of %d operations are served.\n\n| Operation | Route | |\n|---|---|---|\n", len(served), len(rows))
	for _, row := range rows {
		cells := strings.Split(row, "\t")
		state := "not yet"
		if served[cells[0]] {
			state = "served"
		}
		fmt.Fprintf(&b, "| %s | `%s %s` | %s |\n", cells[0], cells[1], cells[2], state)
	}
	const file = "../../docs/COMPATIBILITY.md"
	if os.Getenv("KILN_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != b.String() {
		t.Errorf("docs/COMPATIBILITY.md is not what the tests show; KILN_UPDATE=1 go test ./door/api writes it (%v)", err)
	}
}
