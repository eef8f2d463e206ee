package api

import "kiln"

// objectOf gives the object of S3 that a request names as its package, nil when it has
// the package itself. One of the two must be there, and only one.
func objectOf(zip bool, bucket, key, version *string) (*kiln.S3Object, error) {
	named := bucket != nil || key != nil || version != nil
	switch {
	case zip && named:
		return nil, invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
	case zip:
		return nil, nil
	case !named:
		return nil, invalid("Please provide a source for function code.")
	case value(bucket) == "" || value(key) == "":
		return nil, invalid("Please provide both S3Bucket and S3Key.")
	}
	return &kiln.S3Object{Bucket: *bucket, Key: *key, Version: value(version)}, nil
}
