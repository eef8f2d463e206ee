package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
)

// clientPackage is the Node.js function that the clients in testdata make, as a file,
// and the runtime to make it with.
func clientPackage(t testing.TB) (runtime, path string) {
	t.Helper()
	runtime = needNode(t)
	path = filepath.Join(t.TempDir(), "function.zip")
	text := "exports.handler = async (event) => { if (event.fail) throw new TypeError('on purpose'); return [event, process.env.COLOUR]; };\n"
	if err := os.WriteFile(path, zipOf(t, file{Name: "index.js", Text: text}), 0o644); err != nil {
		t.Fatal(err)
	}
	return runtime, path
}

// sdkOf is the folder into which test/setup.sh put an SDK.
func sdkOf(t testing.TB, name, proof string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("../../.cache", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, proof)); err != nil {
		t.Fatal("run test/setup.sh first: it fetches the SDKs of other languages")
	}
	return dir
}

func TestTheJavaScriptSDKRunsFunctionsThroughTheirWholeLife(t *testing.T) {
	s := start(t)
	sdk := sdkOf(t, "sdk-js", "node_modules/@aws-sdk/client-lambda/package.json")
	runtime, file := clientPackage(t)
	client(t, s, "node", "testdata/js_life.mjs", sdk, runtime, file)
}

func TestTheJavaSDKRunsFunctionsThroughTheirWholeLife(t *testing.T) {
	s := start(t)
	sdk := sdkOf(t, "sdk-java", "version")
	_, javac := javas(t)
	runtime, file := clientPackage(t)
	client(t, s, filepath.Join(filepath.Dir(javac), "java"), "-cp", filepath.Join(sdk, "lib", "*"), "testdata/java_sdk/Life.java", runtime, file)
}
