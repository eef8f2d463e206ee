package hostile_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"kiln/test/harness"
)

// neighbour is the function of somebody else, in whose environment nothing may
// change.
const neighbour = "neighbour"

// settle puts the neighbour and the canaries in place, once for each server, and
// learns what the server keeps ready ahead.
func (p *place) settle(t testing.TB) {
	t.Helper()
	if p.canaries != nil {
		return
	}
	first := func(name string, strangers int) int {
		harness.Create(t, p.client, name, "provided.al2023", "bootstrap", attackerZip(t))
		harness.Answer(t, p.client, name, `{"Do":"ping"}`)
		p.restWith(t, strangers)
		return p.descriptors(t)
	}
	// What a server keeps for all comes with the first environment.
	one := first(neighbour, 0)
	p.each = first("another", 1) - one
	if _, err := p.client.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("another")}); err != nil {
		t.Fatal(err)
	}
	p.canaries = plant(t, p.server.Data)
	if p.languages { // the first function of a language has its interpreter checked in a box
		for name, f := range map[string][2]string{"first-python": {needPython(t), "def handler(e, c): return 1\n"}, "first-node": {needNode(t), "exports.handler = async () => 1;\n"}} {
			harness.Create(t, p.client, name, f[0], "index.handler", harness.Zip(t, harness.File{Name: "index.py", Text: f[1]}, harness.File{Name: "index.js", Text: f[1]}))
			harness.Answer(t, p.client, name, "{}")
			if _, err := p.client.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String(name)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.ahead = p.rest(t)
}

// rest waits until the server has made ahead what it wants to, and gives it.
func (p *place) rest(t testing.TB) objects {
	t.Helper()
	return p.restWith(t, 0)
}

// restWith does so while environments of others than the neighbour live.
func (p *place) restWith(t testing.TB, others int) (last objects) {
	t.Helper()
	since := time.Now()
	harness.Eventually(t, 30*time.Second, "the server has made ahead what it wants to", func() bool {
		if list, err := p.server.Environments(); err != nil || strangers(list) > others {
			return false
		}
		if now := p.objects(t); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 500*time.Millisecond
	})
	return last
}

// objects counts what a server has in the kernel, beyond what belongs to the
// environments that it lists.
type objects struct {
	groups, inits, loops, networks, files int
}

// objects counts now.
func (p *place) objects(t testing.TB) objects {
	t.Helper()
	list, err := p.server.Environments()
	if err != nil {
		t.Fatal(err)
	}
	n := len(list)
	inits, networks := p.inits()
	return objects{
		groups:   len(p.groups()) - n*p.trees(),
		inits:    len(inits) - n,
		loops:    len(harness.Loops(p.server.Data)) - n,
		networks: len(networks) - n,
		files:    p.files(t),
	}
}

// trees is how many control group hierarchies the server uses: one group in each
// belongs to an environment.
func (p *place) trees() int {
	homes := 0
	for _, g := range p.groups() {
		if filepath.Base(g) == "kiln-"+p.server.Owner() {
			homes++
		}
	}
	return homes
}

// groups lists the server's control groups, its own included.
func (p *place) groups() []string {
	var all []string
	for _, home := range harness.Cgroups(p.server.Owner()) {
		_ = filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error { // what goes away meanwhile is not there
			if err == nil && e.IsDir() {
				all = append(all, path)
			}
			return nil
		})
	}
	return all
}

// inits lists the first processes of the server's boxes and the networks that they
// live in.
func (p *place) inits() (pids []string, networks map[string]bool) {
	networks = map[string]bool{}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well-formed
	for _, l := range lines {
		text, err := os.ReadFile(l)
		if err != nil || !strings.HasPrefix(string(text), "kiln-init\x00"+p.server.Owner()+"\x00") {
			continue
		}
		pids = append(pids, filepath.Base(filepath.Dir(l)))
		if ns, err := os.Readlink(filepath.Join(filepath.Dir(l), "ns", "net")); err == nil {
			networks[ns] = true
		}
	}
	return pids, networks
}

// members lists the processes in the server's control groups.
func (p *place) members() []string {
	seen := map[string]bool{}
	var all []string
	for _, g := range p.groups() {
		text, err := os.ReadFile(filepath.Join(g, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, pid := range strings.Fields(string(text)) {
			if !seen[pid] {
				seen[pid] = true
				all = append(all, pid)
			}
		}
	}
	return all
}

// files counts what the server has in the folders for what is temporary.
func (p *place) files(t testing.TB) int {
	t.Helper()
	n := 0
	for _, dir := range []string{"tmp", "sandbox", "rootfs/tmp", "packages/tmp", "boxes"} {
		err := filepath.WalkDir(filepath.Join(p.server.Data, dir), func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				n++
			}
			return nil // what is not there or goes away holds nothing
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// descriptors counts the server's open files, without the connections of its callers
// and what each environment needs.
func (p *place) descriptors(t testing.TB) int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", p.server.PID())
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	environments, err := p.server.Environments()
	if err != nil {
		t.Fatal(err)
	}
	callers := p.callers(t)
	n := 0
	for _, e := range list {
		if link, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && !callers[link] {
			n++
		}
	}
	return n - len(environments)*p.each
}

// callers are the sockets of the connections to the server's API.
func (p *place) callers(t testing.TB) map[string]bool {
	t.Helper()
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", p.server.PID()))
	if err != nil {
		t.Fatal(err)
	}
	api, err := url.Parse(p.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(api.Port())
	if err != nil {
		t.Fatal(err)
	}
	sockets := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[3] != "0A" { // 0A listens
			sockets["socket:["+f[9]+"]"] = true
		}
	}
	return sockets
}

// resident is the server's own memory in bytes, without what it maps of files.
func (p *place) resident(t testing.TB) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.server.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal("the kernel does not say how much memory the server has")
	return 0
}

// bindings remembers whose each environment is: id → function and version.
type bindings map[string]string

// check compares with what was seen before (I2).
func (b bindings) check(t testing.TB, list []harness.Environment) {
	t.Helper()
	for _, e := range list {
		if was, known := b[e.ID]; known && was != e.Function {
			t.Errorf("environment %s was of %s and is of %s", e.ID, was, e.Function)
		}
		b[e.ID] = e.Function
	}
}

// afterwards holds the server, when a test is over, to what must be true after
// every test. The functions that the test made go first; descriptors is how many
// files the server had open before.
func (p *place) afterwards(t testing.TB, functions []string, descriptors int) {
	t.Helper()
	p.canaries.check(t) // I5
	if err := p.ping(neighbour); err != nil {
		t.Errorf("the neighbour: %v", err)
	}
	list, err := p.server.Environments()
	if err != nil {
		t.Errorf("the environments after the test: %v", err)
		return
	}
	p.bindings.check(t, list) // I2
	for _, f := range functions {
		_, err := p.client.DeleteFunction(context.Background(), &lambda.DeleteFunctionInput{FunctionName: aws.String(f)})
		if err != nil {
			t.Errorf("delete %s: %v", f, err)
		}
	}
	var gone time.Time
	harness.Eventually(t, 30*time.Second, "the environments of deleted functions are gone", func() bool {
		list, err := p.server.Environments()
		if err != nil {
			t.Fatal(err)
		}
		p.bindings.check(t, list)
		gone = time.Now()
		return strangers(list) == 0
	})
	now := p.objects(t)
	for now != p.ahead && time.Since(gone) < soon { // I4
		time.Sleep(20 * time.Millisecond)
		now = p.objects(t)
	}
	if now != p.ahead {
		t.Errorf("%v after its environments went the server holds %+v, and with none of them %+v", soon, now, p.ahead)
	}
	if list, err = p.server.Environments(); err != nil {
		t.Error(err)
	}
	inits, _ := p.inits()
	if n := len(p.members()) - len(inits); n > len(list) {
		t.Errorf("%d processes live in the server's control groups beside the inits, want one for each of %d environments", n, len(list))
	}
	if n := p.descriptors(t); float64(n) > float64(descriptors)*1.05+4 { // I6
		t.Errorf("the server has %d open files, and had %d before the test", n, descriptors)
	}
}

// strangers counts the environments that are not the neighbour's.
func strangers(list []harness.Environment) (n int) {
	for _, e := range list {
		if !strings.Contains(e.Function, ":"+neighbour+":") {
			n++
		}
	}
	return n
}

// soon is how long after the end of an environment something of it may be left.
const soon = 2 * time.Second

// ping calls a function that must answer, also when the test's own context is over.
func (p *place) ping(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := p.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(name), Payload: []byte(`{"Do":"ping"}`)})
	if err != nil {
		return err
	}
	if out.FunctionError != nil || string(out.Payload) != "{}" {
		return fmt.Errorf("%s answered %s", name, out.Payload)
	}
	return nil
}

// canaries are files and settings of the host that no attack may touch.
type canaries struct {
	dir  string
	sums map[string]string
}

// The text of a canary is what an attack that reads one would report.
const canaryText = "a canary of the host"

// kernelCanaries are settings of the host that the attacks reach for.
var kernelCanaries = []string{"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory"}

// plant makes the canaries of a server: a folder like /etc, and what the data
// directory itself keeps from functions.
func plant(t testing.TB, data string) *canaries {
	t.Helper()
	dir, err := os.MkdirTemp(kiln.Work, "canaries-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := &canaries{dir: dir, sums: map[string]string{}}
	for name, mode := range map[string]fs.FileMode{"etc/passwd": 0o644, "etc/shadow": 0o600, "marker": 0o666, "open/door": 0o666} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(canaryText), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	// A folder that everybody may write to: who gets out can leave something there.
	if err := os.Chmod(filepath.Join(dir, "open"), 0o777); err != nil {
		t.Fatal(err)
	}
	c.sums = c.sum(t, data)
	return c
}

// marker is the path of a canary that everybody may read and write.
func (c *canaries) marker() string { return filepath.Join(c.dir, "marker") }

// sum fingerprints all canaries.
func (c *canaries) sum(t testing.TB, data string) map[string]string {
	t.Helper()
	sums := map[string]string{"data": data}
	add := func(path string) {
		st, err := os.Lstat(path)
		if err != nil {
			sums[path] = err.Error()
			return
		}
		sums[path] = fmt.Sprint(st.Mode(), st.ModTime().UnixNano())
		if st.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			sums[path] += fmt.Sprintf(" %x %v", sha256.Sum256(text), err)
		}
	}
	err := filepath.WalkDir(c.dir, func(path string, _ fs.DirEntry, err error) error {
		add(path)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	add(filepath.Join(data, "owner"))
	add(kiln.Binary)
	for _, path := range kernelCanaries {
		text, err := os.ReadFile(path)
		sums[path] = fmt.Sprintf("%s %v", text, err)
	}
	return sums
}

// check says which canaries are not as they were.
func (c *canaries) check(t testing.TB) {
	t.Helper()
	now := c.sum(t, c.sums["data"])
	for path, sum := range now {
		if was, there := c.sums[path]; !there {
			t.Errorf("the canary folder has something new: %s", path)
		} else if sum != was {
			t.Errorf("the canary %s was\n%s\nand is\n%s", path, was, sum)
		}
	}
	for path := range c.sums {
		if _, there := now[path]; !there {
			t.Errorf("the canary %s is gone", path)
		}
	}
}
