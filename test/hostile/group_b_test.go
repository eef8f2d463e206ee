package hostile_test

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"golang.org/x/sys/unix"

	"kiln/test/harness"
)

// Group B: the function takes more than its share. What it takes of files and
// kernel objects is in this file; what it does to time, logs and the Runtime API is
// in group_b_calls_test.go.

// Sizes of an ordinary function: 128 MB of memory, 512 MB of /tmp.
const (
	memoryMB  = 128
	scratchMB = 512
	mega      = int64(1 << 20)
)

var usedMemory = regexp.MustCompile(`Max Memory Used: (\d+) MB`)

// used is what a report line says of memory, in MB.
func used(t testing.TB, tail string) int {
	t.Helper()
	m := usedMemory.FindStringSubmatch(tail)
	if m == nil {
		t.Fatalf("no memory figure in %s", tail)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestB03MemoryBeyondTheLimitEndsTheFunctionAlone(t *testing.T) {
	x := common(t).trial(t)
	small, large := x.attacker(t, "small"), x.attacker(t, "large", harness.Memory(1024))
	out := x.call(t, small, event{Do: "hog", Limit: 400 * mega})
	kind, message := harness.FailureOf(t, small, out)
	if (kind != "Runtime.ExitError" && kind != "Runtime.OutOfMemory") || !strings.Contains(message, "signal: killed") {
		t.Errorf("got %s: %s", kind, message)
	}
	tail := harness.Tail(out)
	steps := regexp.MustCompile(`holding (\d+) MB`).FindAllStringSubmatch(tail, -1)
	if len(steps) == 0 {
		t.Fatalf("the attack does not show in the log:\n%s", tail)
	}
	if n, _ := strconv.Atoi(steps[len(steps)-1][1]); n < memoryMB/2 || n > memoryMB {
		t.Errorf("it was killed at %d MB of %d", n, memoryMB)
	}
	if n := used(t, tail); n != memoryMB {
		t.Errorf("the report says %d MB, want %d", n, memoryMB)
	}
	if err := x.ping(small); err != nil {
		t.Errorf("the call after: %v", err)
	}
	// With more memory the same program does it: it was the limit that ended it.
	if got := x.ask(t, large, event{Do: "hog", Limit: 400 * mega}).Numbers["bytes"]; got != 400*mega {
		t.Errorf("with 1024 MB it held %d bytes, want %d", got, 400*mega)
	}
}

func TestB04TmpIsFullAtItsSizeAndTheHostIsNot(t *testing.T) {
	x := common(t).trial(t)
	var before unix.Statfs_t
	if err := unix.Statfs(x.server.Data, &before); err != nil {
		t.Fatal(err)
	}
	r := x.attack(t, event{Do: "fill", Dir: "/tmp", Limit: 2 * scratchMB * mega}, harness.Timeout(120))
	r.refused(t, []string{"ENOSPC"}, map[string][]string{"create": {"ok"}, "statfs": {"ok"}})
	// A few blocks say where the others are.
	got, block := r.Numbers["bytes"], r.Numbers["block"]
	if most, least := scratchMB*mega, scratchMB*mega*99/100; got > most || got < least || block != 4096 {
		t.Errorf("/tmp took %d bytes, want %d to %d; block %d", got, least, most, block)
	}
	harness.Eventually(t, 20*time.Second, "the host's disk is as free as before", func() bool {
		var now unix.Statfs_t
		if err := unix.Statfs(x.server.Data, &now); err != nil {
			t.Fatal(err)
		}
		return now.Bfree+uint64(2*scratchMB*mega)/uint64(now.Bsize) > before.Bfree
	})
}

func TestB05TmpTakesALimitedNumberOfFiles(t *testing.T) {
	x := common(t).trial(t)
	r := x.attack(t, event{Do: "inodes", Dir: "/tmp", Limit: 200_000}, harness.Timeout(120))
	r.refused(t, []string{"ENOSPC"}, map[string][]string{"mkdir": {"ok"}, "remove": {"ok"}})
	if n := r.Numbers["files"]; n < 10_000 || n > 33_000 {
		t.Errorf("/tmp took %d files, want about one for 16 KB", n)
	}
	if c := control(t, event{Do: "inodes", Dir: scratch(t), Limit: 33_001}); c.Numbers["files"] != 33_001 {
		t.Errorf("without a sandbox there was room for %d files only: %v", c.Numbers["files"], c.Results)
	}
}

func TestB07NoFileIsLargerThanTheEnvironment(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "")
	for _, claim := range []int64{1 << 60, 1 << 40, 2 * scratchMB * mega} {
		for _, dir := range []string{"/tmp", "/dev/shm"} {
			r := x.ask(t, name, event{Do: "sparse", Dir: dir, Limit: claim})
			r.refused(t, []string{"EFBIG", "ENOSPC", "ENOMEM", "EINVAL"}, nil)
			if r.Numbers["size"] > scratchMB*mega || r.Numbers["blocks"]*512 > scratchMB*mega {
				t.Errorf("%s: a file of %d bytes in %d blocks", dir, r.Numbers["size"], r.Numbers["blocks"])
			}
		}
	}
	c := control(t, event{Do: "sparse", Dir: scratch(t), Limit: 1 << 36})
	c.worked(t, "truncate", "write at the end")
}

func TestB08DescriptorsAreLimited(t *testing.T) {
	x := common(t).trial(t)
	r := x.attack(t, event{Do: "open", Limit: 5000})
	r.refused(t, []string{"EMFILE"}, nil)
	if n := r.Numbers["opened"]; n < 1000 || n > 1024 {
		t.Errorf("got %d descriptors, want 1024 less those in use", n)
	}
	if c := control(t, event{Do: "open", Limit: 1100}); c.Numbers["opened"] != 1100 {
		t.Errorf("without a sandbox there were %d descriptors", c.Numbers["opened"])
	}
}

func TestB09InotifyInstancesOfOneAreNotThoseOfAnother(t *testing.T) {
	x := common(t).trial(t)
	greedy, modest := x.attacker(t, "greedy"), x.attacker(t, "modest")
	r := x.ask(t, greedy, event{Do: "inotify", Limit: 4096}) // kept until the function ends
	if r.Results["then"] != "EMFILE" || r.Numbers["instances"] < 64 {
		t.Fatalf("the attack got %d instances and then %q, want as many as the kernel gives a user", r.Numbers["instances"], r.Results["then"])
	}
	if got := x.ask(t, modest, event{Do: "inotify", Limit: 16}).Numbers["instances"]; got != 16 {
		t.Errorf("the other function got %d instances, want 16", got)
	}

	// With one user for both, the second gets none.
	hold := exec.CommandContext(harness.Within(t, time.Minute), attackerPath(t), "once", payload(t, event{Do: "inotify", Limit: 4096, Hold: true}))
	as(strangerUID)(hold)
	in, err := hold.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := hold.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = hold.Wait() }() // it ends with its stdin
	line := make([]byte, 4096)
	if _, err := out.Read(line); err != nil {
		t.Fatal(err)
	}
	if got := control(t, event{Do: "inotify", Limit: 16}, as(strangerUID)).Numbers["instances"]; got != 0 {
		t.Errorf("without a user of its own the other got %d instances: this attack proves nothing", got)
	}
}

func TestB10NoKeyCanBeAdded(t *testing.T) {
	x := common(t).trial(t)
	r := x.attack(t, event{Do: "keys", Limit: 1000})
	r.refused(t, []string{"EPERM", "ENOSYS"}, nil)
	if r.Numbers["keys"] != 0 {
		t.Errorf("it added %d keys", r.Numbers["keys"])
	}
	if c := control(t, event{Do: "keys", Limit: 3}, as(strangerUID)); c.Numbers["keys"] != 3 {
		t.Errorf("without a sandbox: %v", c)
	}
}

// ipc reads what System V objects the host's own namespace has.
func ipc(t testing.TB) string {
	t.Helper()
	var all []byte
	for _, what := range []string{"shm", "sem", "msg"} {
		text, err := os.ReadFile("/proc/sysvipc/" + what)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	return string(all)
}

func TestB11SharedMemoryAndQueuesAreTheEnvironmentsOwn(t *testing.T) {
	x := common(t).trial(t)
	before := ipc(t)
	name := x.attacker(t, "")
	out := x.call(t, name, event{Do: "shm", Limit: 1024 * mega})
	tail := harness.Tail(out)
	if out.FunctionError == nil {
		r := reportOf(t, out.Payload)
		if r.Numbers["bytes"] > memoryMB*mega || r.Results["shmget"] == "" {
			t.Errorf("it got %d bytes of segments: %v", r.Numbers["bytes"], r.Results)
		}
	} else if kind, message := harness.FailureOf(t, name, out); !strings.Contains(message, "signal: killed") {
		t.Errorf("got %s: %s", kind, message)
	}
	made := regexp.MustCompile(`segments of (\d+) MB`).FindAllStringSubmatch(tail, -1)
	if len(made) == 0 {
		t.Fatalf("the attack does not show in the log:\n%s", tail)
	}
	if n, _ := strconv.Atoi(made[len(made)-1][1]); n < memoryMB/4 || n > memoryMB {
		t.Errorf("it made segments of %d MB in %d MB of memory", n, memoryMB)
	}

	if r := x.ask(t, x.attacker(t, "queues"), event{Do: "queues", Limit: 5000}); r.Results["mq_open"] == "" || r.Numbers["queues"] > 256 || r.Numbers["queues"] == 0 {
		t.Errorf("queues: %v", r)
	}
	sets := x.attacker(t, "sets")
	out = x.call(t, sets, event{Do: "semaphores", Limit: 100_000})
	if out.FunctionError == nil {
		if r := reportOf(t, out.Payload); r.Results["semget"] == "" || r.Numbers["sets"] == 0 {
			t.Errorf("semaphores: %v", r)
		}
	} else if kind, message := harness.FailureOf(t, sets, out); !strings.Contains(message, "signal: killed") {
		t.Errorf("semaphores: %s: %s", kind, message)
	}
	if after := ipc(t); after != before {
		t.Errorf("the host's objects were\n%s\nand are\n%s", before, after)
	}
}

func TestB13AStormOfSyncsDoesNotStopTheServer(t *testing.T) {
	x := common(t).trial(t)
	name := x.attacker(t, "", harness.Timeout(60))
	book := x.attacker(t, "book")
	x.ask(t, name, event{Do: "ping"})
	// What the server answers with success it has written and synced.
	commits := func(n int) (longest time.Duration) {
		for i := range n {
			began := time.Now()
			_, err := x.client.PutFunctionConcurrency(harness.Within(t, time.Minute), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String(book), ReservedConcurrentExecutions: aws.Int32(int32(1 + i%9))})
			if err != nil {
				t.Fatalf("commit %d: %v", i, err)
			}
			longest = max(longest, time.Since(began))
		}
		return longest
	}
	alone := commits(50)
	var all sync.WaitGroup
	var stormed report
	all.Go(func() { stormed = x.ask(t, name, event{Do: "storm", Dir: "/tmp", Millis: 3000}) })
	beside := commits(50)
	all.Wait()
	stormed.worked(t, "create", "write")
	if stormed.Numbers["syncs"] < 2 {
		t.Errorf("the storm was %d syncs: this attack proves nothing", stormed.Numbers["syncs"])
	}
	// How much slower commits may become is for a benchmark to say; here none may fail.
	t.Logf("the slowest of 50 commits: alone %v, beside %d syncs of %d MB together %v", alone, stormed.Numbers["syncs"], stormed.Numbers["bytes"]/mega, beside)
}
