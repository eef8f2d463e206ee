package runtimes_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"kiln/box/runtimes"
)

// recording is what testdata/recorded holds.
type recording struct {
	Introspection map[string]struct {
		Context     map[string]any    `json:"ctx"`
		Environment map[string]string `json:"environment"`
	} `json:"introspection"`
	Uncaught map[string]map[string]any `json:"uncaught"`
}

func recordings(t *testing.T) recording {
	t.Helper()
	text, err := os.ReadFile("testdata/recorded/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Introspection) == 0 || len(r.Uncaught) == 0 {
		t.Fatal("the recording is empty")
	}
	return r
}

// compareMembers checks that an object has exactly the recorded members, with the
// recorded values but for those that differ from run to run.
func compareMembers(t *testing.T, body string, want map[string]any, free ...string) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is not in the recording", name)
		}
	}
	for name, value := range want {
		mine, ok := got[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		if slices.Contains(free, name) {
			continue
		}
		if a, b := asText(mine), asText(value); a != b {
			t.Errorf("%s: got %s, want %s", name, a, b)
		}
	}
}

func asText(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// TestTheEnvironmentOfEachDescriptorIsTheRecordedOne compares every variable that a
// descriptor sets, and names those that AWS sets and kiln does not.
func TestTheEnvironmentOfEachDescriptorIsTheRecordedOne(t *testing.T) {
	// Paths of AWS's own files, which kiln does not carry.
	absent := map[string]string{
		"NODE_EXTRA_CA_CERTS": "AWS's certificate bundle of Node.js 16 and 18",
		"SSL_CERT_FILE":       "AWS's certificate bundle of .NET",
	}
	// Set by the interpreter itself, or by the environment for every runtime.
	elsewhere := []string{"LC_CTYPE", "TEST_KEY", "_HANDLER", "AWS_", "_AWS_", "_X_AMZN_", "_LAMBDA_"}
	for identifier, want := range recordings(t).Introspection {
		got, ok := runtimes.Environment(identifier)
		if !ok {
			t.Errorf("%s: there is no descriptor", identifier)
			continue
		}
		for name, value := range want.Environment {
			if _, ok := absent[name]; ok || slices.ContainsFunc(elsewhere, func(p string) bool { return strings.HasPrefix(name, p) }) {
				continue
			}
			mine := got[name]
			if name == "RUBYLIB" {
				_, value, _ = strings.Cut(value, ":") // AWS's own client comes first
			}
			if mine != value {
				t.Errorf("%s: %s: got %q, want %q", identifier, name, mine, value)
			}
		}
		for name := range got {
			if _, ok := want.Environment[name]; !ok {
				t.Errorf("%s: %s is not in the recording", identifier, name)
			}
		}
	}
}
