package main

import "testing"

func TestS3IsFoundByItsSettings(t *testing.T) {
	for _, c := range []struct {
		environ  []string
		endpoint string
		region   string
		path     bool
	}{
		{nil, "", "", false},
		{[]string{"KILN_S3_PATH_STYLE=true"}, "", "", true},
		{[]string{"KILN_S3_ENDPOINT=http://127.0.0.1:9000", "KILN_S3_REGION=eu-west-1"}, "http://127.0.0.1:9000", "eu-west-1", true},
		{[]string{"KILN_S3_ENDPOINT=https://s3.example.com", "KILN_S3_PATH_STYLE=false"}, "https://s3.example.com", "", false},
	} {
		got, _, err := load(fakeWorld(c.environ...), layers{environ: c.environ})
		if err != nil {
			t.Errorf("%q: %v", c.environ, err)
			continue
		}
		if o := got.s3(); o.Endpoint != c.endpoint || o.Region != c.region || o.PathStyle != c.path {
			t.Errorf("%q: got %+v", c.environ, o)
		}
	}
	for _, wrong := range []string{"127.0.0.1:9000", "ftp://x", "http://", "http://x?y"} {
		if err := isS3Endpoint(wrong); err == nil {
			t.Errorf("%q is taken for an address", wrong)
		}
	}
}
