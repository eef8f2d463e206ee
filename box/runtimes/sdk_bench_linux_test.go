package runtimes_test

import (
	"slices"
	"testing"
	"time"

	"kiln"
	"kiln/box/runtimes"
)

// BenchmarkColdStartWithAndWithoutTheSDK makes boxes in which the interpreter loads
// the bootstrap's modules, by turns without and with an SDK that nobody imports, and
// reports both medians and their ratio, which must be 1 within noise.
func BenchmarkColdStartWithAndWithoutTheSDK(b *testing.B) {
	for _, c := range []struct {
		family, sdk string
		arguments   []string
	}{
		{"python", "python-sdk", []string{"-S", "-c", "import _kiln_lambda, json; _kiln_lambda._search_paths()"}},
		{"nodejs", "nodejs-sdk", []string{"-e", "require('/var/runtime/kiln/load.js'); require('https')"}},
	} {
		b.Run(c.family, func(b *testing.B) {
			box := newBoxes(b)
			book, err := runtimes.Open(runtimes.Options{DataDir: openData(b)})
			if err != nil {
				b.Fatal(err)
			}
			ready := book.Newest(b.Context(), c.family)
			newest := ready[len(ready)-1]
			without, err := book.Runtime(b.Context(), newest.Identifier, "")
			if err != nil {
				b.Skip(err)
			}
			if err := book.Add(b.Context(), c.sdk, runtimes.AddOptions{}, nil); err != nil {
				b.Skip(err)
			}
			with, err := book.Runtime(b.Context(), newest.Identifier, "")
			if err != nil {
				b.Fatal(err)
			}
			one := func(rt kiln.Runtime) float64 {
				began := time.Now()
				if _, err := box.run(b.Context(), rt, append([]string{rt.Command[0]}, c.arguments...)...); err != nil {
					b.Fatal(err)
				}
				return time.Since(began).Seconds() * 1000
			}
			var a, z []float64
			for b.Loop() {
				a, z = append(a, one(without)), append(z, one(with))
			}
			slices.Sort(a)
			slices.Sort(z)
			b.ReportMetric(a[len(a)/10], "ms-without")
			b.ReportMetric(z[len(z)/10], "ms-with")
			b.ReportMetric(z[len(z)/10]/a[len(a)/10], "ratio")
		})
	}
}
