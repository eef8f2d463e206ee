package hostile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"kiln/test/harness"
)

// throttled counts how often the kernel held one of the server's boxes to its quota.
func (p *place) throttled(t testing.TB) (times int64) {
	t.Helper()
	for _, group := range p.groups() {
		text, err := os.ReadFile(filepath.Join(group, "cpu.stat"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			var n int64
			if _, err := fmt.Sscanf(line, "nr_throttled %d", &n); err == nil {
				times += n
			}
		}
	}
	return times
}

func TestEachFunctionSharesTheProcessorAsItWasMade(t *testing.T) {
	x := common(t).trial(t)
	tagged := func(mode string) harness.Settings {
		return func(in *lambda.CreateFunctionInput) { in.Tags = map[string]string{"kiln:cpu": mode} }
	}
	strict := x.attacker(t, "strict", tagged("strict"), harness.Timeout(60))
	burst := x.attacker(t, "burst", tagged("burst"), harness.Timeout(60))
	usual := x.attacker(t, "usual", harness.Timeout(60))
	// One gets its tag later, and is then of another revision.
	later := x.attacker(t, "later", harness.Timeout(60))
	fn, err := x.client.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String(later)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.client.TagResource(t.Context(), &lambda.TagResourceInput{Resource: fn.Configuration.FunctionArn, Tags: map[string]string{"kiln:cpu": "strict"}}); err != nil {
		t.Fatal(err)
	}
	if err := lambda.NewFunctionUpdatedV2Waiter(x.client).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String(later)}, time.Minute); err != nil {
		t.Fatal(err)
	}
	const busy = 100 * time.Millisecond
	for _, c := range []struct {
		name string
		held bool
	}{{burst, false}, {usual, false}, {strict, true}, {later, true}} { // who is held once is held when it goes to rest, too
		if err := x.ping(c.name); err != nil { // an init is never held
			t.Fatal(err)
		}
		before := x.throttled(t)
		r := x.ask(t, c.name, event{Do: "spin", Millis: busy.Milliseconds()})
		took, times := time.Duration(r.Numbers["nanoseconds"]), x.throttled(t)-before
		if held := times > 0; held != c.held {
			t.Errorf("%s: the kernel held it %d times", c.name, times)
		}
		// 128 MB are 7.2 % of a processor: 100 ms of it last 1.38 s but for what is left of
		// the first and the last period.
		if c.held && took < 10*busy {
			t.Errorf("%s: %v of processor time took %v only", c.name, busy, took)
		}
	}
}
