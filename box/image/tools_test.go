package image_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"kiln/box/image"
)

// TestImagesThatOtherToolsWriteAreUnpacked takes the same image through the writers of
// a library that is not kiln's own.
func TestImagesThatOtherToolsWriteAreUnpacked(t *testing.T) {
	b := three(t)
	_, digest := b.parts(t)
	at, err := layout.FromPath(b.layout(t))
	if err != nil {
		t.Fatal(err)
	}
	i, err := at.Image(digest)
	if err != nil {
		t.Fatal(err)
	}
	host := serve(t, nil)
	tag, err := name.NewTag(host + "/some/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(t.TempDir(), "saved.tar")
	if err := tarball.WriteToFile(saved, tag, i); err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, i, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	s := open(t, image.Options{})
	for _, ref := range []string{"docker-archive:" + saved, "docker-archive:" + saved + ":" + tag.Name(), tag.Name()} {
		checkThree(t, pull(t, s, ref))
	}
}
