package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kiln"
	"kiln/box/image"
)

// three has three layers, packed in three ways, which change each other.
func three(t testing.TB) *builder {
	return newImage().
		layer(t, "gzip", dir("app/"), file("app/one", "1"), file("app/two", "2"), dir("data"), file("data/old", "old"), dir("lib"), symlink("link", "/lib"), file("replaced", "file")).
		layer(t, "zstd", file("app/.wh.two", ""), file("data/new", "new"), file("data/.wh..wh..opq", ""), file("link/through", "t"), dir("replaced")).
		layer(t, "", hardlink("app/three", "app/one"), file("./app/four", "4"), file("/etc/hosts", "theirs"))
}

func checkThree(t *testing.T, i *image.Image) {
	t.Helper()
	for name, want := range map[string]string{
		"app/one": "1", "app/two": "error: no such file or directory", "app/three": "1", "app/four": "4",
		"data/old": "error: no such file or directory", "data/new": "new", "lib/through": "t", "replaced": "error: is a directory",
		"etc/hosts": "127.0.0.1 localhost localhost.localdomain\n::1 localhost localhost.localdomain\n",
	} {
		if got := read(i, name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"dev", "mnt", "proc", "tmp", "opt", "var/task"} {
		if info, err := os.Stat(filepath.Join(i.Dir, name)); err != nil || !info.IsDir() {
			t.Errorf("%s is no directory: %v", name, err)
		}
	}
}

func TestAnImageOfARegistryIsUnpackedWithItsWhiteouts(t *testing.T) {
	host := serve(t, nil)
	ref := three(t).push(t, host, "some/app", "v1")
	s := open(t, image.Options{})
	p, err := s.Resolve(t.Context(), ref, "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	if want := host + "/some/app@sha256:" + p.SHA256; p.ImageResolved != want || p.Image != ref {
		t.Errorf("resolved to %q and %q, want %q and %q", p.Image, p.ImageResolved, ref, want)
	}
	checkThree(t, pull(t, s, ref))
	checkThree(t, pull(t, s, p.ImageResolved))
}

func TestAnImageOfALayoutIsUnpacked(t *testing.T) {
	at := three(t).layout(t)
	s := open(t, image.Options{})
	for _, ref := range []string{"oci:" + at, "oci:" + at + ":v1"} {
		checkThree(t, pull(t, s, ref))
	}
	if _, err := s.Resolve(t.Context(), "oci:"+at+":v2", "x86_64"); reason(err) != "ImageDeleted" {
		t.Errorf("a tag that is not there: %v", err)
	}
	if _, err := s.Resolve(t.Context(), "oci:relative", "x86_64"); reason(err) != "InvalidImage" {
		t.Errorf("a relative path: %v", err)
	}
	closed := open(t, image.Options{NoLocal: true})
	if _, err := closed.Resolve(t.Context(), "oci:"+at, "x86_64"); reason(err) != "InvalidImage" || !strings.Contains(err.Error(), "local-images") {
		t.Errorf("where it is switched off: %v", err)
	}
}

func TestAnArchiveIsUnpackedAsDockerSavesItAndAsOCILaysItOut(t *testing.T) {
	b := three(t)
	all, _ := b.parts(t)
	config, _ := json.Marshal(b.config)
	saved := map[string][]byte{"config.json": config}
	var names []string
	for n, l := range b.layers {
		name := fmt.Sprintf("%d/layer.tar", n)
		saved[name], names = l, append(names, name)
	}
	list, _ := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{"some/app:v1"}, "Layers": names}})
	saved["manifest.json"] = list
	_ = all
	docker := filepath.Join(t.TempDir(), "docker.tar")
	write(t, docker, archive(t, saved))

	at := b.layout(t)
	laid := map[string][]byte{}
	err := filepath.WalkDir(at, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(at, p)
		laid[name], err = os.ReadFile(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	oci := filepath.Join(t.TempDir(), "oci.tar")
	write(t, oci, archive(t, laid))

	s := open(t, image.Options{})
	for _, ref := range []string{"docker-archive:" + docker, "docker-archive:" + docker + ":some/app:v1", "docker-archive:" + docker + ":app:v1", "oci-archive:" + oci, "oci-archive:" + oci + ":v1"} {
		checkThree(t, pull(t, s, ref))
	}
	if _, err := s.Resolve(t.Context(), "docker-archive:"+docker+":other", "x86_64"); err == nil {
		t.Error("a tag that the archive does not have was found")
	}
	for name, text := range map[string][]byte{"text": []byte("no archive at all"), "empty": nil, "lies": append([]byte{0x1f, 0x8b}, docker...)} {
		f := filepath.Join(t.TempDir(), name)
		write(t, f, text)
		if _, err := s.Resolve(t.Context(), "docker-archive:"+f, "x86_64"); reason(err) != "InvalidImage" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func archive(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return b.Bytes()
}

func TestLayersOfTwoImagesAreFetchedAndUnpackedOnce(t *testing.T) {
	var blobs atomic.Int32
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
				blobs.Add(1)
			}
			next.ServeHTTP(w, r)
		})
	})
	base := file("base", strings.Repeat("x", 1000))
	one := newImage().layer(t, "gzip", base).layer(t, "gzip", file("own", "1")).push(t, host, "one", "v1")
	two := newImage().layer(t, "gzip", base).layer(t, "gzip", file("own", "2")).push(t, host, "two", "v1")
	s := open(t, image.Options{})
	a, b := pull(t, s, one), pull(t, s, two)
	if got := blobs.Load(); got != 2+2+3 { // configurations at Resolve and at Pull, and three layers
		t.Errorf("%d blobs were fetched", got)
	}
	x, y := stat(t, filepath.Join(a.Dir, "base")), stat(t, filepath.Join(b.Dir, "base"))
	if x.Ino != y.Ino {
		t.Error("the file of a shared layer is there twice")
	}
	if read(a, "own") != "1" || read(b, "own") != "2" {
		t.Error("images have each other's files")
	}
}

func stat(t testing.TB, name string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t)
}

func TestAnIndexGivesTheImageOfTheFunctionsArchitecture(t *testing.T) {
	host := serve(t, nil)
	intel, arm := newImage().layer(t, "gzip", file("which", "intel")), newImage().layer(t, "gzip", file("which", "arm"))
	arm.config.Architecture = "arm64"
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, b := range []*builder{arm, intel} {
		b.push(t, host, "multi", b.config.Architecture)
		all, digest := b.parts(t)
		index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(len(all[digest.Hex])), Digest: digest, Platform: &v1.Platform{OS: "linux", Architecture: b.config.Architecture}})
	}
	text, _ := json.Marshal(index)
	send(t, http.MethodPut, "http://"+host+"/v2/multi/manifests/both", string(types.OCIImageIndex), text)
	s := open(t, image.Options{})
	if got := read(pull(t, s, host+"/multi:both"), "which"); got != "intel" {
		t.Errorf("an index gave the image of %s", got)
	}
	other, err := s.Resolve(t.Context(), host+"/multi:both", "arm64")
	if _, digest := arm.parts(t); err != nil || other.SHA256 != digest.Hex {
		t.Errorf("for arm64: %v, %v", other, err)
	}
	_, err = s.Resolve(t.Context(), host+"/multi:arm64", "x86_64")
	if reason(err) != "InvalidImage" || !strings.Contains(err.Error(), "is for linux/arm64, and the function's architecture is x86_64") {
		t.Errorf("an image of another architecture: %v", err)
	}
	index.Manifests = index.Manifests[:1]
	text, _ = json.Marshal(index)
	send(t, http.MethodPut, "http://"+host+"/v2/multi/manifests/arm", string(types.OCIImageIndex), text)
	if _, err = s.Resolve(t.Context(), host+"/multi:arm", "x86_64"); reason(err) != "InvalidImage" {
		t.Errorf("an index without the architecture: %v", err)
	}
}

func TestAFetchGoesOnWhereItBrokeOff(t *testing.T) {
	big := make([]byte, 3<<20)
	for i := range big {
		big[i] = byte(i * i >> 7)
	}
	var ranges []string
	var cut atomic.Int32
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				if rng := r.Header.Get("Range"); rng != "" {
					ranges = append(ranges, rng)
				}
				if cut.Add(1) == 3 { // configuration at Resolve and at Pull come first
					w.Header().Set("Content-Length", fmt.Sprint(len(big)+2048))
					w.Write(tarOf(t, big)[:1<<20])
					panic(http.ErrAbortHandler)
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	ref := newImage().raw(t, "", tarOf(t, big)).push(t, host, "big", "v1")
	i := pull(t, open(t, image.Options{}), ref)
	if read(i, "big") != string(big) {
		t.Error("the file is not what it was")
	}
	if len(ranges) != 1 || !strings.HasPrefix(ranges[0], fmt.Sprintf("bytes=%d-", 1<<20)) {
		t.Errorf("ranges asked for: %q, want one from %d on", ranges, 1<<20)
	}
}

func tarOf(t testing.TB, data []byte) []byte { return archive(t, map[string][]byte{"big": data}) }

func TestARegistryThatStallsIsGivenUpAndSaid(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	var stall atomic.Value
	stall.Store("")
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if at := stall.Load().(string); at != "" && r.Method == http.MethodGet && strings.Contains(r.URL.Path, at) {
				w.Header().Set("Content-Length", "10000")
				w.Write([]byte("{"))
				w.(http.Flusher).Flush()
				select {
				case <-release:
				case <-r.Context().Done():
				}
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	b := three(t)
	ref := b.push(t, host, "slow", "v1")
	s := open(t, image.Options{Stall: 200 * time.Millisecond, Attempts: 2})
	p, err := s.Resolve(t.Context(), ref, "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"/manifests/", "/blobs/" + hashOf(b.layers[0]).String()} {
		stall.Store(at)
		err := s.Pull(t.Context(), p, "x86_64")
		if reason(err) != "InternalError" || !strings.Contains(err.Error(), "200ms") {
			t.Errorf("stalled at %s: %v", at, err)
		}
	}
	stall.Store("")
	if err := s.Pull(t.Context(), p, "x86_64"); err != nil {
		t.Errorf("well again: %v", err)
	}
}

func TestErrorsOfRegistriesHaveAWSsReasonCodes(t *testing.T) {
	var status atomic.Int32
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s := status.Load(); s != 0 && r.URL.Path != "/v2/" {
				w.WriteHeader(int(s))
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	ref := three(t).push(t, host, "app", "v1")
	s := open(t, image.Options{Attempts: 2})
	for _, c := range []struct {
		status       int32
		ref, reason  string
		want, notYet string
	}{
		{401, ref, "ImageAccessDenied", "Lambda does not have permission to access the ECR image. Check the ECR permissions.", ""},
		{403, ref, "ImageAccessDenied", "Lambda does not have permission", ""},
		{404, ref, "ImageDeleted", "Source image " + ref + " does not exist. Provide a valid source image.", ""},
		{500, ref, "InternalError", "answers 500", ""},
		{0, host + "/app:v2", "ImageDeleted", "does not exist. Provide a valid source image.", ""},
		{0, "Not A Reference", "InvalidImage", "Source image Not A Reference is not valid. Provide a valid source image.", ""},
		{0, "localhost:1/nobody/listens:v1", "InternalError", "connection refused", ""},
		{0, host + "/app@sha256:" + strings.Repeat("0", 64), "ImageDeleted", "does not exist", ""},
		{0, host + "/app@sha512:" + strings.Repeat("0", 128), "InvalidImage", "is not valid", ""},
	} {
		status.Store(c.status)
		_, err := s.Resolve(t.Context(), c.ref, "x86_64")
		if reason(err) != c.reason || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s with status %d: %q %v, want %q with %q", c.ref, c.status, reason(err), err, c.reason, c.want)
		}
	}
}

func TestARegistryIsShownTheCredentialsOfTheVariable(t *testing.T) {
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			if r.Method == http.MethodGet && (user != "me" || password != "secret") {
				w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	ref := three(t).push(t, host, "private", "v1")
	auth := `{"auths":{"` + host + `":{"auth":"bWU6c2VjcmV0"}}}`
	none := open(t, image.Options{})
	if _, err := none.Resolve(t.Context(), ref, "x86_64"); reason(err) != "ImageAccessDenied" {
		t.Errorf("without credentials: %v", err)
	}
	some := open(t, image.Options{Getenv: func(name string) string {
		return map[string]string{"DOCKER_AUTH_CONFIG": auth}[name]
	}})
	checkThree(t, pull(t, some, ref))
}

func TestAMirrorIsAskedFirstAndTheRegistryAfterIt(t *testing.T) {
	mirror := serve(t, nil)
	three(t).push(t, mirror, "some/app", "v1")
	origin := serve(t, nil)
	newImage().layer(t, "gzip", file("only", "at the origin")).push(t, origin, "other", "v1")
	s := open(t, image.Options{Mirrors: map[string]string{"123456789012.dkr.ecr.us-east-1.amazonaws.com": "http://" + mirror, origin: mirror}})
	checkThree(t, pull(t, s, "123456789012.dkr.ecr.us-east-1.amazonaws.com/some/app:v1"))
	if got := read(pull(t, s, origin+"/other:v1"), "only"); got != "at the origin" {
		t.Errorf("what the mirror does not have: %q", got)
	}
}

func TestAnImageThatIsGoneIsLostAndPulledAgain(t *testing.T) {
	host := serve(t, nil)
	b := three(t)
	ref := b.push(t, host, "app", "v1")
	data := t.TempDir()
	s := openIn(t, data, image.Options{})
	i := pull(t, s, ref)
	p, _ := s.Resolve(t.Context(), ref, "x86_64")
	damaged := hashOf(b.layers[0]).Hex
	write(t, filepath.Join(data, "images/blobs", damaged), []byte(strings.Repeat("x", len(b.layers[0]))))
	s = openIn(t, data, image.Options{Boot: "next"}) // the machine has started again
	if _, err := s.Image(t.Context(), i.Digest); !errors.Is(err, image.ErrLost) {
		t.Errorf("with a damaged blob: %v", err)
	}
	if err := s.Pull(t.Context(), p, "x86_64"); err != nil {
		t.Fatal(err)
	}
	again, err := s.Image(t.Context(), i.Digest)
	if err != nil {
		t.Fatal(err)
	}
	checkThree(t, again)
	os.RemoveAll(filepath.Join(data, "images/blobs"))
	os.MkdirAll(filepath.Join(data, "images/blobs"), 0o700)
	s = openIn(t, data, image.Options{Boot: "third"})
	if _, _, err := s.Place(t.Context(), &kiln.Version{Package: p}); !errors.Is(err, image.ErrLost) {
		t.Errorf("without blobs: %v", err)
	}
	if err := s.Pull(t.Context(), p, "x86_64"); err != nil {
		t.Error(err)
	}
}

func TestWhatNoImageNeedsAnyMoreIsCollected(t *testing.T) {
	host := serve(t, nil)
	base := file("base", "shared")
	one := newImage().layer(t, "gzip", base).layer(t, "gzip", file("own", "1")).push(t, host, "one", "v1")
	two := newImage().layer(t, "gzip", base).layer(t, "gzip", file("own", "2")).push(t, host, "two", "v1")
	now := time.Unix(1e9, 0)
	data := t.TempDir()
	s := openIn(t, data, image.Options{Grace: time.Minute, Now: func() time.Time { return now }})
	a, b := pull(t, s, one), pull(t, s, two)
	keep := func(digest string) bool { return digest == b.Digest }
	count := func(pattern string) int {
		found, _ := filepath.Glob(filepath.Join(data, "images", pattern))
		return len(found)
	}
	gc := func() {
		t.Helper()
		if err := s.GC(keep); err != nil {
			t.Fatal(err)
		}
	}
	gc()
	if read(a, "own") != "1" {
		t.Error("an image went before its grace was over")
	}
	now = now.Add(2 * time.Minute)
	gc()
	if _, err := os.Stat(a.Dir); err == nil || read(b, "own") != "2" || read(b, "base") != "shared" {
		t.Error("the wrong image was collected")
	}
	if blobs, layers := count("blobs/*"), count("unpacked-*/layers/*"); blobs != 4 || layers != 2 {
		t.Errorf("%d blobs and %d layers are left, want 4 and 2", blobs, layers)
	}
	if _, err := s.Image(t.Context(), a.Digest); !errors.Is(err, image.ErrLost) {
		t.Errorf("the collected image: %v", err)
	}
}

func TestAFunctionReplacesWhatAnImageSaysOfItself(t *testing.T) {
	b := newImage().layer(t, "gzip", tar.Header{Name: "usr/bin/prog", Uname: "#!"}, file("usr/local/bin/prog", "not executable"), dir("work"))
	b.config.Config = v1.Config{Entrypoint: []string{"prog", "-x"}, Cmd: []string{"h"}, WorkingDir: "/work", User: "nobody", Env: []string{"A=1", "PATH=/usr/local/bin:/usr/bin"}}
	s := open(t, image.Options{})
	i := pull(t, s, "oci:"+b.layout(t))
	place := func(c kiln.ImageConfig) kiln.Runtime {
		rt, files, err := s.Place(t.Context(), &kiln.Version{Package: kiln.Package{SHA256: i.Digest}, Config: kiln.Config{Image: c}})
		if err != nil {
			t.Fatal(err)
		}
		if len(files.Mounts) != 1 || files.Mounts[0].Source != i.Dir || files.Mounts[0].Target != "/" {
			t.Errorf("mounts are %v", files.Mounts)
		}
		return rt
	}
	for _, c := range []struct {
		config kiln.ImageConfig
		dir    string
		want   []string
	}{
		{kiln.ImageConfig{}, "/work", []string{"/usr/bin/prog", "-x", "h"}},
		{kiln.ImageConfig{Command: []string{"other"}}, "/work", []string{"/usr/bin/prog", "-x", "other"}},
		{kiln.ImageConfig{EntryPoint: []string{"./main"}, WorkingDirectory: "/srv"}, "/srv", []string{"/srv/main", "h"}},
		{kiln.ImageConfig{EntryPoint: []string{"absent"}}, "/work", []string{"absent", "h"}},
	} {
		rt := place(c.config)
		if fmt.Sprint(rt.Command) != fmt.Sprint(c.want) || rt.Dir != c.dir || rt.Env["A"] != "1" {
			t.Errorf("%+v gives %q in %s with %v, want %q in %s", c.config, rt.Command, rt.Dir, rt.Env, c.want, c.dir)
		}
	}
}

func TestARegistryElsewhereLeadsNobodyToThisMachine(t *testing.T) {
	var asked atomic.Int32
	near := serve(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	})
	// A registry "elsewhere": its name is not of this machine, its answers are made here.
	away := roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Host, "127.") {
			return http.DefaultTransport.RoundTrip(r)
		}
		rec := httptest.NewRecorder()
		if r.URL.Path == "/v2/" {
			rec.WriteHeader(http.StatusOK)
		} else {
			http.Redirect(rec, r, "http://"+near+"/secret", http.StatusTemporaryRedirect)
		}
		answer := rec.Result()
		answer.Request = r
		return answer, nil
	})
	s := open(t, image.Options{Transport: away})
	_, err := s.Resolve(t.Context(), "registry.example.com/app:v1", "x86_64")
	if err == nil || !strings.Contains(err.Error(), "which is this machine itself") || asked.Load() != 0 {
		t.Errorf("this machine was asked %d times: %v", asked.Load(), err)
	}
	plain := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme == "http" {
			asked.Add(1)
		}
		return nil, errors.New("no TLS here")
	})
	s = open(t, image.Options{Transport: plain})
	for _, ref := range []string{"registry.example.com/app:v1", "10.1.2.3:5000/app:v1", "host.local/app:v1"} {
		if _, err := s.Resolve(t.Context(), ref, "x86_64"); err == nil || asked.Load() != 0 {
			t.Errorf("%s was asked without TLS: %v", ref, err)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
