package main

import (
	"errors"
	"net/url"

	"kiln/back/s3code"
)

// s3 gives where code that requests name by bucket and key is fetched from.
func (c *config) s3() s3code.Options {
	return s3code.Options{
		Endpoint: c.S3Endpoint, Region: c.S3Region,
		PathStyle: c.S3PathStyle == "true" || c.S3PathStyle == "auto" && c.S3Endpoint != "",
	}
}

// isS3Endpoint accepts the address of a server, or none.
func isS3Endpoint(s string) error {
	u, err := url.Parse(s)
	if s == "" || err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.RawQuery == "" && u.Fragment == "" {
		return nil
	}
	return errors.New("an http or https URL such as http://127.0.0.1:9000 is expected")
}

// isSQSEndpoint accepts the address of a server, the word aws, or nothing.
func isSQSEndpoint(s string) error {
	if s == "aws" || isS3Endpoint(s) == nil {
		return nil
	}
	return errors.New("an http or https URL such as http://127.0.0.1:9324, or aws, is expected")
}
