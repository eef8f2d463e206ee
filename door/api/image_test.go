package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"kiln"
	"kiln/door/api"
)

// gallery is a registry with every image but those called none.
type gallery struct{}

func (gallery) Resolve(_ context.Context, reference, _ string) (kiln.Package, error) {
	if strings.HasSuffix(reference, ":none") {
		return kiln.Package{}, &kiln.Error{Code: kiln.BadPackage, Reason: "ImageDeleted", Message: "Source image " + reference + " does not exist. Provide a valid source image."}
	}
	repo, _, _ := strings.Cut(reference, ":")
	digest := strings.Repeat("ab", 32)
	return kiln.Package{SHA256: digest, Image: reference, ImageResolved: repo + "@sha256:" + digest}, nil
}

func (gallery) Missing(context.Context, kiln.Package) bool { return false }

// Pulling tells of the image of a function called slow.
func (gallery) Pulling(v *kiln.Version) (api.PullProgress, bool) {
	return api.PullProgress{Done: 10, Total: 30}, v.Function.Name == "slow"
}

func (gallery) AddRuntime(_ context.Context, id, image string, progress func(done, total int64)) error {
	if image == "bad" {
		return kiln.Errorf(kiln.Invalid, "the image %s cannot serve %s", image, id)
	}
	progress(3, 3)
	return nil
}

func imageRequest(name, reference string, more string) string {
	return fmt.Sprintf(`{"FunctionName":%q,"Role":%q,"PackageType":"Image","Code":{"ImageUri":%q}%s}`, name, role, reference, more)
}

const functions = "/2015-03-31/functions"

func TestAFunctionOfAnImageIsDescribedAsAWSDoes(t *testing.T) {
	p := newPort(t, func(o *api.Options) { o.Images = gallery{} })
	got := wants(t, "create", p.do("POST", functions, imageRequest("f", "r.io/app:1", `,"ImageConfig":{"Command":["h"],"WorkingDirectory":"/w"}`)), 201).members(t)
	p.settle()
	if got["PackageType"] != "Image" || got["CodeSha256"] != strings.Repeat("ab", 32) || got["CodeSize"] != 0.0 || got["State"] != "Pending" {
		t.Errorf("created as %v", got)
	}
	for _, absent := range []string{"Runtime", "Handler", "Layers", "RuntimeVersionConfig"} {
		if v, ok := got[absent]; ok {
			t.Errorf("%s is %v", absent, v)
		}
	}
	if c := fmt.Sprint(got["ImageConfigResponse"]); c != "map[ImageConfig:map[Command:[h] WorkingDirectory:/w]]" {
		t.Errorf("ImageConfigResponse is %s", c)
	}
	whole := wants(t, "get", p.do("GET", functions+"/f", ""), 200).members(t)
	if c := fmt.Sprint(whole["Code"]); c != "map[ImageUri:r.io/app:1 RepositoryType:ECR ResolvedImageUri:r.io/app@sha256:"+strings.Repeat("ab", 32)+"]" {
		t.Errorf("Code is %s", c)
	}
	got = wants(t, "clear", p.do("PUT", functions+"/f/configuration", `{"ImageConfig":{}}`), 200).members(t)
	if v, ok := got["ImageConfigResponse"]; ok {
		t.Errorf("an empty ImageConfig leaves %v", v)
	}
}

func TestWhatDoesNotGoWithAPackageTypeIsRefusedInAWSsWords(t *testing.T) {
	p := newPort(t, func(o *api.Options) { o.Images = gallery{} })
	wants(t, "create", p.do("POST", functions, imageRequest("image", "r.io/app:1", "")), 201)
	p.create("zip", nil)
	const (
		noHandler = "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
		noConfig  = "Please don't provide ImageConfig when the intended function PackageType is Zip."
		give      = "Please provide ImageUri when updating a function with packageType Image."
	)
	for _, c := range []struct{ what, method, path, body, want string }{
		{"runtime", "POST", "", imageRequest("x", "r.io/app:1", `,"Runtime":"python3.12"`), noHandler},
		{"handler", "POST", "", imageRequest("x", "r.io/app:1", `,"Handler":"h"`), noHandler},
		{"layers", "POST", "", imageRequest("x", "r.io/app:1", `,"Layers":["arn:aws:lambda:eu-west-1:111111111111:layer:l:1"]`), noHandler},
		{"no image", "POST", "", `{"FunctionName":"x","Role":"` + role + `","PackageType":"Image","Code":{}}`, "Please provide ImageUri when the intended function PackageType is Image."},
		{"an image that is not there", "POST", "", imageRequest("x", "r.io/app:none", ""), "Source image r.io/app:none does not exist. Provide a valid source image."},
		{"too much", "POST", "", imageRequest("x", "r.io/app:1", `,"ImageConfig":{"Command":["`+strings.Repeat("c", 17000)+`"]}`), "ImageConfig exceeds the limit of 16 KB for the settings of a container image."},
		{"NUL", "POST", "", imageRequest("x", "r.io/app:1", `,"ImageConfig":{"Command":["a\u0000b"]}`), "ImageConfig contains a NUL character, which no process can be given."},
		{"an image without its type", "POST", "", request(t, "x", map[string]any{"Code": map[string]any{"ImageUri": "r.io/app:1"}}), "Please don't provide ImageUri when the intended function PackageType is Zip."},
		{"configuration of an image", "POST", "", request(t, "x", map[string]any{"ImageConfig": map[string]any{"Command": []string{"h"}}}), noConfig},
		{"a zip for an image", "PUT", "/image/code", `{"ZipFile":"` + code(t, "x") + `"}`, give},
		{"nothing for an image", "PUT", "/image/code", `{}`, give},
		{"an image for a zip", "PUT", "/zip/code", `{"ImageUri":"r.io/app:1"}`, "Please don't provide ImageUri when updating a function with packageType Zip."},
		{"a handler for an image", "PUT", "/image/configuration", `{"Handler":"h"}`, noHandler},
		{"an ImageConfig for a zip", "PUT", "/zip/configuration", `{"ImageConfig":{"EntryPoint":["/x"]}}`, noConfig},
	} {
		path := functions
		switch {
		case strings.HasSuffix(c.path, "/code"), strings.HasSuffix(c.path, "/configuration"):
			path += c.path
		}
		refused(t, c.what, p.do(c.method, path, c.body), 400, "InvalidParameterValueException", c.want)
		p.settle()
	}
}

func TestHowFarAPullIsCanBeAsked(t *testing.T) {
	p := newPort(t, func(o *api.Options) { o.Images = gallery{} })
	for _, name := range []string{"slow", "fast"} {
		wants(t, "create", p.do("POST", functions, imageRequest(name, "r.io/app:1", "")), 201)
	}
	p.settle()
	if got := wants(t, "slow", p.do("GET", "/_kiln/v1/pulls/slow", ""), 200).members(t); got["done"] != 10.0 || got["total"] != 30.0 {
		t.Errorf("the pull is %v", got)
	}
	wants(t, "fast", p.do("GET", "/_kiln/v1/pulls/fast", ""), 404)
	wants(t, "none", p.do("GET", "/_kiln/v1/pulls/none", ""), 404)
	wants(t, "without images", newPort(t).do("GET", "/_kiln/v1/pulls/slow", ""), 501)
	if got := wants(t, "runtime", p.do("POST", "/_kiln/v1/runtimes/python3.8?image=r.io/python:3.8", ""), 200); !strings.Contains(got.body, `"ready":true`) {
		t.Errorf("adding a runtime answers %s", got.body)
	}
	wants(t, "a bad image", p.do("POST", "/_kiln/v1/runtimes/python3.8?image=bad", ""), 400)
}

func TestAFunctionCannotLookThroughImagesWhereItMayNot(t *testing.T) {
	p := newPort(t, func(o *api.Options) { o.Images = gallery{} })
	f := chamberOf(t, p.inside(), account, "f")
	wants(t, "create outside", p.do("POST", functions, imageRequest("image", "oci:/var/lib/image:1", "")), 201)
	p.settle()
	for n, reference := range []string{"oci:/etc", "oci-archive:/etc/shadow", "docker-archive:/x", "localhost/a:1", "localhost:5000/a:1", "127.0.0.1/a:1", "127.1/a:1", "10.0.0.1/a:1",
		"[::1]/a:1", "[::1]:443/a:1", "169.254.169.254/latest:1", "r.io:8080/a:1", "a.localhost/a:1", "a.localhost./a:1"} {
		for method, body := range map[string]string{"POST": imageRequest(fmt.Sprint("x", n), reference, ""), "PUT": fmt.Sprintf(`{"ImageUri":%q}`, reference)} {
			path := functions
			if method == "PUT" {
				path += "/image/code"
			}
			got := f.do(method, path, body)
			if got.status != 400 || !strings.HasPrefix(got.message(), "Source image "+reference+" is not valid.") {
				t.Errorf("%s %s: %d %s", method, reference, got.status, got.body)
			}
		}
	}
	for n, reference := range []string{"r.io/a:1", "r.io:443/a:1", "ubuntu:22.04", "team/app:1"} {
		wants(t, reference, f.do("POST", functions, imageRequest(fmt.Sprint("y", n), reference, "")), 201)
		p.settle()
	}
}
