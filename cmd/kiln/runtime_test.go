package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheFamilyOfEachIdentifier(t *testing.T) {
	for identifier, want := range map[string]string{
		"python3.12": "python", "nodejs22.x": "nodejs", "ruby4.0": "ruby", "java21": "java", "java8.al2": "java", "java17.al2023": "java",
		"dotnetcore3.1": "dotnet", "dotnet10": "dotnet", "provided": "provided", "provided.al2023": "provided", "go1.x": "go", "python-sdk-3.8": "python-sdk-",
	} {
		if got := familyOf(identifier); got != want {
			t.Errorf("%s: got %q, want %q", identifier, got, want)
		}
	}
	list := []runtimeEntry{{Identifier: "java21", State: "fetchable"}, {Identifier: "java17", State: "ready"}, {Identifier: "java8.al2", State: "ready"}, {Identifier: "dotnetcore3.1", State: "ready"}}
	for family, want := range map[string]string{"java": "java17", "dotnet": "dotnetcore3.1"} {
		if got, err := newestRuntime(list, family); got != want || err != nil {
			t.Errorf("%s: got %q, %v", family, got, err)
		}
	}
}

func TestTheTableOfRuntimesSaysWhatToDoAndSinceWhen(t *testing.T) {
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	rows := runtimeTable([]runtimeEntry{
		{Identifier: "python3.8", State: "ready", Source: "/usr/bin/python3.8", Deprecated: "2024-10-14"},
		{Identifier: "python3.13", State: "ready", Source: "/usr/bin/python3.13", Deprecated: "2029-06-30"},
		{Identifier: "nodejs24.x", State: "fetchable", How: "no Node.js 24 was found"},
		{Identifier: "ruby4.0", State: "image", How: "no Ruby 4.0 was found on this machine, so …"},
		{Identifier: "java21", State: "missing", How: "no Java 21 was found on this machine, so …", Deprecated: "2026-11-24"},
	}, now)
	want := [][]string{
		{"RUNTIME", "STATE", "SERVED BY", "NOTE"},
		{"python3.8", "ready", "/usr/bin/python3.8", "deprecated by AWS since 2024-10-14"},
		{"python3.13", "ready", "/usr/bin/python3.13", ""},
		{"nodejs24.x", "fetchable", "", "kiln runtime add nodejs24.x"},
		{"ruby4.0", "image only", "", "kiln runtime add ruby4.0 --image REF"},
		{"java21", "missing", "", "no Java 21 was found on this machine; deprecated by AWS since 2026-11-24"},
	}
	for i := range want {
		if !slices.Equal(rows[i], want[i]) {
			t.Errorf("got %q, want %q", rows[i], want[i])
		}
	}
}

func TestDeployTellsOfADeprecatedRuntime(t *testing.T) {
	f := serverWithRuntimes(t, map[string]http.HandlerFunc{})
	f.answers[createPath] = f.becomes(201, active(map[string]any{"Runtime": "python3.8"}))
	var asked string
	f.answers["GET /_kiln/v1/runtimes"] = func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query().Get("newest")
		says(200, "", `[{"identifier":"python3.8","state":"ready","deprecated":"2024-10-14"}]`)(w, r)
	}
	got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", "deploy", pythonFolder(t, ""), "--runtime", "python3.8")
	if got.code != 0 || asked != "python3.8" || !strings.Contains(got.talk, "Note: AWS has deprecated python3.8 (2024-10-14). It still runs here.\n") {
		t.Errorf("asked for %q, got %+v", asked, got)
	}
}
