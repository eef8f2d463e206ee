package s3code_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"kiln"
	"kiln/back/s3code"
)

// clean leaves only the credentials of the test in the environment.
func clean(t *testing.T) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
}

// shop is an S3 server with a bucket of versions.
type shop struct {
	*s3mem.Backend
	*httptest.Server
	last *http.Request
}

func openShop(t *testing.T) *shop {
	t.Helper()
	clean(t)
	s := &shop{Backend: s3mem.New()}
	inner := gofakes3.New(s.Backend).Server()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.last = r
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Server.Close)
	if err := s.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetVersioningConfiguration("bucket", gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) put(t *testing.T, key string, text []byte) (version string) {
	t.Helper()
	r, err := s.PutObject("bucket", key, nil, bytes.NewReader(text), int64(len(text)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(r.VersionID)
}

func fetch(t *testing.T, o s3code.Options, ref kiln.S3Object) (string, error) {
	t.Helper()
	body, size, err := s3code.New(o).Open(t.Context(), ref)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(body)
	if err == nil && size != int64(len(text)) {
		t.Errorf("size %d was said, %d bytes came", size, len(text))
	}
	return string(text), errors.Join(err, body.Close())
}

// mustRefuse holds an error to its code and the text that a client sees.
func mustRefuse(t *testing.T, what string, err error, code kiln.Code, text string) {
	t.Helper()
	var e *kiln.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("%s: got %v, want %s %q", what, err, code, text)
	}
}

func TestAnObjectComesInTheVersionThatIsNamed(t *testing.T) {
	s := openShop(t)
	big := bytes.Repeat([]byte("0123456789"), 1<<18)
	first := s.put(t, "some/key of.zip", []byte("first"))
	s.put(t, "some/key of.zip", big)
	o := s3code.Options{Endpoint: s.URL, PathStyle: true, Region: "eu-west-1"}
	if got, err := fetch(t, o, kiln.S3Object{Bucket: "bucket", Key: "some/key of.zip"}); err != nil || got != string(big) {
		t.Errorf("the latest: %d bytes, %v", len(got), err)
	}
	if a := s.last.Header.Get("Authorization"); !strings.Contains(a, "Credential=key/") || !strings.Contains(a, "/eu-west-1/s3/") {
		t.Errorf("signed with %s", a)
	}
	if got, err := fetch(t, o, kiln.S3Object{Bucket: "bucket", Key: "some/key of.zip", Version: first}); err != nil || got != "first" {
		t.Errorf("the first: %q, %v", got, err)
	}
}

func TestWhatIsNotThereIsSaidInAWSsWords(t *testing.T) {
	s := openShop(t)
	s.put(t, "key", []byte("x"))
	o := s3code.Options{Endpoint: s.URL, PathStyle: true}
	for _, c := range []struct {
		ref  kiln.S3Object
		want string
	}{
		{kiln.S3Object{Bucket: "bucket", Key: "nothing"}, "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."},
		{kiln.S3Object{Bucket: "no-bucket", Key: "key"}, "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist"},
		{kiln.S3Object{Bucket: "bucket", Key: "key", Version: "0123"}, "Error occurred while GetObject. S3 Error Code: NoSuchVersion. S3 Error Message: The specified version does not exist."},
	} {
		_, err := fetch(t, o, c.ref)
		mustRefuse(t, fmt.Sprint(c.ref), err, kiln.Invalid, c.want)
	}
}

func TestARefusalOfS3IsPassedOn(t *testing.T) {
	clean(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, status := "AccessDenied", http.StatusForbidden
		if strings.Contains(r.URL.Path, "moved") {
			code, status = "PermanentRedirect", http.StatusMovedPermanently
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>Because.</Message></Error>", code)
	}))
	defer srv.Close()
	o := s3code.Options{Endpoint: srv.URL, PathStyle: true}
	_, err := fetch(t, o, kiln.S3Object{Bucket: "bucket", Key: "key"})
	mustRefuse(t, "denied", err, kiln.Denied, "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for bucket/key. S3 Error Code: AccessDenied. S3 Error Message: Because.")
	_, err = fetch(t, o, kiln.S3Object{Bucket: "moved", Key: "key"})
	mustRefuse(t, "moved", err, kiln.Invalid, "Error occurred while GetObject. S3 Error Code: PermanentRedirect. S3 Error Message: Because.")
}

func TestWithoutCredentialsTheServerSaysWhatIsMissing(t *testing.T) {
	s := openShop(t)
	os.Unsetenv("AWS_ACCESS_KEY_ID")
	os.Unsetenv("AWS_SECRET_ACCESS_KEY")
	_, err := fetch(t, s3code.Options{Endpoint: s.URL, PathStyle: true}, kiln.S3Object{Bucket: "bucket", Key: "key"})
	mustRefuse(t, "no credentials", err, kiln.Invalid, "Code cannot be fetched from S3: this server has no credentials for "+s.URL+". Start it with AWS_ACCESS_KEY_ID")
	if s.last != nil {
		t.Error("a request was sent")
	}
	t.Setenv("AWS_PROFILE", "nobody")
	_, err = fetch(t, s3code.Options{Endpoint: s.URL}, kiln.S3Object{Bucket: "bucket", Key: "key"})
	mustRefuse(t, "a profile that is not there", err, kiln.Invalid, "Code cannot be fetched from S3")
}

func TestCredentialsAndRegionComeFromAProfile(t *testing.T) {
	s := openShop(t)
	s.put(t, "key", []byte("x"))
	os.Unsetenv("AWS_ACCESS_KEY_ID")
	os.Unsetenv("AWS_SECRET_ACCESS_KEY")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"credentials": "[work]\naws_access_key_id = profiled\naws_secret_access_key = x\n",
		"config":      "[profile work]\nregion = eu-north-1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
	t.Setenv("AWS_PROFILE", "work")
	if got, err := fetch(t, s3code.Options{Endpoint: s.URL, PathStyle: true}, kiln.S3Object{Bucket: "bucket", Key: "key"}); err != nil || got != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	if a := s.last.Header.Get("Authorization"); !strings.Contains(a, "Credential=profiled/") || !strings.Contains(a, "/eu-north-1/s3/") {
		t.Errorf("signed with %s", a)
	}
}

// TestTheEndpointOfKilnItselfIsNotTakenForS3 has AWS_ENDPOINT_URL set, as whoever works
// with kiln's clients has it.
func TestTheEndpointOfKilnItselfIsNotTakenForS3(t *testing.T) {
	s := openShop(t)
	s.put(t, "key", []byte("x"))
	strange := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("kiln itself was asked") }))
	defer strange.Close()
	t.Setenv("AWS_ENDPOINT_URL", strange.URL)
	if got, err := fetch(t, s3code.Options{Endpoint: s.URL, PathStyle: true}, kiln.S3Object{Bucket: "bucket", Key: "key"}); err != nil || got != "x" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAServerThatIsNotThereIsSaid(t *testing.T) {
	clean(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	_, err = fetch(t, s3code.Options{Endpoint: url, PathStyle: true}, kiln.S3Object{Bucket: "bucket", Key: "key"})
	mustRefuse(t, "nobody", err, kiln.Unavailable, "The object key of the bucket bucket could not be fetched from "+url+": connection refused.")
}

func TestAServerThatStallsIsGivenUp(t *testing.T) {
	clean(t)
	over := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/half") {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half of it")
			w.(http.Flusher).Flush()
		}
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(over)
	o := s3code.Options{Endpoint: srv.URL, PathStyle: true, Stall: 200 * time.Millisecond}
	for _, key := range []string{"half", "nothing"} {
		_, err := fetch(t, o, kiln.S3Object{Bucket: "bucket", Key: key})
		mustRefuse(t, key, err, kiln.Unavailable, "S3 sent nothing for too long; the fetch was given up.")
	}
}

func TestAnObjectThatEndsEarlyIsNoObject(t *testing.T) {
	clean(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half of it")
	}))
	defer srv.Close()
	_, err := fetch(t, s3code.Options{Endpoint: srv.URL, PathStyle: true}, kiln.S3Object{Bucket: "bucket", Key: "key"})
	mustRefuse(t, "half", err, kiln.Unavailable, "could not be fetched from "+srv.URL+": unexpected EOF.")
}

func TestACallerWhoGoesAwayEndsTheFetch(t *testing.T) {
	clean(t)
	gone := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	defer srv.Close()
	ctx, stop := context.WithCancel(t.Context())
	body, _, err := s3code.New(s3code.Options{Endpoint: srv.URL, PathStyle: true}).Open(ctx, kiln.S3Object{Bucket: "bucket", Key: "key"})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := io.ReadAll(body); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	<-gone
}
