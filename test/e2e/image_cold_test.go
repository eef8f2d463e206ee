package e2e_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestColdStartsOfAnImageAndOfAZip measures both with the same program, in turns. It
// asserts nothing about time, and by default takes a few turns only: KILN_TEST_FULL=1 asks for figures.
func TestColdStartsOfAnImageAndOfAZip(t *testing.T) {
	turns, filling := 3, 50
	if os.Getenv("KILN_TEST_FULL") != "" {
		turns, filling = 200, 5000
	}
	s := start(t, "--idle-timeout", "0s")
	c, host, program := s.client(), startRegistry(t), imageProgram(t)
	files := []file{{Name: "main", Text: program, Mode: 0o755}}
	for n := range filling {
		files = append(files, file{Name: fmt.Sprintf("usr/lib/some/%d/file%d", n%100, n), Text: fmt.Sprint(n)})
	}
	pushImage(t, imageOf(t, v1.Config{Entrypoint: []string{"/main"}}, layerOf(t, files[:1]...), layerOf(t, files[1:]...)), host+"/cold:1")
	createImage(t, c, "image", host+"/cold:1", nil)
	create(t, c, "zip", "provided.al2023", "h", zipOf(t, file{Name: "bootstrap", Text: program, Mode: 0o755}))
	took := map[string][]time.Duration{}
	for range turns {
		for _, name := range []string{"image", "zip"} {
			began := time.Now()
			out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte("{}")})
			if err != nil || out.FunctionError != nil {
				t.Fatalf("%s: %v %s", name, err, payloadOf(out))
			}
			took[name] = append(took[name], time.Since(began))
		}
	}
	at := func(name string, share float64) time.Duration {
		slices.Sort(took[name])
		return took[name][int(share*float64(len(took[name])-1))].Round(10 * time.Microsecond)
	}
	for _, share := range []float64{0.5, 0.9} {
		i, z := at("image", share), at("zip", share)
		t.Logf("cold start at %.0f %%: image %v, zip %v, ratio %.2f", share*100, i, z, float64(i)/float64(z))
	}
}
