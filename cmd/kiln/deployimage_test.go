package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAnImageGivesItsFunctionAName(t *testing.T) {
	for reference, want := range map[string]string{
		"hello": "hello", "hello:v1": "hello", "localhost:5000/team/hello:v1": "hello", "r.io/hello@sha256:ab": "hello",
		"oci:/tmp/hello": "hello", "oci:/tmp/hello:v1": "hello", "docker-archive:/tmp/hello.tar": "hello", "docker-archive:/tmp/hello.tar:app:v1": "hello",
		"oci-archive:/tmp/hello.tar@sha256:ab": "hello",
	} {
		if got := (&imageChoice{reference: reference}).name(); got != want {
			t.Errorf("%s gives %q, want %q", reference, got, want)
		}
	}
}

func TestAPathOfAnImageIsCompletedForTheServer(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for reference, want := range map[string]string{
		"oci:hello:v1":         "oci:" + filepath.Join(here, "hello:v1"),
		"oci:/a/../hello":      "oci:/hello",
		"docker-archive:./a.t": "docker-archive:" + filepath.Join(here, "a.t"),
		"docker.io/oci:hello":  "docker.io/oci:hello",
	} {
		i := imageChoice{reference: reference}
		if err := i.absolute(); err != nil || i.reference != want {
			t.Errorf("%s became %s, %v; want %s", reference, i.reference, err, want)
		}
	}
}

func TestMirrorsAreReadAndRefused(t *testing.T) {
	var c config
	if err := mirrors(&c, "docker.io=https://m.local, r.io:5000=http://localhost:1/,x.y=z"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"index.docker.io": "https://m.local", "r.io:5000": "http://localhost:1/", "x.y": "z"}
	for registry, mirror := range want {
		if c.RegistryMirrors[registry] != mirror {
			t.Errorf("%s has %q, want %q", registry, c.RegistryMirrors[registry], mirror)
		}
	}
	for _, bad := range []string{"docker.io", "=x", "docker.io=", "a/b=c", "a=http://", "a=b/c", "a=user@b"} {
		if mirrors(&c, bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
