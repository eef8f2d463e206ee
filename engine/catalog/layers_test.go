package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"kiln"
	"kiln/engine/catalog"
	"kiln/engine/catalog/storetest"
)

func layerNamed(name string) kiln.LayerID { return kiln.LayerID{Scope: home, Name: name} }

func (r *rig) layer(t test, name, zip string) *kiln.LayerVersion {
	t.Helper()
	v, err := r.PublishLayer(t.Context(), catalog.NewLayer{ID: layerNamed(name), Zip: []byte(zip), Runtimes: []string{"python3.12"}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func uses(list ...*kiln.LayerVersion) []kiln.LayerUse {
	var out []kiln.LayerUse
	for _, v := range list {
		out = append(out, kiln.LayerUse{ARN: v.ARN(), Package: v.Package})
	}
	return out
}

func numbersOf(list []*kiln.LayerVersion) []int {
	out := []int{}
	for _, v := range list {
		out = append(out, v.Number)
	}
	return out
}

func TestLayerNumbersGrowAndAreNeverGivenTwice(t *testing.T) {
	r := newRig(t)
	for n := 1; n <= 3; n++ {
		if v := r.layer(t, "l", fmt.Sprint("zip", n)); v.Number != n || v.ARN() != fmt.Sprint("arn:aws:lambda:us-east-1:000000000000:layer:l:", n) {
			t.Errorf("version %d is %d, %s", n, v.Number, v.ARN())
		}
	}
	for _, n := range []int{3, 2, 1, 3} { // the last one is gone already
		if err := r.DeleteLayerVersion(t.Context(), layerNamed("l"), n); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.LayerVersions(layerNamed("l")); len(got) > 0 || len(r.Layers(home)) > 0 {
		t.Errorf("after all were deleted there are %v, %v", got, r.Layers(home))
	}
	r.open(t) // the book is read anew
	if v := r.layer(t, "l", "zip4"); v.Number != 4 {
		t.Errorf("the next version is %d, want 4", v.Number)
	}
	if v := r.layer(t, "m", "zip4"); v.Number != 1 {
		t.Errorf("another layer begins with %d", v.Number)
	}
	_, err := r.LayerVersion(layerNamed("l"), 3)
	wantError(t, "a deleted version", err, kiln.NotFound, "The resource you requested does not exist.")
}

func TestManyPublishersOfOneLayerGetNumbersOfTheirOwn(t *testing.T) {
	r := newRig(t)
	const publishers, each = 8, 10
	var all sync.WaitGroup
	var mu sync.Mutex
	var got []int
	for p := range publishers {
		all.Go(func() {
			for n := range each {
				v, err := r.PublishLayer(t.Context(), catalog.NewLayer{ID: layerNamed("l"), Zip: fmt.Append(nil, p, " ", n)})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got = append(got, v.Number)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(got)
	for i, n := range got {
		if n != i+1 {
			t.Fatalf("numbers are %v", got)
		}
	}
	if list := numbersOf(r.LayerVersions(layerNamed("l"))); len(list) != publishers*each || list[0] != publishers*each {
		t.Errorf("the book has %v", list)
	}
}

func TestALayerIsTheSameAfterTheBookIsReadAnew(t *testing.T) {
	r := newRig(t)
	before, err := r.PublishLayer(t.Context(), catalog.NewLayer{
		ID: layerNamed("l"), Zip: []byte("x"), Description: "d", License: "MIT", Runtimes: []string{"python3.12", "python3.13"}, Architectures: []string{"arm64"},
	})
	if err != nil {
		t.Fatal(err)
	}
	before, err = r.ChangeLayerPolicy(t.Context(), before.Layer, 1, "", func(p *kiln.LayerPolicy) error {
		p.Statements = append(p.Statements, kiln.LayerStatement{ID: "s", Action: "lambda:GetLayerVersion", Principal: "*", Organization: "o-1234567890"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.open(t)
	after, err := r.LayerVersion(before.Layer, 1)
	if err != nil || fmt.Sprintf("%+v", *after) != fmt.Sprintf("%+v", *before) {
		t.Errorf("got  %+v, %v\nwant %+v", after, err, before)
	}
}

func TestAPolicyChangesOnlyForWhoSawItsLatestRevision(t *testing.T) {
	r := newRig(t)
	v := r.layer(t, "l", "x")
	add := func(revision, id string) (*kiln.LayerVersion, error) {
		return r.ChangeLayerPolicy(t.Context(), v.Layer, 1, revision, func(p *kiln.LayerPolicy) error {
			p.Statements = append(p.Statements, kiln.LayerStatement{ID: id, Principal: "*"})
			return nil
		})
	}
	first, err := add("", "a")
	if err != nil || first.Policy.RevisionID == "" {
		t.Fatalf("got %+v, %v", first, err)
	}
	second, err := add(first.Policy.RevisionID, "b")
	if err != nil || len(second.Policy.Statements) != 2 || len(first.Policy.Statements) != 1 || second.Policy.RevisionID == first.Policy.RevisionID {
		t.Errorf("got %+v after %+v, %v", second.Policy, first.Policy, err)
	}
	_, err = add(first.Policy.RevisionID, "c")
	wantError(t, "an old revision", err, kiln.Precondition, "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id")
	_, err = r.ChangeLayerPolicy(t.Context(), v.Layer, 2, "", nil)
	wantError(t, "no such version", err, kiln.NotFound, "Layer version arn:aws:lambda:us-east-1:000000000000:layer:l:2 does not exist.")
	broken := errors.New("no")
	if _, err := r.ChangeLayerPolicy(t.Context(), v.Layer, 1, "", func(*kiln.LayerPolicy) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if now, err := r.LayerVersion(v.Layer, 1); err != nil || now != second {
		t.Errorf("the book has %+v, %v", now, err)
	}
}

func TestWhatCannotBeStoredIsNotInTheBookOfLayers(t *testing.T) {
	r := newRig(t)
	v := r.layer(t, "l", "x")
	broken := errors.New("disk")
	r.store.FailWith(func([]catalog.Write) error { return broken })
	if _, err := r.PublishLayer(t.Context(), catalog.NewLayer{ID: v.Layer, Zip: []byte("y")}); kiln.CodeOf(err) != kiln.Unavailable {
		t.Errorf("publish gave %v", err)
	}
	if err := r.DeleteLayerVersion(t.Context(), v.Layer, 1); kiln.CodeOf(err) != kiln.Unavailable {
		t.Errorf("delete gave %v", err)
	}
	if _, err := r.ChangeLayerPolicy(t.Context(), v.Layer, 1, "", func(*kiln.LayerPolicy) error { return nil }); kiln.CodeOf(err) != kiln.Unavailable {
		t.Errorf("change gave %v", err)
	}
	r.store.FailWith(nil)
	if got := r.LayerVersions(v.Layer); len(got) != 1 || got[0] != v {
		t.Errorf("the book has %v", got)
	}
	if got := r.layer(t, "l", "y"); got.Number != 2 {
		t.Errorf("the next number is %d", got.Number)
	}
}

// withLayers makes a function that has layers.
func (r *rig) withLayers(t test, name string, list ...kiln.LayerUse) (*kiln.Version, error) {
	cfg := config()
	cfg.Layers = list
	return r.CreateFunction(t.Context(), catalog.New{ID: named(name), Config: cfg, Zip: []byte("code of " + name)})
}

func TestADeletedLayerVersionGoesOnWorkingForFunctionsThatHaveIt(t *testing.T) {
	r := newRig(t)
	one, two := r.layer(t, "l", "one"), r.layer(t, "m", "two")
	if _, err := r.withLayers(t, "f", uses(one, two)...); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	published := r.publish(t, "f")
	if err := r.DeleteLayerVersion(t.Context(), one.Layer, 1); err != nil {
		t.Fatal(err)
	}
	// $LATEST lets go of both; the version that was published keeps them
	if _, err := r.UpdateConfig(t.Context(), named("f"), "", func(c *kiln.Config) error { c.Layers = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	r.open(t)
	if _, err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*kiln.LayerVersion{one, two} {
		if text := r.read(t, v.Package); text == "" {
			t.Errorf("the package of %s is gone", v.ARN())
		}
	}
	if got := r.version(t, "f", "1").Config.Layers; !slices.Equal(got, published.Config.Layers) || len(got) != 2 {
		t.Errorf("the published version has %v", got)
	}
	if _, ok := r.Packages()[kiln.LayersDigest(published.Config.Layers)]; !ok {
		t.Error("what the layers make together is not kept")
	}
	// the layer that nobody has any more goes with the last function that had it
	if err := r.DeleteFunction(t.Context(), named("f")); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Sweep(t.Context()); err != nil || n != 2 { // the code and the deleted layer
		t.Errorf("the sweep removed %d, %v, want 2", n, err)
	}
	if text := r.read(t, two.Package); text != "two" {
		t.Errorf("the layer that is there has the package %q", text)
	}
}

// read gives the bytes of a package, "" when they are gone.
func (r *rig) read(t test, p kiln.Package) string {
	blob, size, err := r.blobs.Open(p.SHA256)
	if err != nil {
		return ""
	}
	defer blob.Close()
	text, err := io.ReadAll(io.NewSectionReader(blob, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestALayerThatIsNotThereCannotBeGivenToAFunction(t *testing.T) {
	r := newRig(t)
	one := r.layer(t, "l", "one")
	gone := r.layer(t, "l", "two")
	if err := r.DeleteLayerVersion(t.Context(), gone.Layer, gone.Number); err != nil {
		t.Fatal(err)
	}
	other := uses(one)[0]
	other.Package.SHA256 = gone.Package.SHA256
	for _, use := range []kiln.LayerUse{uses(gone)[0], {ARN: "nonsense"}, other} {
		_, err := r.withLayers(t, "f", use)
		wantError(t, use.ARN, err, kiln.Invalid, "Layer version "+use.ARN+" does not exist.")
	}
	r.create(t, "g", "x")
	_, err := r.UpdateConfig(t.Context(), named("g"), "", func(c *kiln.Config) error { c.Layers = uses(gone); return nil })
	wantError(t, "update", err, kiln.Invalid, "Layer version "+gone.ARN()+" does not exist.")
}

func TestAFunctionKeepsALayerThatWasDeletedWhenItIsChanged(t *testing.T) {
	r := newRig(t)
	one := r.layer(t, "l", "one")
	if _, err := r.withLayers(t, "f", uses(one)...); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	if err := r.DeleteLayerVersion(t.Context(), one.Layer, 1); err != nil {
		t.Fatal(err)
	}
	if v := r.change(t, "f", "changed"); v.Status.Update != kiln.Successful || !slices.Equal(v.Config.Layers, uses(one)) {
		t.Errorf("got %+v", v)
	}
}

func TestLayersArePartOfTheRevision(t *testing.T) {
	r := newRig(t)
	one, two := r.layer(t, "l", "one"), r.layer(t, "m", "two")
	r.create(t, "f", "x")
	seen := map[kiln.Revision]string{}
	for _, list := range [][]kiln.LayerUse{nil, uses(one), uses(one, two), uses(two, one)} {
		if _, err := r.UpdateConfig(t.Context(), named("f"), "", func(c *kiln.Config) error { c.Layers = list; return nil }); err != nil {
			t.Fatal(err)
		}
		r.idle(t)
		target, err := r.Resolve(named("f"), "")
		if err != nil {
			t.Fatal(err)
		}
		if other, there := seen[target.Revision]; there {
			t.Errorf("%v and %v have one revision", list, other)
		}
		seen[target.Revision] = fmt.Sprint(list)
	}
}

func TestCodeAndLayersTogetherHaveALimit(t *testing.T) {
	r := newRig(t)
	r.create(t, "f", "code")
	set := func(unzipped int64) error {
		v, err := r.PublishLayer(t.Context(), catalog.NewLayer{ID: layerNamed("big"), Zip: fmt.Append(nil, "size ", unzipped)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.UpdateConfig(t.Context(), named("f"), "", func(c *kiln.Config) error { c.Layers = uses(v); return nil })
		r.idle(t)
		return err
	}
	code := r.version(t, "f", "").Package.UnzippedSize
	wantError(t, "layers alone", set(kiln.MaxUnzippedSize+1), kiln.Invalid, "Layers consume more than the available size of 262144000 bytes")
	wantError(t, "layers with code", set(kiln.MaxUnzippedSize-code+1), kiln.Invalid, "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is 262144001 bytes.")
	if err := set(kiln.MaxUnzippedSize - code); err != nil {
		t.Errorf("as much as there may be: %v", err)
	}
	_, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("code and one more")})
	if kiln.CodeOf(err) != kiln.Invalid || !strings.HasPrefix(err.Error(), "Function code combined with layers") {
		t.Errorf("larger code: %v", err)
	}
	_, err = r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Zip: []byte("code and one more"), DryRun: true})
	if kiln.CodeOf(err) != kiln.Invalid {
		t.Errorf("larger code, tried only: %v", err)
	}
}

// objects are packages in S3, for tests.
type objects map[string]string

func (o objects) Open(_ context.Context, ref kiln.S3Object) (io.ReadCloser, int64, error) {
	text, ok := o[ref.Bucket+"/"+ref.Key+"@"+ref.Version]
	if !ok {
		return nil, 0, kiln.Errorf(kiln.Invalid, "no such object")
	}
	if text == "huge" {
		return io.NopCloser(zeroes{}), -1, nil
	}
	return io.NopCloser(strings.NewReader(text)), int64(len(text)), nil
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// discarding is a store of packages that keeps none of what is put into it.
type discarding struct{ *storetest.Blobs }

func (d discarding) Put(ctx context.Context, r io.Reader) (string, int64, error) {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return "", 0, err
	}
	return d.Blobs.Put(ctx, strings.NewReader(""))
}

func TestPackagesComeFromObjectsOfS3(t *testing.T) {
	r := newRig(t)
	r.objects = objects{"b/k@": "code", "b/k@v2": "newer code", "b/layer@": "layer", "b/broken@": "broken"}
	r.open(t)
	at := func(key, version string) *kiln.S3Object {
		return &kiln.S3Object{Bucket: "b", Key: key, Version: version}
	}
	if _, err := r.CreateFunction(t.Context(), catalog.New{ID: named("f"), Config: config(), Object: at("k", "")}); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	if v := r.version(t, "f", ""); r.read(t, v.Package) != "code" || v.Package.Size != 4 || v.Package.UnzippedSize != 8 {
		t.Errorf("got %+v", v.Package)
	}
	if v, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Object: at("k", "v2"), DryRun: true}); err != nil || v.Package.Size != 10 {
		t.Errorf("tried only: %+v, %v", v, err)
	}
	if v := r.version(t, "f", ""); v.Package.Size != 4 {
		t.Errorf("a dry run changed the code to %+v", v.Package)
	}
	if _, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Object: at("k", "v2")}); err != nil {
		t.Fatal(err)
	}
	r.idle(t)
	if v := r.version(t, "f", ""); r.read(t, v.Package) != "newer code" {
		t.Errorf("got %+v", v.Package)
	}
	if v, err := r.PublishLayer(t.Context(), catalog.NewLayer{ID: layerNamed("l"), Object: at("layer", "")}); err != nil || r.read(t, v.Package) != "layer" {
		t.Errorf("layer: %+v, %v", v, err)
	}
	_, err := r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Object: at("nothing", "")})
	wantError(t, "no object", err, kiln.Invalid, "no such object")
	_, err = r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Object: at("broken", "")})
	wantError(t, "not a zip", err, kiln.Invalid, "Could not unzip uploaded file. Please check your file, then try to upload again.")
	if n, err := r.Sweep(t.Context()); err != nil || n != 2 { // the first code, and what was no zip
		t.Errorf("the sweep removed %d, %v, want 2", n, err)
	}
	r.objects = nil
	r.open(t)
	_, err = r.UpdateCode(t.Context(), named("f"), catalog.CodeUpdate{Object: at("k", "")})
	wantError(t, "without S3", err, kiln.Invalid, "This server fetches no code from S3. Send it as ZipFile.")
}

func TestAnObjectThatIsTooLargeEndsOnItsWay(t *testing.T) {
	c, err := catalog.Open(t.Context(), catalog.Options{
		Store: &storetest.Store{}, Blobs: discarding{&storetest.Blobs{}}, Preparer: &preparer{}, SweepEvery: -1, Objects: objects{"b/huge@": "huge"},
		Inspect: func(io.ReaderAt, int64) (int64, error) { return 0, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.PublishLayer(t.Context(), catalog.NewLayer{ID: layerNamed("l"), Object: &kiln.S3Object{Bucket: "b", Key: "huge"}})
	wantError(t, "endless", err, kiln.Invalid, "Unzipped size must be smaller than 262144000 bytes")
}

func TestAZipThatIsSentHasALimitOfItsOwn(t *testing.T) {
	r := newRig(t)
	_, err := r.PublishLayer(t.Context(), catalog.NewLayer{ID: layerNamed("l"), Zip: make([]byte, kiln.MaxZipSize)})
	wantError(t, "sent", err, kiln.TooLarge, "Zipped size must be smaller than 52428800 bytes")
}
