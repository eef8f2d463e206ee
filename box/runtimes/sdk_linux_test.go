package runtimes_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/box/runtimes"
)

// fetchSDK adds an SDK for real, with several tries: it comes from a public registry.
func fetchSDK(t *testing.T, book *runtimes.Book, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var err error
	for range 3 {
		if err = book.Add(ctx, name, runtimes.AddOptions{}, nil); err == nil {
			return
		}
		t.Log(err)
	}
	t.Fatal(err)
}

// readyOf gives the runtimes of a family that this machine serves.
func readyOf(t *testing.T, book *runtimes.Book, family string) []kiln.Runtime {
	t.Helper()
	var all []kiln.Runtime
	for _, e := range book.List(t.Context()) {
		if e.State != runtimes.Ready || !strings.HasPrefix(e.Identifier, family) || e.Source == "" {
			continue
		}
		if rt, err := book.Runtime(t.Context(), e.Identifier, ""); err == nil {
			all = append(all, rt)
		}
	}
	if len(all) == 0 {
		t.Skipf("needs an interpreter: this machine has no %s", family)
	}
	return all
}

// endsBook opens a book that finds the oldest and the newest interpreter of a family
// that this machine has, from a version on.
func endsBook(t *testing.T, b *boxes, family string, major, minor int) *runtimes.Book {
	t.Helper()
	var all []*language
	for _, l := range languages(t, family) {
		if l.atLeast(major, minor) {
			all = append(all, l)
		}
	}
	if len(all) == 0 {
		t.Skipf("needs an interpreter: this machine has no %s from %d.%d on", family, major, minor)
	}
	return open(t, openData(t), runtimes.Options{Check: b.check}, filepath.Dir(all[0].command[0]), filepath.Dir(all[len(all)-1].command[0]))
}

// TestBoto3IsInPythonsRuntimesOnceItWasAdded fetches it through this machine's pip.
func TestBoto3IsInPythonsRuntimesOnceItWasAdded(t *testing.T) {
	b := newBoxes(t)
	book := endsBook(t, b, "python", 3, 8)
	before := readyOf(t, book, "python")
	fetchSDK(t, book, "python-sdk")
	fetchSDK(t, book, "python3.9-sdk")
	const program = `
import sys
assert "boto3" not in sys.modules and "/var/runtime" in sys.path
import boto3, botocore.session, os, subprocess
client = boto3.client("lambda", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
assert client.meta.service_model.operation_names, client
assert os.path.exists(boto3.__spec__.cached), "it is compiled at each start"
assert boto3.__file__ == "/var/runtime/boto3/__init__.py", boto3.__file__
assert subprocess.check_output([sys.executable, "-c", "import boto3; print(boto3.__version__)"]).decode().strip() == boto3.__version__
import importlib.metadata
assert importlib.metadata.version("boto3") == boto3.__version__
print(boto3.__version__)
`
	tested := 0
	for _, rt := range before {
		version := map[bool]string{true: "1.37.38", false: "1.44.8"}[rt.Version == "3.8" || rt.Version == "3.9"]
		with, err := book.Runtime(t.Context(), rt.Identifier, "")
		if err != nil {
			t.Fatal(err)
		}
		if rt.Version == "2.7" || rt.Version == "3.6" || rt.Version == "3.7" {
			if with.ReleaseARN != rt.ReleaseARN {
				t.Errorf("%s has changed", rt.Identifier)
			}
			continue
		}
		tested++
		if with.ReleaseARN == rt.ReleaseARN {
			t.Errorf("%s is the same with its SDK", rt.Identifier)
		}
		if got, err := b.run(t.Context(), with, with.Command[0], "-S", "-c", program); err != nil || got != version {
			t.Errorf("%s: got %q %v, want %s", rt.Identifier, got, err, version)
		}
		if _, err := b.run(t.Context(), rt, rt.Command[0], "-S", "-c", "import boto3"); err == nil || !strings.Contains(err.Error(), "No module named 'boto3'") {
			t.Errorf("%s without it: got %v", rt.Identifier, err)
		}
	}
	if tested == 0 {
		t.Skip("needs a Python of 3.8 or later")
	}
	// What the function brings comes first.
	if err := os.WriteFile(filepath.Join(b.code, "boto3.py"), []byte("__version__ = 'of the function'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	last, err := book.Runtime(t.Context(), before[len(before)-1].Identifier, "")
	if err != nil {
		t.Fatal(err)
	}
	const own = "import _kiln_lambda; _kiln_lambda._search_paths(); import boto3; print(boto3.__version__)"
	if got, err := b.run(t.Context(), last, last.Command[0], "-S", "-c", own); err != nil || got != "of the function" {
		t.Errorf("got %q %v", got, err)
	}
	for _, name := range []string{"python-sdk", "python3.8-sdk"} {
		if err := book.Remove(name); err != nil {
			t.Error(err)
		}
	}
	if again, err := book.Runtime(t.Context(), last.Identifier, ""); err != nil || again.ReleaseARN == last.ReleaseARN {
		t.Errorf("it is still there after its removal: %v", err)
	}
}

// TestTheSDKForJavaScriptIsInNodesRuntimesOnceItWasAdded fetches it through this
// machine's npm.
func TestTheSDKForJavaScriptIsInNodesRuntimesOnceItWasAdded(t *testing.T) {
	b := newBoxes(t)
	book := endsBook(t, b, "nodejs", 10, 0)
	before := readyOf(t, book, "nodejs")
	fetchSDK(t, book, "nodejs-sdk")
	const program = `
const { S3Client, ListBucketsCommand } = require('@aws-sdk/client-s3');
const { DynamoDBDocumentClient } = require('@aws-sdk/lib-dynamodb');
const { LambdaClient } = require('@aws-sdk/client-lambda');
new LambdaClient({ region: 'eu-central-1' });
if (!require.resolve('@aws-sdk/client-s3').startsWith('/var/runtime/node_modules/')) throw new Error(require.resolve('@aws-sdk/client-s3'));
import('file:///var/task/app.mjs').then((m) => console.log(m.text(ListBucketsCommand)));
`
	// An ES module finds it by its name, as on AWS.
	module := "import { ListBucketsCommand } from '@aws-sdk/client-s3';\nexport const text = (same) => same === ListBucketsCommand ? 'found' : 'found twice';\n"
	if err := os.WriteFile(filepath.Join(b.code, "app.mjs"), []byte(module), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.code, "v2.js"), []byte("const AWS = require('aws-sdk');\nconsole.log(new AWS.S3({ region: 'eu-central-1' }) && AWS.VERSION);\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, rt := range before {
		old := len(rt.Links) == 0 // 16 and before
		if old {
			if tested == 0 {
				fetchSDK(t, book, "nodejs16.x-sdk")
			}
		}
		with, err := book.Runtime(t.Context(), rt.Identifier, "")
		if err != nil {
			t.Fatal(err)
		}
		if with.ReleaseARN == rt.ReleaseARN {
			t.Errorf("%s is the same with its SDK", rt.Identifier)
		}
		want, command := "found", []string{with.Command[0], "-e", program}
		if old {
			want, command = "2.1693.0", []string{with.Command[0], "/var/task/v2.js"}
		}
		got, err := b.run(t.Context(), with, command...)
		if err != nil || !strings.HasPrefix(got, want) && !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q %v, want %s", rt.Identifier, got, err, want)
		}
		tested++
	}
}
