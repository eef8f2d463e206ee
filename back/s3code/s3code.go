package s3code

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"kiln"
)

// Options says where S3 is.
type Options struct {
	// Endpoint is the URL of a server that speaks S3; "" is AWS's own.
	Endpoint string
	// Region is "" for that of the environment or the profile, and else us-east-1.
	Region string
	// PathStyle names buckets in the path instead of in the host name.
	PathStyle bool
	// Stall is how long nothing may come before a fetch is given up; 0 is 30 seconds.
	Stall time.Duration
}

// credentialsTime bounds the search for credentials: a machine that is not in a cloud
// must not wait for a cloud's answer.
const credentialsTime = 10 * time.Second

// Source is S3 as one server sees it. It is safe for concurrent use.
type Source struct {
	o    Options
	http *awshttp.BuildableClient
}

// New makes a source. Nothing is sent and no credentials are looked for yet.
func New(o Options) *Source {
	o.Stall = cmp.Or(o.Stall, 30*time.Second)
	return &Source{o, awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxIdleConnsPerHost = 2 })}
}

// Open opens an object. size is -1 when it is not known. What the caller asked for
// wrongly is a *kiln.Error with AWS's text, what keeps the server from fetching it one
// that says so. The caller closes body; nothing is left of a failed Open.
func (s *Source) Open(ctx context.Context, o kiln.S3Object) (body io.ReadCloser, size int64, err error) {
	client, err := s.client(ctx)
	if err != nil {
		return nil, 0, err
	}
	w := watch(ctx, s.o.Stall)
	in := &s3.GetObjectInput{Bucket: &o.Bucket, Key: &o.Key}
	if o.Version != "" {
		in.VersionId = &o.Version
	}
	out, err := client.GetObject(w.ctx, in)
	if err != nil {
		defer w.end()
		return nil, 0, w.explain(s.refusal(ctx, o, err))
	}
	w.saw()
	size = -1
	if out.ContentLength != nil {
		size = *out.ContentLength
	}
	return &object{out.Body, w, func(err error) error { return s.refusal(ctx, o, err) }}, size, nil
}

// client makes a client with the credentials that are there now.
func (s *Source) client(ctx context.Context) (*s3.Client, error) {
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(s.http)}
	if s.o.Region != "" {
		load = append(load, config.WithRegion(s.o.Region))
	}
	if s.o.Endpoint != "" { // a server of one's own knows no roles of AWS's machines
		load = append(load, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, s.noWay(ctx, err)
	}
	cfg.Region = cmp.Or(cfg.Region, kiln.DefaultRegion)
	searching, cancel := context.WithTimeout(ctx, credentialsTime)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(searching); err != nil {
		return nil, s.noWay(ctx, err)
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		// Not AWS_ENDPOINT_URL, which whoever starts kiln may have set for clients of
		// kiln.
		o.BaseEndpoint = nil
		if s.o.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.o.Endpoint)
		}
		o.UsePathStyle = s.o.PathStyle
		o.DisableLogOutputChecksumValidationSkipped = true
	}), nil
}

// noWay says that this server has no credentials, and what to do.
func (s *Source) noWay(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &kiln.Error{Code: kiln.Invalid, Err: err, Message: "Code cannot be fetched from S3: this server has no credentials for " + s.where() +
		". Start it with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE set (and s3-endpoint, unless it is AWS's), or send the code as ZipFile."}
}

// where names the S3 that is meant.
func (s *Source) where() string { return cmp.Or(s.o.Endpoint, "AWS's S3") }

// refusal turns an error of S3 into that of the request, in AWS's words, and any other
// one into what keeps the server from fetching.
func (s *Source) refusal(ctx context.Context, o kiln.S3Object, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var said smithy.APIError
	if !errors.As(err, &said) {
		return &kiln.Error{Code: kiln.Unavailable, Message: fmt.Sprintf("The object %s of the bucket %s could not be fetched from %s: %s.", o.Key, o.Bucket, s.where(), reason(err)), Err: err}
	}
	code := said.ErrorCode()
	text := said.ErrorMessage()
	if text == "" || text == code {
		text = cmp.Or(texts[code], text)
	}
	tail := "S3 Error Code: " + code + ". S3 Error Message: " + text
	if code == "AccessDenied" {
		return kiln.Errorf(kiln.Denied, "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for %s/%s. %s", o.Bucket, o.Key, tail)
	}
	return kiln.Errorf(kiln.Invalid, "Error occurred while GetObject. %s", tail)
}

// texts are what S3 itself says where another server says nothing.
var texts = map[string]string{
	"NoSuchKey":     "The specified key does not exist.",
	"NoSuchBucket":  "The specified bucket does not exist",
	"NoSuchVersion": "The specified version does not exist.",
	"AccessDenied":  "Access Denied",
}

// reason gives the innermost cause of an error of the network, which is all that says
// something to a user.
func reason(err error) string {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return strings.TrimSuffix(err.Error(), ".")
}
