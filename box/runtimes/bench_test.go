package runtimes_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// median gives the middle of durations.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkColdStart measures, per interpreter, from exec to the first answer with a
// trivial handler, and the same interpreter importing that handler and nothing else,
// turn by turn. Only the ratio says something.
func BenchmarkColdStart(b *testing.B) {
	for _, family := range []string{"python", "nodejs", "java", "ruby"} {
		for _, lang := range benched(b, family) {
			b.Run(lang.identifier, func(b *testing.B) {
				dir, handler, bare := trivial(b, lang)
				var ours, theirs []time.Duration
				for b.Loop() {
					began := time.Now()
					g := start(b, lang, dir, handler)
					g.invoke(work{payload: `{}`})
					ours = append(ours, time.Since(began))
					g.command.Process.Kill()
					<-g.ended

					command := exec.Command(bare[0], bare[1:]...)
					command.Dir = dir
					began = time.Now()
					if out, err := command.CombinedOutput(); err != nil {
						b.Fatalf("%v: %s", err, out)
					}
					theirs = append(theirs, time.Since(began))
				}
				b.ReportMetric(float64(median(ours).Microseconds())/1000, "ms-first-answer")
				b.ReportMetric(float64(median(theirs).Microseconds())/1000, "ms-bare")
				b.ReportMetric(float64(median(ours))/float64(median(theirs)), "ratio")
			})
		}
	}
}

// benched gives the interpreters of a family.
func benched(b *testing.B, family string) []*language {
	if family == "ruby" {
		return rubies(b)
	}
	return languages(b, family)
}

// trivial makes the smallest function of a language and the bare command to compare
// it with.
func trivial(b *testing.B, lang *language) (dir, handler string, bare []string) {
	program := lang.command[0]
	switch filepath.Base(program) {
	case "node":
		dir = folder(b, "handler.js", "exports.handler = async () => ({ ok: true });\n")
		return dir, "handler.handler", []string{program, "-e", "require('./handler')"}
	case "java":
		dir = javaTask(b)
		return dir, handlerOf("Echo"), []string{program, "-XX:Flags=" + lang.runtimeDir + "/lib/jvm.flags", "-cp", dir, "test.Bare"}
	case "ruby":
		dir = folder(b, "handler.rb", "def handler(event:, context:)\n  { ok: true }\nend\n")
		return dir, "handler.handler", []string{program, "-r./handler", "-e", ""}
	}
	dir = folder(b, "handler.py", "def handler(event, context):\n    return {'ok': True}\n")
	return dir, "handler.handler", []string{program, "-c", "import handler"}
}

// BenchmarkWarm measures one invocation after another on one connection.
func BenchmarkWarm(b *testing.B) {
	for _, family := range []string{"python", "nodejs", "java", "ruby"} {
		for _, lang := range benched(b, family) {
			b.Run(lang.identifier, func(b *testing.B) {
				dir, handler, _ := trivial(b, lang)
				g := start(b, lang, dir, handler)
				g.invoke(work{payload: `{}`})
				for b.Loop() {
					g.invoke(work{payload: `{"key": "value"}`})
				}
			})
		}
	}
}
