// Package sqs reads queues: AWS's own, or those of any server that speaks SQS.
//
// A message that is done is deleted. One that is not is left alone: it comes again when
// its visibility timeout is over, and goes to the dead-letter queue when the queue says
// so. The package keeps no message and makes no queue.
package sqs

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"kiln"
	"kiln/engine/mapping"
)

// Options says where the queues are.
type Options struct {
	// Endpoint is the URL of a server that speaks SQS; "" is AWS's own.
	Endpoint string
	// Address gives the URL of a queue by the rule that the server has for it; nil asks the
	// server, which takes a permission that roles for mappings do not have on AWS.
	Address func(region, account, name string) string
	// Transport is the way to it; nil is the network.
	Transport http.RoundTripper
	// Credentials gives what requests for a mapping are signed with; nil looks for the
	// server's own where AWS's tools have them.
	Credentials func(m *kiln.Mapping) (Credentials, error)
}

// Credentials is what requests are signed with.
type Credentials struct {
	KeyID, Secret, Token string
	Expires              time.Time // zero is never
}

// callTime bounds a request, beyond what it is to wait for messages.
const callTime = 15 * time.Second

// Source is a service of queues. It is safe for concurrent use.
type Source struct {
	o    Options
	http *http.Client
}

var _ mapping.Source = (*Source)(nil)

// New makes a source. Nothing is sent yet.
func New(o Options) *Source {
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone() // it is one unless somebody replaced it
		t.MaxIdleConnsPerHost = 64
		o.Transport = t
	}
	return &Source{o, &http.Client{Transport: o.Transport}}
}

// Check is mapping.Source.
func (s *Source) Check(ctx context.Context, m *kiln.Mapping, timeout time.Duration) error {
	q, err := s.open(ctx, m)
	if err != nil {
		return err
	}
	switch {
	case q.ordered && m.BatchSize > kiln.MaxFIFOBatch:
		return kiln.Errorf(kiln.Invalid, "Batch size of a FIFO queue cannot be greater than %d.", kiln.MaxFIFOBatch)
	case q.ordered && m.Window > 0:
		return kiln.Errorf(kiln.Invalid, "Batching window is not supported for FIFO queues.")
	case q.hold < timeout:
		return kiln.Errorf(kiln.Invalid, "Queue visibility timeout: %d seconds is less than Function timeout: %d seconds", int(q.hold.Seconds()), int(timeout.Seconds()))
	}
	return nil
}

// Open is mapping.Source: a queue has one lane.
func (s *Source) Open(ctx context.Context, m *kiln.Mapping) ([]mapping.Lane, error) {
	q, err := s.open(ctx, m)
	if err != nil {
		return nil, err
	}
	return []mapping.Lane{q}, nil
}

// open finds a queue and what it says of itself.
func (s *Source) open(ctx context.Context, m *kiln.Mapping) (*queue, error) {
	parts := strings.SplitN(m.Source, ":", 6)
	if len(parts) != 6 || parts[5] == "" || parts[3] == "" || parts[4] == "" {
		return nil, kiln.Errorf(kiln.Invalid, "Unrecognized event source.")
	}
	region, account, name := parts[3], parts[4], parts[5]
	client, err := s.client(ctx, m, region)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	url, err := s.address(ctx, client, region, account, name)
	if err != nil {
		return nil, s.refusal(err)
	}
	about, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameVisibilityTimeout},
	})
	if err != nil {
		return nil, s.refusal(err)
	}
	seconds, err := strconv.Atoi(about.Attributes[string(types.QueueAttributeNameVisibilityTimeout)])
	if err != nil {
		return nil, kiln.Errorf(kiln.Unavailable, "The server of the queue does not say for how long its messages are hidden.")
	}
	return &queue{
		source: s, client: client, url: url, arn: m.Source, region: region,
		ordered: strings.HasSuffix(name, ".fifo"), hold: time.Duration(seconds) * time.Second, documents: len(m.Filters) > 0,
	}, nil
}

// address gives the URL of a queue.
func (s *Source) address(ctx context.Context, client *sqs.Client, region, account, name string) (string, error) {
	switch {
	case s.o.Address != nil:
		return s.o.Address(region, account, name), nil
	case s.o.Endpoint == "" && !strings.HasPrefix(region, "cn-"):
		return "https://sqs." + region + ".amazonaws.com/" + account + "/" + name, nil
	}
	out, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name, QueueOwnerAWSAccountId: &account})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.QueueUrl), nil
}

// client makes a client that signs as a mapping may.
func (s *Source) client(ctx context.Context, m *kiln.Mapping, region string) (*sqs.Client, error) {
	cfg := aws.Config{Region: region}
	if s.o.Credentials != nil {
		cfg.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			c, err := s.o.Credentials(m)
			return aws.Credentials{AccessKeyID: c.KeyID, SecretAccessKey: c.Secret, SessionToken: c.Token, CanExpire: !c.Expires.IsZero(), Expires: c.Expires}, err
		}))
	} else {
		load := []func(*config.LoadOptions) error{config.WithRegion(region)}
		if s.o.Endpoint != "" { // a server of one's own knows no roles of AWS's machines
			load = append(load, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
		}
		var err error
		if cfg, err = config.LoadDefaultConfig(ctx, load...); err != nil {
			return nil, noWay(err)
		}
		searching, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		if _, err := cfg.Credentials.Retrieve(searching); err != nil {
			return nil, noWay(err)
		}
	}
	cfg.HTTPClient = s.http
	return sqs.NewFromConfig(cfg, func(o *sqs.Options) {
		// Not AWS_ENDPOINT_URL, which whoever starts kiln may have set for clients of
		// kiln.
		o.BaseEndpoint = nil
		if s.o.Endpoint != "" {
			o.BaseEndpoint = &s.o.Endpoint
		}
		// Who reads tries again at its own pace.
		o.Retryer = retry.AddWithMaxAttempts(retry.NewStandard(), 2)
	}), nil
}

// noWay says that this server has no credentials, and what to do.
func noWay(err error) error {
	return &kiln.Error{Code: kiln.Invalid, Err: err, Message: "The queue cannot be read: this server has no credentials for SQS. " +
		"Start it with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE set."}
}

// denied are the codes by which servers say that the caller may not.
var denied = []string{"AccessDenied", "AccessDeniedException", "AWS.SimpleQueueService.AccessDenied"}

// refusal puts an error of the service into the words that AWS has for it.
func (s *Source) refusal(err error) error {
	var gone *types.QueueDoesNotExist
	var api smithy.APIError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &gone):
		return kiln.Errorf(kiln.Invalid, "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.")
	case !errors.As(err, &api):
		return &kiln.Error{Code: kiln.Unavailable, Message: "SQS (" + cmp.Or(s.o.Endpoint, "AWS's own") + ") cannot be reached.", Err: err}
	}
	for _, code := range denied {
		if api.ErrorCode() == code {
			return &kiln.Error{Code: kiln.Invalid, Message: "The provided execution role does not have permissions to call ReceiveMessage on SQS", Err: err}
		}
	}
	return kiln.Errorf(kiln.Invalid, "Error occurred while ReceiveMessage. SQS Error Code: %s. SQS Error Message: %s", api.ErrorCode(), api.ErrorMessage())
}
