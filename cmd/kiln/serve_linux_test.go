package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/box/sandbox"
)

func TestADataDirectoryHasOneHolderAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.say(holder{PID: 4711, Endpoint: "http://127.0.0.1:4566"}); err != nil {
		t.Fatal(err)
	}
	_, err = takeLock(dir)
	var held *heldError
	if !errors.As(err, &held) || held.by.PID != 4711 || !strings.Contains(err.Error(), "process id 4711, which serves http://127.0.0.1:4566") || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second time: got %v", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	second, err := takeLock(dir)
	if err != nil {
		t.Fatalf("after it was given back: %v", err)
	}
	if err := second.close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, want 0700: %v", info.Mode(), err)
	}
}

func TestTheOwnerOfADataDirectoryStaysTheSame(t *testing.T) {
	dir := t.TempDir()
	first, err := ownerOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ownerOf(dir)
	if err != nil || again != first || len(first) != 10 || strings.Trim(first, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		t.Errorf("got %q, then %q, %v", first, again, err)
	}
	if other, err := ownerOf(t.TempDir()); err != nil || other == first {
		t.Errorf("another directory got %q, %v", other, err)
	}
}

func TestCapabilitiesThatAreMissingAreNamed(t *testing.T) {
	all := sandbox.Capabilities{
		PrivateFilesystem: true, PrivateProcesses: true, PrivateNetwork: true, PrivateUser: true, MemoryLimit: true,
		CPULimit: true, PIDLimit: true, ScratchLimit: true, Freeze: true, SyscallFilter: true,
		UserLimits: true, ScratchOnDisk: true,
	}
	some := all
	some.ScratchLimit, some.Freeze, some.OutboundNetwork = false, false, true
	rootless := all
	rootless.PrivateUser, rootless.UserLimits, rootless.MemoryLimit, rootless.CPULimit, rootless.ScratchOnDisk = false, false, false, false, false
	for want, c := range map[string]sandbox.Capabilities{
		"full isolation; outbound network off: no veth":        all,
		"without limit of /tmp, freezing; outbound network on": some,
		"no isolation; the host's network":                     {},
		"without own user, memory limit, CPU limit, own share of what the kernel counts for each user, /tmp on disk; outbound network off: no veth": rootless,
	} {
		if got := capabilityText(c, "no veth", ""); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	all.OutboundNetwork = true
	if got, want := capabilityText(all, "", "pasta"), "full isolation; outbound network on, through pasta"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheDirectTransportAnswersAsAServerDoes(t *testing.T) {
	client := &http.Client{Transport: direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Echo", r.Host+r.RequestURI)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(bytes.ToUpper(body))
	})}}
	resp, err := client.Post("http://localhost/a?b=c", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusTeapot || string(body) != "HELLO" || resp.Header.Get("X-Echo") != "localhost/a?b=c" {
		t.Errorf("got %d %q %q, %v", resp.StatusCode, body, resp.Header, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(r); !errors.Is(err, context.Canceled) {
		t.Errorf("of a request that was given up: got %v, %v", resp, err)
	}
}

func TestATourBeginsWithGo(t *testing.T) {
	tour, err := planTour(fakeWorld(), filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range tour.stops {
		names = append(names, s.function.Name)
	}
	if got := strings.Join(names, " "); got != "hello-go hello-dotnet hello-java hello-node hello-python hello-ruby hello-shell" {
		t.Errorf("got %q", got)
	}
	if _, err := planTour(fakeWorld(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "no folder with a function") {
		t.Errorf("of an empty folder: got %v", err)
	}
	if _, err := planTour(fakeWorld(), "/no/such"); err == nil || !strings.Contains(err.Error(), "kiln quickstart examples") {
		t.Errorf("of no folder: got %v", err)
	}
}
