package hostile_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"kiln/test/harness"
)

// crowdSize is how many environments live at once, and callCount how many calls are
// made in all.
func crowdSize() int { return size(300, 1150) }
func callCount() int { return size(10_000, 100_000) }

func TestHundredsOfEnvironmentsAtOnceAndThenEverythingIsGone(t *testing.T) {
	p := private(t, harness.Options{Args: []string{"--account-concurrency", "2000", "--max-wait", "2m"}})
	x := p.trial(t)
	name := x.attacker(t, "crowd", harness.Timeout(120))
	n := crowdSize()
	// Twice: what the first crowd makes the server keep is not a leak, what the second
	// adds is.
	var files, memory [2]int64
	for round := range 2 {
		began := time.Now()
		alive := x.crowdOf(t, name, n)
		t.Logf("round %d: %d environments at once, %v", round, alive, time.Since(began))
		x.manyCalls(t, name, callCount()/2)
		t.Logf("calls, %v", time.Since(began))
		if _, err := x.client.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(name), Description: aws.String(fmt.Sprint("after ", round))}); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 2*time.Minute, "the environments of the old configuration are gone", func() bool {
			list, err := x.server.Environments()
			if err != nil {
				t.Fatal(err)
			}
			return strangers(list) == 0
		})
		harness.Eventually(t, 20*time.Second, "nothing of them is left in the kernel", func() bool { return x.objects(t) == x.ahead })
		t.Logf("gone, %v", time.Since(began))
		if err := lambda.NewFunctionUpdatedV2Waiter(x.client).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String(name)}, time.Minute); err != nil {
			t.Fatal(err)
		}
		files[round], memory[round] = int64(x.descriptors(t)), x.calm(t)
		t.Logf("round %d: %d open files, %d KB; %v", round, files[round], memory[round]>>10, time.Since(began))
	}
	if files[1] > files[0]*105/100+4 {
		t.Errorf("the server has %d open files after the second crowd and had %d after the first", files[1], files[0])
	}
	most := memory[0]*105/100 + 4*mega
	if memory[1] > most { // a busy machine gives memory back late
		_ = within(90*time.Second, func() bool { memory[1] = x.calm(t); return memory[1] <= most })
	}
	t.Logf("in the end %d KB", memory[1]>>10)
	if memory[1] > most {
		t.Errorf("the server has %d KB after the second crowd and had %d KB after the first", memory[1]>>10, memory[0]>>10)
	}
}

func TestAnEnvironmentCostsTheServerFewDescriptors(t *testing.T) {
	p := common(t)
	p.trial(t)
	if p.each < 5 || p.each > 19 {
		t.Errorf("got %d descriptors of the server for one environment, want at most 19", p.each)
	}
}

// crowdOf makes n calls at once that last until n environments are busy, so that each
// needs one of its own, and gives how many lived at one moment.
func (x *trial) crowdOf(t testing.TB, name string, n int) (most int) {
	t.Helper()
	body := []byte(payload(t, event{Do: "await", Millis: 200_000}))
	var all sync.WaitGroup
	over := make(chan struct{})
	for range n {
		all.Go(func() {
			out, err := x.client.Invoke(harness.Within(t, 5*time.Minute), &lambda.InvokeInput{FunctionName: aws.String(name), Payload: body}, once)
			if err != nil || out.FunctionError != nil {
				t.Errorf("a call of the crowd: %v %.200s", err, harness.PayloadOf(out))
			}
		})
	}
	go func() { all.Wait(); close(over) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := x.server.Environments()
		if err != nil {
			t.Fatal(err)
		}
		x.bindings.check(t, list)
		busy := 0
		for _, e := range list {
			if e.State == "busy" && strings.Contains(e.Function, ":"+name+":") {
				busy++
			}
		}
		if busy >= n || most >= n || t.Failed() {
			inits, networks := x.inits()
			most = max(most, min(busy, len(inits), len(networks))) // what the kernel says counts
			x.release(t)
		}
		select {
		case <-over:
			if most < n {
				t.Errorf("%d environments lived at once, want %d", most, n)
			}
			return most
		case <-tick.C:
		}
	}
}

// release tells every function of the server that what it awaits is there.
func (x *trial) release(t testing.TB) {
	t.Helper()
	inits, _ := x.inits()
	for _, p := range x.members() {
		if slices.Contains(inits, p) {
			continue
		}
		pid, err := strconv.Atoi(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil && err != syscall.ESRCH {
			t.Error(err)
		}
	}
}

// manyCalls makes n calls from 16 clients and checks that each environment counts
// its own and serves one function.
func (x *trial) manyCalls(t testing.TB, name string, n int) {
	t.Helper()
	body := []byte(payload(t, event{Do: "remember"}))
	var left atomic.Int64
	left.Store(int64(n))
	var mu sync.Mutex
	calls, last := map[string]int64{}, map[string]int64{}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for left.Add(-1) >= 0 && !t.Failed() {
				out, err := x.client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(name), Payload: body}, once)
				if err != nil || out.FunctionError != nil {
					t.Errorf("a call: %v %.200s", err, harness.PayloadOf(out))
					return
				}
				r := reportOf(t, out.Payload)
				if r.Texts["AWS_LAMBDA_FUNCTION_NAME"] != name {
					t.Errorf("the call was served by %v", r.Texts)
				}
				stream := r.Texts["AWS_LAMBDA_LOG_STREAM_NAME"]
				mu.Lock()
				calls[stream]++
				last[stream] = max(last[stream], r.Numbers["calls"])
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for stream, made := range calls {
		if last[stream] < made {
			t.Errorf("environment %s answered %d calls and counted %d", stream, made, last[stream])
		}
	}
}

// calm is the server's memory when nothing has happened for a moment: the least of
// several looks, between which a few calls keep its collector at work.
func (x *trial) calm(t testing.TB) int64 {
	t.Helper()
	least := x.resident(t)
	for range 10 {
		for range 20 {
			if err := x.ping(neighbour); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(100 * time.Millisecond) // the memory is given back beside the calls
		least = min(least, x.resident(t))
	}
	return least
}
