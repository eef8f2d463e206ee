package debian_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/box/runtimes/debian"
)

// large publishes a package whose contents do not shrink, and gives its name on the
// mirror.
func (m *mirror) large(bytes int) string {
	noise := make([]byte, bytes)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(noise) // never fails
	m.publish(suite{name: "trixie", packages: []*pack{(&pack{name: "a", version: "1"}).file("./usr/share/a", string(noise), 0o644)}})
	return "pool/main/a_1.deb"
}

// cut answers with the first bytes of what was asked for and then breaks off.
func cut(w http.ResponseWriter, r *http.Request, contents []byte, length int) {
	from := 0
	if part := r.Header.Get("Range"); part != "" {
		_, _ = fmt.Sscanf(part, "bytes=%d-", &from) // the client is ours
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(contents)-1, len(contents)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(contents)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	_, _ = w.Write(contents[from:min(from+length, len(contents))])
	if from+length < len(contents) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestACutConnectionIsGoneOnWith(t *testing.T) {
	m := newMirror(t)
	name := m.large(300_000)
	m.interfere(func(w http.ResponseWriter, r *http.Request, contents []byte) bool {
		if !strings.HasSuffix(r.URL.Path, ".deb") {
			return false
		}
		cut(w, r, contents, 150_000)
		return true
	})
	if _, err := build(t, m.open(debian.Options{}), "a"); err != nil {
		t.Fatal(err)
	}
	if got := m.asked(name); len(got) != 3 || got[0] != name || got[1] != name+" from 150000" || got[2] != name+" from 300000" {
		t.Errorf("it was asked for %q", got)
	}
}

func TestThreeTriesEndWithWhatFailed(t *testing.T) {
	m := newMirror(t)
	name := m.large(300_000)
	downloads := t.TempDir()
	m.interfere(func(w http.ResponseWriter, r *http.Request, contents []byte) bool {
		if !strings.HasSuffix(r.URL.Path, ".deb") {
			return false
		}
		cut(w, r, contents, 10_000)
		return true
	})
	var said bytes.Buffer
	archive := m.open(debian.Options{Downloads: downloads, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	_, err := build(t, archive, "a")
	if err == nil || !strings.Contains(err.Error(), "3 times") || !strings.Contains(err.Error(), m.url+"/"+name+": ") || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("got %v", err)
	}
	if got := strings.Count(said.String(), "a try to fetch failed"); got != 3 {
		t.Errorf("%d tries were told: %s", got, said.String())
	}
	if got := m.asked(name); len(got) != 3 {
		t.Errorf("it was asked for %q", got)
	}
	m.interfere(nil)
	if _, err := build(t, m.open(debian.Options{Downloads: downloads}), "a"); err != nil {
		t.Fatal(err)
	}
	if got := m.asked(name); len(got) != 4 || got[3] != name+" from 30000" {
		t.Errorf("the next process did not go on: %q", got)
	}
}

func TestWhatArrivesDamagedIsThrownAway(t *testing.T) {
	m := newMirror(t)
	name := m.large(50_000)
	sound := m.get(name)
	damaged := bytes.Clone(sound)
	damaged[1000] ^= 1
	m.put(name, damaged)
	downloads := t.TempDir()
	_, err := build(t, m.open(debian.Options{Downloads: downloads}), "a")
	if err == nil || !strings.Contains(err.Error(), "it arrived damaged: its digest is not the one that was signed") || !strings.Contains(err.Error(), "a_1.deb") {
		t.Errorf("got %v", err)
	}
	if got := m.asked(name); len(got) != 3 || strings.Contains(strings.Join(got, ""), "from") {
		t.Errorf("it was asked for %q", got)
	}
	m.put(name, append(bytes.Clone(sound), "and more"...))
	if _, err := build(t, m.open(debian.Options{Downloads: downloads}), "a"); err != nil {
		t.Errorf("more than was asked for is not read: %v", err)
	}
	// What lies on the disk is read again before it is used.
	m.put(name, sound)
	if err := os.WriteFile(filepath.Join(downloads, digest(sound)), damaged, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(downloads, digest(sound)+".part"), bytes.Repeat([]byte("x"), len(sound)+10), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := build(t, m.open(debian.Options{Downloads: downloads}), "a"); err != nil {
		t.Errorf("damage on the disk: %v", err)
	}
}

func TestAServerThatCannotGoOnBeginsAnew(t *testing.T) {
	m := newMirror(t)
	name := m.large(100_000)
	var first sync.Once
	m.interfere(func(w http.ResponseWriter, r *http.Request, contents []byte) bool {
		if !strings.HasSuffix(r.URL.Path, ".deb") {
			return false
		}
		broken := false
		first.Do(func() { broken = true })
		if broken {
			cut(w, r, contents, 40_000)
		}
		_, _ = w.Write(contents) // all of it, whatever was asked
		return true
	})
	dir := t.TempDir()
	plan, err := m.open(debian.Options{}).Plan(t.Context(), debian.Request{Suite: "trixie", Packages: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	var last int64
	if err := plan.Fill(t.Context(), dir, func(done, _ int64) { last = done }); err != nil {
		t.Fatal(err)
	}
	if last != plan.Bytes() {
		t.Errorf("progress ended at %d of %d", last, plan.Bytes())
	}
	if got := m.asked(name); len(got) != 2 || got[1] != name+" from 40000" {
		t.Errorf("it was asked for %q", got)
	}
}

func TestAStalledServerIsGivenUp(t *testing.T) {
	m := newMirror(t)
	name := m.large(100_000)
	m.interfere(func(w http.ResponseWriter, r *http.Request, contents []byte) bool {
		if !strings.HasSuffix(r.URL.Path, ".deb") {
			return false
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(contents)))
		_, _ = w.Write(contents[:10_000])
		w.(http.Flusher).Flush()
		<-r.Context().Done() // until the client goes away
		return true
	})
	archive := m.open(debian.Options{Stall: 200 * time.Millisecond})
	_, err := build(t, archive, "a")
	if err == nil || !strings.Contains(err.Error(), "the server sent nothing for 200ms") || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v", err)
	}
	if got := m.asked(name); len(got) != 3 {
		t.Errorf("it was asked for %q", got)
	}
}

func TestAStalledIndexIsGivenUp(t *testing.T) {
	m := newMirror(t)
	m.large(1000)
	m.interfere(func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
		<-r.Context().Done()
		return true
	})
	_, err := build(t, m.open(debian.Options{Stall: 100 * time.Millisecond}), "a")
	if err == nil || !strings.Contains(err.Error(), "fetch the index of Debian trixie: "+m.url+"/"+releaseName) || len(m.asked(releaseName)) != 3 {
		t.Errorf("got %v after %d tries", err, len(m.asked(releaseName)))
	}
}

func TestAFetchCanBeStopped(t *testing.T) {
	m := newMirror(t)
	m.large(100_000)
	reached := make(chan struct{})
	var once sync.Once
	m.interfere(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if !strings.HasSuffix(r.URL.Path, ".deb") {
			return false
		}
		once.Do(func() { close(reached) })
		<-r.Context().Done()
		return true
	})
	plan, err := m.open(debian.Options{}).Plan(t.Context(), debian.Request{Suite: "trixie", Packages: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- plan.Fill(ctx, t.TempDir(), func(int64, int64) {}) }()
	<-reached
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func TestAnIndexThatJustChangedIsFoundByItsDigest(t *testing.T) {
	m := newMirror(t)
	m.simple("Acquire-By-Hash: yes\n")
	name := "main/binary-" + runtime.GOARCH
	list := m.get("dists/trixie/" + name + "/Packages.xz")
	if _, err := build(t, m.open(debian.Options{}), "a"); err != nil {
		t.Errorf("a mirror without that place: %v", err)
	}
	m.put("dists/trixie/"+name+"/by-hash/SHA256/"+digest(list), list)
	m.put("dists/trixie/"+name+"/Packages.xz", []byte("the next one"))
	if _, err := build(t, m.open(debian.Options{}), "a"); err != nil {
		t.Error(err)
	}
}

func TestTheNextMirrorIsAskedWhenOneFails(t *testing.T) {
	m, broken := newMirror(t), newMirror(t)
	name := m.large(1000)
	machine := host(t, map[string]string{
		"etc/apt/mirrors/debian.list":                   broken.url + "\tpriority:1\n# and\n" + m.url + "\n",
		"etc/apt/sources.list":                          "deb mirror+file:/etc/apt/mirrors/debian.list trixie main\n",
		"usr/share/keyrings/debian-archive-keyring.gpg": keyText(t, false, m.key),
	})
	if _, err := build(t, m.open(debian.Options{Host: machine}), "a"); err != nil {
		t.Fatal(err)
	}
	if len(broken.asked(releaseName)) == 0 || len(m.asked(name)) != 1 {
		t.Errorf("asked were %q and %q", broken.asked(""), m.asked(""))
	}
}

func TestAMirrorMayBeADirectory(t *testing.T) {
	m := newMirror(t)
	m.large(1000)
	dir := filepath.Join(t.TempDir(), "a mirror")
	for name, contents := range m.files {
		place := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(place, contents, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	keys := filepath.Join(dir, "keys.gpg")
	if err := os.WriteFile(keys, []byte(keyText(t, false, m.key)), 0o644); err != nil {
		t.Fatal(err)
	}
	o := debian.Options{Host: t.TempDir(), Mirror: "file://" + strings.ReplaceAll(dir, " ", "%20"), Keyring: keys}
	if _, err := build(t, open(t, o), "a"); err != nil {
		t.Error(err)
	}
	if got := m.asked(""); len(got) != 0 {
		t.Errorf("a server was asked: %q", got)
	}
}

func TestDownloadsAreForgottenWhenTheRootIsMade(t *testing.T) {
	m := newMirror(t)
	name := m.large(1000)
	downloads := t.TempDir()
	plan, err := m.open(debian.Options{Downloads: downloads}).Plan(t.Context(), debian.Request{Suite: "trixie", Packages: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Fill(t.Context(), t.TempDir(), func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(downloads, digest(m.get(name)))
	if _, err := os.Stat(place); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := plan.Forget(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(downloads); err != nil || len(left) != 0 {
		t.Errorf("left is %v %v", left, err)
	}
	for _, old := range []string{"x", "y.part"} {
		if err := os.WriteFile(filepath.Join(downloads, old), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(downloads, "x"), time.Time{}, time.Now().Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := debian.Sweep(downloads, 24*time.Hour, time.Now()); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(downloads + "/[xy]*")
	if err != nil || len(left) != 1 || !strings.HasSuffix(left[0], "y.part") {
		t.Errorf("left are %v %v", left, err)
	}
	if err := debian.Sweep(filepath.Join(downloads, "none"), time.Hour, time.Now()); err != nil {
		t.Errorf("no downloads at all: %v", err)
	}
}

// TestMain also plays a process that fetches and is killed.
func TestMain(m *testing.M) {
	if mirror := os.Getenv("KILN_TEST_FETCH_FROM"); mirror != "" {
		a, err := debian.Open(debian.Options{
			Mirror: mirror, Keyring: os.Getenv("KILN_TEST_KEYRING"), Downloads: os.Getenv("KILN_TEST_DOWNLOADS"), Host: "/nowhere",
		})
		if err == nil {
			var plan *debian.Plan
			if plan, err = a.Plan(context.Background(), debian.Request{Suite: "trixie", Packages: []string{"a"}}); err == nil {
				err = plan.Fill(context.Background(), os.Getenv("KILN_TEST_ROOT"), func(int64, int64) {})
			}
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // it was to be killed
	}
	os.Exit(m.Run())
}

func TestAKilledFetchIsGoneOnWith(t *testing.T) {
	m := newMirror(t)
	name := m.large(400_000)
	keys, downloads := filepath.Join(t.TempDir(), "keys"), t.TempDir()
	if err := os.WriteFile(keys, []byte(keyText(t, false, m.key)), 0o644); err != nil {
		t.Fatal(err)
	}
	m.interfere(func(w http.ResponseWriter, r *http.Request, contents []byte) bool {
		if !strings.HasSuffix(r.URL.Path, ".deb") {
			return false
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(contents)))
		_, _ = w.Write(contents[:200_000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), "KILN_TEST_FETCH_FROM="+m.url, "KILN_TEST_KEYRING="+keys, "KILN_TEST_DOWNLOADS="+downloads, "KILN_TEST_ROOT="+t.TempDir())
	var said bytes.Buffer
	child.Stderr = &said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(downloads, digest(m.get(name))+".part")
	for deadline := time.Now().Add(30 * time.Second); ; {
		if info, err := os.Stat(part); err == nil && info.Size() == 200_000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing came: %s", said.String())
		}
		runtime.Gosched()
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	m.interfere(nil)
	dir, err := build(t, open(t, debian.Options{Mirror: m.url, Keyring: keys, Downloads: downloads, Host: t.TempDir()}), "a")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir + "/usr/share/a"); err != nil || info.Size() != 400_000 {
		t.Errorf("the root is not whole: %v", err)
	}
	if got := m.asked(name); len(got) != 2 || got[1] != name+" from 200000" {
		t.Errorf("it was asked for %q", got)
	}
}
