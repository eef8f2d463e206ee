package catalog_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"kiln"
	"kiln/engine/catalog"
)

// gallery is a registry of images, of which some are on this machine.
type gallery struct {
	mu   sync.Mutex
	gone map[string]bool // references that do not exist any more
	lost map[string]bool // digests that are not here any more
}

var errGone = &kiln.Error{Code: kiln.BadPackage, Reason: "ImageDeleted", Message: "Source image does not exist."}

func (g *gallery) Resolve(_ context.Context, reference, architecture string) (kiln.Package, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone[reference] {
		return kiln.Package{}, errGone
	}
	digest := strings.Repeat(string(reference[0]), 64)
	return kiln.Package{SHA256: digest, Image: reference, ImageResolved: reference + "@sha256:" + digest}, nil
}

func (g *gallery) Missing(_ context.Context, p kiln.Package) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lost[p.SHA256]
}

func (g *gallery) change(f func(g *gallery)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(g)
}

// prepare pulls what is lost.
func (g *gallery) prepare(v *kiln.Version) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone[v.Package.Image] && g.lost[v.Package.SHA256] {
		return errGone
	}
	delete(g.lost, v.Package.SHA256)
	return nil
}

func openGallery(t *testing.T) (*rig, *gallery) {
	t.Helper()
	g := &gallery{gone: map[string]bool{}, lost: map[string]bool{}}
	r := newRig(t)
	r.images = g
	r.preps.fail = g.prepare
	r.open(t)
	return r, g
}

func newImage(name, reference string) catalog.New {
	return catalog.New{ID: named(name), Image: reference, Config: kiln.Config{
		PackageType: kiln.PackageTypeImage, Architecture: "x86_64", Image: kiln.ImageConfig{Command: []string{"h"}}}}
}

func state(t *testing.T, r *rig, name string) kiln.Status {
	t.Helper()
	v, err := r.Version(named(name), "")
	if err != nil {
		t.Fatal(err)
	}
	return v.Status
}

func TestAnImageIsKeptByItsDigestAndReadBack(t *testing.T) {
	r, _ := openGallery(t)
	v, err := r.CreateFunction(t.Context(), newImage("f", "a/image:1"))
	if err != nil {
		t.Fatal(err)
	}
	if v.Status.State != kiln.Pending {
		t.Errorf("state is %s, want Pending", v.Status.State)
	}
	r.idle(t)
	r.open(t)
	v, err = r.Version(named("f"), "")
	if err != nil || v.Status.State != kiln.Active || v.Package.Image != "a/image:1" || !v.Config.FromImage() || len(v.Config.Image.Command) != 1 ||
		v.Package.ImageResolved != "a/image:1@sha256:"+strings.Repeat("a", 64) {
		t.Errorf("got %+v, %v", v, err)
	}
	if _, ok := r.Packages()[strings.Repeat("a", 64)]; !ok {
		t.Error("the image is not among what is needed")
	}
}

func TestCodeOfTheOtherPackageTypeIsRefused(t *testing.T) {
	r, _ := openGallery(t)
	if _, err := r.CreateFunction(t.Context(), newImage("f", "a/image:1")); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	_, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("zip")})
	if err == nil || err.Error() != "Please provide ImageUri when updating a function with packageType Image." {
		t.Errorf("a zip for an image: %v", err)
	}
	v, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Image: "b/image:2", DryRun: true})
	if err != nil || v.Package.Image != "b/image:2" {
		t.Errorf("a dry run: %+v, %v", v, err)
	}
	r.idle(t)
	if v, _ := r.Version(named("f"), ""); v.Package.Image != "a/image:1" {
		t.Error("a dry run has changed the image")
	}
	if _, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Image: "b/image:2"}); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	if v, _ := r.Version(named("f"), ""); v.Package.Image != "b/image:2" || v.Status.Update != kiln.Successful {
		t.Errorf("after the update: %+v", v)
	}
}

func TestAnImageThatCannotBePulledFailsWithItsOwnReasonCode(t *testing.T) {
	r, _ := openGallery(t)
	r.preps.fail = func(*kiln.Version) error { return errGone }
	if _, err := r.CreateFunction(t.Context(), newImage("f", "a/image:1")); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	if s := state(t, r, "f"); s.State != kiln.Failed || s.ReasonCode != "ImageDeleted" {
		t.Errorf("status is %+v, want Failed with ImageDeleted", s)
	}
}

func TestALostImageIsPulledAgainAndMeanwhileInactiveOrPending(t *testing.T) {
	r, g := openGallery(t)
	if _, err := r.CreateFunction(t.Context(), newImage("f", "a/image:1")); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	target, err := r.Resolve(named("f"), "")
	if err != nil {
		t.Fatal(err)
	}
	r.Lost(target.Version) // which is not true
	r.idle(t)
	if s := state(t, r, "f"); s.State != kiln.Active {
		t.Errorf("an image that is here made %+v", s)
	}

	digest := target.Version.Package.SHA256
	g.change(func(g *gallery) { g.lost[digest], g.gone["a/image:1"] = true, true })
	r.Lost(target.Version)
	r.Lost(target.Version)
	r.idle(t)
	if s := state(t, r, "f"); s.State != kiln.Inactive || s.ReasonCode != "ImageDeleted" {
		t.Errorf("an image that is nowhere made %+v, want Inactive with ImageDeleted", s)
	}
	if _, err := r.Publish(t.Context(), named("f"), catalog.Publication{}); kiln.CodeOf(err) != kiln.Conflict {
		t.Errorf("what cannot run was published: %v", err)
	}
	r.open(t)
	if s := state(t, r, "f"); s.State != kiln.Inactive {
		t.Errorf("read back: %+v", s)
	}
	g.change(func(g *gallery) { g.gone = map[string]bool{} })
	var refusal *kiln.Error
	if _, err := r.Resolve(named("f"), ""); !errors.As(err, &refusal) || refusal.Code != kiln.Conflict || !strings.Contains(refusal.Message, "Inactive") {
		t.Errorf("a call of an inactive function: %v", err)
	}
	r.idle(t)
	if s := state(t, r, "f"); s.State != kiln.Active || s.ReasonCode != "" {
		t.Errorf("after it came back: %+v", s)
	}
	if again, err := r.Resolve(named("f"), ""); err != nil || again.Revision != target.Revision {
		t.Errorf("it runs as %v, %v", again, err)
	}
}

func TestAPullThatTakesLongKeepsNoZipWaiting(t *testing.T) {
	r, _ := openGallery(t)
	gate := make(chan struct{})
	r.preps.fail = func(v *kiln.Version) error {
		if v.Config.FromImage() {
			<-gate
		}
		return nil
	}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		if _, err := r.CreateFunction(t.Context(), newImage(name, name+"/image:1")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.CreateFunction(t.Context(), catalog.New{ID: named("zip"), Zip: []byte("zip")}); err != nil {
		t.Fatal(err)
	}
	for state(t, r, "zip").State != kiln.Active {
		if t.Context().Err() != nil {
			t.Fatal("the zip waits for the images")
		}
	}
	if s := state(t, r, "a"); s.State != kiln.Pending {
		t.Errorf("the image is %s while it is pulled", s.State)
	}
	close(gate)
	r.idle(t)
}
