package runtimes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJavaTakesItsOwnClassesFromAnArchive(t *testing.T) {
	eachJava(t, func(t *testing.T, lang *language, task string) {
		log := filepath.Join(t.TempDir(), "loaded")
		g := start(t, lang, task, handlerOf("Echo"), "JAVA_TOOL_OPTIONS=-Xlog:class+load=info:file="+log)
		if got, want := g.invoke(work{payload: `{}`}).body, `{}`; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		archived := lang.atLeast(20, 0) // earlier versions hold the place of the jar against it
		for _, class := range []string{"kiln.lambda.Main", "kiln.lambda.JsonReader", "com.amazonaws.services.lambda.runtime.Context"} {
			_, line, ok := strings.Cut(string(text), class+" source: ")
			line, _, _ = strings.Cut(line, "\n")
			if !ok || strings.HasPrefix(line, "shared objects file (top)") != archived {
				t.Errorf("%s comes from %q", class, line)
			}
		}
		// An archive that does not fit is left aside without a word.
		g = start(t, lang, task, handlerOf("Echo"), "JAVA_TOOL_OPTIONS=-Xlog:disable -Xshare:off")
		g.invoke(work{payload: `{}`})
		if got := g.stdout.String() + strings.TrimPrefix(g.stderr.String(), "Picked up JAVA_TOOL_OPTIONS: -Xlog:disable -Xshare:off\n"); got != "" {
			t.Errorf("wrote %q", got)
		}
	})
}
