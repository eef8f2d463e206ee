package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	queuetypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func TestBoto3UsesQueues(t *testing.T) {
	s := start(t)
	client(t, s, pythonClient(t), "testdata/sqs_boto.py")
}

func TestTheAWSCommandLineAndTheOlderProtocolUseQueues(t *testing.T) {
	s := start(t)
	pythonClient(t)
	t.Setenv("KILN_TEST_SCRATCH", t.TempDir())
	client(t, s, "bash", "testdata/sqs_cli.sh")
}

// queueClient is aws-sdk-go-v2 for queues.
func queueClient(s *server, k accessKey) *sqs.Client {
	return sqs.New(sqs.Options{Region: "eu-west-1", BaseEndpoint: aws.String(s.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(k.id, k.secret, k.token)})
}

var anybody = accessKey{id: "111111111111", secret: "secret"}

func makeQueue(t testing.TB, c *sqs.Client, name string) (url, arn string) {
	t.Helper()
	out, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	about, err := c.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: out.QueueUrl, AttributeNames: []queuetypes.QueueAttributeName{"QueueArn"}})
	if err != nil {
		t.Fatal(err)
	}
	return *out.QueueUrl, about.Attributes["QueueArn"]
}

// message waits for the next message of a queue and deletes it.
func message(t testing.TB, c *sqs.Client, url string) *queuetypes.Message {
	t.Helper()
	for range 3 {
		out, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20, MessageAttributeNames: []string{"All"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 1 {
			m := &out.Messages[0]
			if _, err := c.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
	t.Fatal("no message came within a minute")
	return nil
}

func TestQueuesAreToldWhatBecameOfEventsAndGetDeadLetters(t *testing.T) {
	python := needPython(t)
	s := start(t)
	c, q := s.client(), queueClient(s, anybody)
	told, toldARN := makeQueue(t, q, "told")
	dead, deadARN := makeQueue(t, q, "dead")
	create(t, c, "worker", python, "app.handler", zipOf(t, file{Name: "app.py", Text: evented}), func(in *lambda.CreateFunctionInput) {
		in.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: &deadARN}
	})
	zero := int32(0)
	put := &lambda.PutFunctionEventInvokeConfigInput{FunctionName: aws.String("worker"), MaximumRetryAttempts: &zero, DestinationConfig: &types.DestinationConfig{
		OnSuccess: &types.OnSuccess{Destination: &toldARN}, OnFailure: &types.OnFailure{Destination: &toldARN}}}
	if _, err := c.PutFunctionEventInvokeConfig(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	send(t, c, "worker", `{"n": 1}`)
	if got := *message(t, q, told).Body; !strings.Contains(got, `"condition":"Success"`) || !strings.Contains(got, `"requestPayload":{"n":1}`) && !strings.Contains(got, `"requestPayload":{"n": 1}`) {
		t.Errorf("got %s", got)
	}
	send(t, c, "worker", `{"n": 2,  "fail": true}`)
	if got := *message(t, q, told).Body; !strings.Contains(got, `"condition":"RetriesExhausted"`) || !strings.Contains(got, `"errorType"`) {
		t.Errorf("got %s", got)
	}
	m := message(t, q, dead)
	if *m.Body != `{"n": 2,  "fail": true}` {
		t.Errorf("the dead letter is %s", *m.Body)
	}
	about := map[string]string{}
	for name, v := range m.MessageAttributes {
		about[name] = *v.DataType + " " + *v.StringValue
	}
	if about["ErrorCode"] != "Number 200" || about["ErrorMessage"] != "String as asked" || len(about["RequestID"]) != len("String ")+36 {
		t.Errorf("it says %v", about)
	}
	if out, err := c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("worker")}); err != nil || aws.ToString(out.DeadLetterConfig.TargetArn) != deadARN {
		t.Errorf("the configuration says %+v %v", out.DeadLetterConfig, err)
	}
	put.DestinationConfig.OnSuccess.Destination = aws.String(toldARN + ".fifo")
	if _, err := c.PutFunctionEventInvokeConfig(t.Context(), put); err == nil || !strings.Contains(err.Error(), "InvalidParameterValueException") {
		t.Errorf("a FIFO queue as a destination: %v", err)
	}
	if _, err := c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("worker"), DeadLetterConfig: &types.DeadLetterConfig{TargetArn: aws.String("")}}); err != nil {
		t.Fatal(err)
	}
	if out, err := c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("worker")}); err != nil || out.DeadLetterConfig != nil {
		t.Errorf("after it was taken away: %+v %v", out.DeadLetterConfig, err)
	}
}

func TestAServerWithAuthLetsQueuesBeUsedByWhomPoliciesAllow(t *testing.T) {
	s := start(t, "--auth", "on")
	root := rootKey(t, s)
	url, arn := makeQueue(t, queueClient(s, root), "work")
	file := filepath.Join(t.TempDir(), "send.json")
	if err := os.WriteFile(file, []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"`+arn+`"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ann := newUser(t, s, root, "ann", "--policy", "send="+file)
	c := queueClient(s, ann)
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")}); err != nil {
		t.Errorf("ann may send: %v", err)
	}
	if _, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url}); err == nil || !strings.Contains(err.Error(), "is not authorized to perform: sqs:ReceiveMessage on resource: "+arn) {
		t.Errorf("ann may not receive: %v", err)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sqs:ReceiveMessage","Resource":"` + arn + `"}]}`
	if _, err := queueClient(s, root).SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{"Policy": policy}}); err != nil {
		t.Fatal(err)
	}
	if out, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url}); err != nil || len(out.Messages) != 1 {
		t.Errorf("the queue's policy lets her: %v %v", out, err)
	}
}

func TestMessagesThatWereAcceptedSurviveKillsOfTheServer(t *testing.T) {
	needRoot(t)
	data := t.TempDir()
	var mu sync.Mutex
	accepted, deleted := map[string]bool{}, map[string]bool{}
	tried := map[string]bool{} // to be deleted: the answer may be lost with the server
	for round := range 4 {
		s := startIn(t, data)
		c := queueClient(s, anybody)
		url, _ := makeQueue(t, c, "ledger")
		var work sync.WaitGroup
		for w := range 4 {
			work.Go(func() {
				for n := 0; ; n++ {
					body := fmt.Sprintf("%d-%d-%d", round, w, n)
					if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
						return
					}
					mu.Lock()
					accepted[body] = true
					mu.Unlock()
				}
			})
		}
		work.Go(func() {
			for {
				out, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 2, VisibilityTimeout: 2})
				if err != nil {
					return
				}
				for _, m := range out.Messages {
					mu.Lock()
					tried[*m.Body] = true
					mu.Unlock()
					if _, err := c.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}); err != nil {
						return
					}
					mu.Lock()
					if deleted[*m.Body] {
						t.Errorf("%s came back after it was deleted", *m.Body)
					}
					deleted[*m.Body] = true
					mu.Unlock()
				}
			}
		})
		eventually(t, 30*time.Second, "messages came and went", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(accepted) >= 200*(round+1) && len(deleted) >= 20*(round+1)
		})
		s.kill(t)
		work.Wait()
	}
	s := startIn(t, data)
	c := queueClient(s, anybody)
	url, _ := makeQueue(t, c, "ledger")
	left := map[string]bool{}
	eventually(t, time.Minute, "all that was accepted is there", func() bool {
		out, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 2, VisibilityTimeout: 600})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Messages {
			if left[*m.Body] || deleted[*m.Body] {
				t.Errorf("%s is there though it was deleted, or twice", *m.Body)
			}
			left[*m.Body] = true
		}
		for body := range accepted {
			if !left[body] && !tried[body] {
				return false
			}
		}
		return true
	})
	var gone *queuetypes.QueueDoesNotExist
	if _, err := c.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("nobody")}); !errors.As(err, &gone) {
		t.Errorf("got %v", err)
	}
}
