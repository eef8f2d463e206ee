package runtimes_test

import (
	"strings"
	"testing"
)

// TestAMissingSDKIsHintedAtInTheLogAlone holds both bootstraps to AWS's error and one
// line more in the log.
func TestAMissingSDKIsHintedAtInTheLogAlone(t *testing.T) {
	each(t, "python", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.py", "import boto3\n"), "app.handler")
		f := g.outcome().failure(t)
		want := "Unable to import module 'app': No module named 'boto3'"
		if !lang.atLeast(3, 0) {
			want = "Unable to import module 'app': No module named boto3"
		}
		if f.ErrorMessage != want {
			t.Errorf("got %q, want %q", f.ErrorMessage, want)
		}
		g.wait()
		hint := "kiln: boto3 is not in this runtime: `kiln runtime add python" + lang.version + "-sdk` adds it, or put it into the function's package\n"
		if !lang.atLeast(3, 8) {
			hint = "kiln: boto3 is not in this runtime: put it into the function's package\n"
		}
		if got := g.stderr.String(); got != hint {
			t.Errorf("said %q, want %q", got, hint)
		}
	})
	each(t, "python", func(t *testing.T, lang *language) {
		g := start(t, lang, folder(t, "app.py", "def handler(event, context):\n    import botocore\n"), "app.handler")
		if f := g.invoke(work{payload: "{}"}).failure(t); !strings.HasPrefix(f.ErrorMessage, "No module named ") {
			t.Errorf("got %q", f.ErrorMessage)
		}
		g.until(func() bool { return strings.HasSuffix(g.stderr.String(), "\n") })
		if got := g.stderr.String(); !strings.HasPrefix(got, "kiln: botocore is not in this runtime: ") {
			t.Errorf("said %q", got)
		}
	})
	each(t, "nodejs", func(t *testing.T, lang *language) {
		old := !lang.atLeast(18, 0)
		for name, own := range map[string]bool{"aws-sdk": old, "@aws-sdk/client-s3": !old} {
			g := start(t, lang, folder(t, "app.js", "exports.handler = async () => require('"+name+"/x');\n"), "app.handler")
			if f := g.invoke(work{payload: "{}"}).failure(t); !strings.HasPrefix(f.ErrorMessage, "Cannot find module '"+name) {
				t.Errorf("got %q", f.ErrorMessage)
			}
			hint := "kiln: " + name + " is not in this runtime: put it into the function's package\n"
			if own {
				hint = "kiln: " + name + " is not in this runtime: `kiln runtime add " + lang.identifier + "-sdk` adds the AWS SDK, or put it into the function's package\n"
			}
			g.until(func() bool { return strings.HasSuffix(g.stderr.String(), "\n") })
			if got := g.stderr.String(); got != hint {
				t.Errorf("said %q, want %q", got, hint)
			}
		}
		g := start(t, lang, folder(t, "app.js", "require('other');\n"), "app.handler")
		g.outcome()
		g.wait()
		if got := g.stderr.String(); got != "" {
			t.Errorf("of another module: said %q", got)
		}
	})
}
