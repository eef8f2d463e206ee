package main

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const toolsARN = "arn:aws:lambda:us-east-1:000000000000:layer:tools"

// layerFolder is a folder with one Python module in it.
func layerFolder(t *testing.T, at string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, at, "tools.py"), []byte("x = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func published(version int) map[string]any {
	return map[string]any{
		"LayerVersionArn": toolsARN + ":" + string(rune('0'+version)), "LayerArn": toolsARN, "Version": version, "CreatedDate": "2026-01-02T03:04:05.000+0000", "Description": "mine\x1b[2J",
		"CompatibleRuntimes": []string{"python3.12"}, "Content": map[string]any{"CodeSize": 2048, "CodeSha256": "abc", "Location": "http://x/y"},
	}
}

func TestLayerPublishSendsTheFolderAndPrintsTheARN(t *testing.T) {
	const line = "POST /2018-10-31/layers/tools/versions"
	f := fakeServer(t, map[string]http.HandlerFunc{line: says(201, "", published(3))})
	env := []string{"KILN_ENDPOINT=" + f.URL}
	got := runKiln(t, env, "", "layer", "publish", "tools", layerFolder(t, "python"), "--runtime", "python3.12", "--runtime", "python3.13", "--architecture", "arm64", "--license", "MIT", "--description", "mine")
	if got.code != 0 || got.out != toolsARN+":3\n" || got.talk != "tools: version 3 (2.0 KB)\n" {
		t.Fatalf("got %+v", got)
	}
	body := f.body(t, line)
	if s := asJSON(t, body["CompatibleRuntimes"]) + asJSON(t, body["CompatibleArchitectures"]) + asJSON(t, body["LicenseInfo"]) + asJSON(t, body["Description"]); s != `["python3.12","python3.13"]["arm64"]"MIT""mine"` {
		t.Errorf("sent %s", s)
	}
	text, err := base64.StdEncoding.DecodeString(body["Content"].(map[string]any)["ZipFile"].(string))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil || len(z.File) != 1 || z.File[0].Name != "python/tools.py" {
		t.Errorf("the package holds %v, %v", z, err)
	}
	// a folder of which nothing is where a language looks for it
	got = runKiln(t, env, "", "layer", "publish", "tools", layerFolder(t, "tools"))
	if got.code != 0 || !strings.Contains(got.talk, "Note: ") || !strings.Contains(got.talk, "none of python, nodejs") {
		t.Errorf("got %+v", got)
	}
	got = runKiln(t, env, "", "layer", "publish", "tools", "--s3-bucket", "b", "--s3-key", "k.zip", "--s3-object-version", "7")
	if s := asJSON(t, f.body(t, line)["Content"]); got.code != 0 || s != `{"S3Bucket":"b","S3Key":"k.zip","S3ObjectVersion":"7"}` {
		t.Errorf("got %+v, sent %s", got, s)
	}
}

func TestLayerCommandsSayWhatTheyNeed(t *testing.T) {
	f := fakeServer(t, map[string]http.HandlerFunc{
		"GET /2018-10-31/layers/none/versions": says(200, "", `{"LayerVersions":[]}`),
		"GET /2018-10-31/layers":               says(404, "ResourceNotFoundException", map[string]any{"Message": "The resource you requested does not exist."}),
	})
	empty := filepath.Join(t.TempDir(), "empty.zip")
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"layer"}, 0, "publish"},
		{[]string{"layer", "publish", "tools"}, exitUsage, "kiln layer publish needs a folder or a zip"},
		{[]string{"layer", "publish", "tools", empty}, exitUsage, "does not exist: name a folder or a zip"},
		{[]string{"layer", "rm", "tools"}, exitUsage, "tools does not say which version: NAME:VERSION is expected"},
		{[]string{"layer", "rm"}, exitUsage, "kiln layer rm needs a layer version"},
		{[]string{"layer", "ls", "none"}, exitPlatform, "layer none has no versions in account 000000000000, region us-east-1"},
		{[]string{"layer", "describe", "none"}, exitPlatform, "there is no layer none in account"},
		{[]string{"layer", "describe", "none:7"}, exitPlatform, "there is no layer version none:7"},
	} {
		got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", c.args...)
		if got.code != c.code || !strings.Contains(got.talk+got.out, c.text) {
			t.Errorf("%q: got %+v, want %d %q", c.args, got, c.code, c.text)
		}
	}
}

func TestLayersAreListedDescribedAndRemoved(t *testing.T) {
	f := fakeServer(t, map[string]http.HandlerFunc{
		"GET /2018-10-31/layers": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("find") == "LayerVersion" {
				says(200, "", published(2))(w, r)
				return
			}
			says(200, "", map[string]any{"Layers": []any{map[string]any{"LayerName": "tools", "LayerArn": toolsARN, "LatestMatchingVersion": published(3)}}})(w, r)
		},
		"GET /2018-10-31/layers/tools/versions":      says(200, "", map[string]any{"LayerVersions": []any{published(3), published(1)}}),
		"DELETE /2018-10-31/layers/tools/versions/2": says(204, "", ""),
	})
	env := []string{"KILN_ENDPOINT=" + f.URL}
	got := runKiln(t, env, "", "layer", "ls")
	if !strings.Contains(got.out, "tools  3       python3.12") || !strings.Contains(got.out, `mine\x1b[2J`) {
		t.Errorf("got %+v", got)
	}
	got = runKiln(t, env, "", "layer", "ls", "tools")
	if lines := strings.Split(got.out, "\n"); len(lines) != 4 || !strings.HasPrefix(lines[1], "3 ") || !strings.HasPrefix(lines[2], "1 ") {
		t.Errorf("got %+v", got)
	}
	got = runKiln(t, env, "", "layer", "describe", "tools:2")
	if !strings.Contains(got.out, "ARN          "+toolsARN+":2\n") || !strings.Contains(got.out, "2.0 KB, sha256 abc") {
		t.Errorf("got %+v", got)
	}
	got = runKiln(t, env, "", "layer", "rm", "tools:2")
	if got.code != 0 || got.out != "tools:2\n" {
		t.Errorf("got %+v", got)
	}
}

func TestSplitLayerReadsNamesAndARNs(t *testing.T) {
	for _, c := range []struct {
		text, name string
		number     int64
	}{
		{"tools", "tools", 0}, {"tools:2", "tools", 2}, {"tools:0", "tools:0", 0}, {"tools:x", "tools:x", 0}, {"7", "7", 0},
		{toolsARN, toolsARN, 0}, {toolsARN + ":12", toolsARN, 12},
		{"arn:aws:lambda:us-east-1:000000000000:layer:7", "arn:aws:lambda:us-east-1:000000000000:layer:7", 0},
	} {
		if name, number := splitLayer(c.text); name != c.name || number != c.number {
			t.Errorf("%q: got %q, %d", c.text, name, number)
		}
	}
}

func TestDeployGivesAFunctionItsLayersAndItsNetwork(t *testing.T) {
	f := serverWithRuntimes(t, map[string]http.HandlerFunc{"GET /2018-10-31/layers/newest/versions": says(200, "", map[string]any{"LayerVersions": []any{published(3)}})})
	f.answers[createPath] = f.becomes(201, active(nil))
	dir := pythonFolder(t, "layers: [tools:2, newest, \""+toolsARN+":9\"]\nnetwork: none\n")
	env := []string{"KILN_ENDPOINT=" + f.URL}
	if got := runKiln(t, env, "", "deploy", dir); got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	body := f.body(t, createPath)
	if s := asJSON(t, body["Layers"]); s != `["`+toolsARN+`:2","`+toolsARN+`:3","`+toolsARN+`:9"]` {
		t.Errorf("created with %s", s)
	}
	if s := asJSON(t, body["Tags"]); s != `{"kiln:network":"none"}` {
		t.Errorf("created with %s", s)
	}

	has := []any{map[string]any{"Arn": toolsARN + ":2"}}
	f.answers[configurationPath] = says(200, "", active(map[string]any{"Layers": has}))
	f.answers["GET /2015-03-31/functions/hello"] = says(200, "", map[string]any{"Configuration": active(nil), "Tags": map[string]string{"kiln:network": "none"}})
	f.answers[codePath] = f.becomes(200, active(map[string]any{"Layers": has}))
	f.answers[changePath] = f.becomes(200, active(nil))
	if got := runKiln(t, env, "", "deploy", dir, "--layer", "tools:1"); got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	if s := asJSON(t, f.body(t, changePath)["Layers"]); s != `["`+toolsARN+`:1"]` {
		t.Errorf("changed to %s: flags win", s)
	}
	f.answers[configurationPath] = says(200, "", active(map[string]any{"Layers": has}))
	if got := runKiln(t, env, "", "deploy", pythonFolder(t, "layers: []\n")); got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	if s := asJSON(t, f.body(t, changePath)["Layers"]); s != `[]` {
		t.Errorf("an empty list sends %s", s)
	}
	const tagPath = "POST /2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:hello"
	f.answers[tagPath] = says(204, "", "")
	if got := runKiln(t, env, "", "deploy", dir, "--network", "outbound"); got.code != 0 || asJSON(t, f.body(t, tagPath)) != `{"Tags":{"kiln:network":"outbound"}}` {
		t.Errorf("got %+v, tags %s", got, asJSON(t, f.body(t, tagPath)))
	}
	f.answers["GET /2015-03-31/functions/hello"] = says(200, "", map[string]any{"Configuration": active(nil)})
	f.answers[configurationPath] = says(200, "", active(nil))
	if got := runKiln(t, env, "", "deploy", pythonFolder(t, "network: outbound\n")); got.code != 0 {
		t.Errorf("what it has anyway: %+v", got)
	}
}

func TestWrongLayersAndNetworksNameThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"layers: tools\n":    "function.yaml:1: layers: a list of names with versions or ARNs is expected",
		"network: private\n": `function.yaml:1: network "private": outbound or none is expected`,
	} {
		got := runKiln(t, nil, "", "deploy", pythonFolder(t, text))
		if got.code != exitUsage || !strings.Contains(got.talk, want) {
			t.Errorf("%q: got %+v, want %q", text, got, want)
		}
	}
	got := runKiln(t, nil, "", "run", pythonFolder(t, "layers: [tools]\n"))
	if got.code != exitUsage || !strings.Contains(got.talk, "hello has layers, and layers are kept by a server") {
		t.Errorf("run: got %+v", got)
	}
}
