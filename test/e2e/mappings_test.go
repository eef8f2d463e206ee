package e2e_test

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"kiln/test/harness"
)

// batched says in its log what it gets, and lets those fail whose bodies say so.
const batched = `
import json, os, time

def handler(event, context):
    bodies = [r["body"] for r in event["Records"]]
    print("EVENT", json.dumps(event), flush=True)
    if any("sleep" in b for b in bodies):
        time.sleep(2)
    if any("crash" in b for b in bodies):
        raise ValueError("as asked")
    return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in event["Records"] if "bad" in r["body"]]}
`

// moto is another server that speaks SQS.
func moto(t testing.TB) (endpoint string) {
	t.Helper()
	program, err := filepath.Abs("../../.cache/moto/bin/moto_server")
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		t.Fatalf("needs moto's server, which make test installs: %v", err)
	}
	var mu sync.Mutex
	var said strings.Builder
	found := make(chan string, 1)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", "0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out := harness.WriterFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		said.Write(p)
		if a := address.FindString(said.String()); a != "" && strings.Contains(said.String(), a+"\n") {
			select {
			case found <- a:
			default:
			}
		}
		return len(p), nil
	})
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // with the signal's status
	})
	select {
	case endpoint = <-found:
		return endpoint
	case <-time.After(time.Minute):
		mu.Lock()
		defer mu.Unlock()
		t.Fatalf("moto does not listen: %s", said.String())
	}
	return ""
}

// queues is a server of queues and a kiln that reads from it.
type queues struct {
	*sqs.Client
	t    testing.TB
	kiln *server
	args []string // of another kiln that reads from the same
}

// besideMoto is a kiln that reads the queues of another server.
func besideMoto(t testing.TB) *queues {
	t.Helper()
	endpoint := moto(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	args := []string{"--sqs-endpoint", endpoint}
	return &queues{sqsClient(endpoint, "test"), t, start(t, args...), args}
}

// besideItself is a kiln that reads its own queues.
func besideItself(t testing.TB) *queues {
	t.Helper()
	s := start(t)
	return &queues{sqsClient(s.URL, harness.Account), t, s, nil}
}

func sqsClient(endpoint, key string) *sqs.Client {
	return sqs.New(sqs.Options{Region: "eu-west-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider(key, "x", "")})
}

// queue makes a queue and gives its URL and ARN.
func (q *queues) queue(name string, attributes map[string]string) (url, arn string) {
	q.t.Helper()
	made, err := q.CreateQueue(q.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		q.t.Fatal(err)
	}
	about, err := q.GetQueueAttributes(q.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: made.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{"QueueArn"}})
	if err != nil {
		q.t.Fatal(err)
	}
	return *made.QueueUrl, about.Attributes["QueueArn"]
}

func (q *queues) send(url string, bodies ...string) {
	q.t.Helper()
	for _, body := range bodies {
		if _, err := q.SendMessage(q.t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(body)}); err != nil {
			q.t.Fatal(err)
		}
	}
}

// left gives how many messages a queue has, hidden ones included.
func (q *queues) left(url string) string {
	about, err := q.GetQueueAttributes(q.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{"All"}})
	if err != nil {
		return err.Error()
	}
	return about.Attributes["ApproximateNumberOfMessages"] + "+" + about.Attributes["ApproximateNumberOfMessagesNotVisible"]
}

// order makes a mapping and waits until it is what was asked for.
func order(t testing.TB, c *lambda.Client, in *lambda.CreateEventSourceMappingInput) string {
	t.Helper()
	made, err := c.CreateEventSourceMapping(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if *made.State != "Creating" || *made.StateTransitionReason != "USER_INITIATED" {
		t.Errorf("it is %s for %s", *made.State, *made.StateTransitionReason)
	}
	want := "Enabled"
	if in.Enabled != nil && !*in.Enabled {
		want = "Disabled"
	}
	becomes(t, c, *made.UUID, want)
	return *made.UUID
}

func becomes(t testing.TB, c *lambda.Client, id, state string) {
	t.Helper()
	eventually(t, 30*time.Second, "the mapping is "+state, func() bool {
		m, err := c.GetEventSourceMapping(t.Context(), &lambda.GetEventSourceMappingInput{UUID: &id})
		if err != nil {
			t.Fatal(err)
		}
		return *m.State == state
	})
}

// given gives the records that a function got, in order.
func given(t testing.TB, s *server, name string) (records []map[string]any) {
	t.Helper()
	for _, text := range events(t, s, name) {
		var e struct{ Records []map[string]any }
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		records = append(records, e.Records...)
	}
	return records
}

// bodies gives what the records said, sorted.
func bodies(records []map[string]any) []string {
	var out []string
	for _, r := range records {
		out = append(out, r["body"].(string))
	}
	slices.Sort(out)
	return out
}

func TestAQueueOfAnotherServerRunsAFunction(t *testing.T) { theLifeOfAMapping(t, besideMoto(t)) }

func TestAQueueOfItsOwnRunsAFunction(t *testing.T) { theLifeOfAMapping(t, besideItself(t)) }

func TestGroupsOfAFIFOQueueStayInOrder(t *testing.T) {
	q := besideItself(t)
	c := q.kiln.Client()
	create(t, c, "f", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: batched}), timeout(3))
	_, deadARN := q.queue("dead.fifo", map[string]string{"FifoQueue": "true"})
	url, source := q.queue("work.fifo", map[string]string{
		"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": "3", "RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"2"}`, deadARN),
	})
	for what, in := range map[string]*lambda.CreateEventSourceMappingInput{
		"Batch size of a FIFO queue cannot be greater than 10.": {BatchSize: aws.Int32(11)}, "Batching window is not supported for FIFO queues.": {MaximumBatchingWindowInSeconds: aws.Int32(1)},
	} {
		in.FunctionName, in.EventSourceArn = aws.String("f"), &source
		_, err := c.CreateEventSourceMapping(t.Context(), in)
		if code, message := apiError(t, err); code != "InvalidParameterValueException" || message != what {
			t.Errorf("%s: %s %s", what, code, message)
		}
	}
	for _, body := range []string{"a 1", "b 1", "a bad", "a 2", "b 2"} {
		if _, err := q.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(body), MessageGroupId: aws.String(body[:1])}); err != nil {
			t.Fatal(err)
		}
	}
	order(t, c, &lambda.CreateEventSourceMappingInput{FunctionName: aws.String("f"), EventSourceArn: &source, FunctionResponseTypes: []types.FunctionResponseType{"ReportBatchItemFailures"}})
	eventually(t, time.Minute, "the queue is empty", func() bool { return q.left(url) == "0+0" })
	last := map[string]string{}
	var tries []string
	for _, r := range given(t, q.kiln, "f") {
		body, a := r["body"].(string), r["attributes"].(map[string]any)
		if a["MessageGroupId"] != body[:1] || a["SequenceNumber"] == nil || a["MessageDeduplicationId"] == nil {
			t.Errorf("attributes %v", a)
		}
		if body[:1] == "b" && body <= last["b"] {
			t.Errorf("%s after %s", body, last["b"])
		}
		last[body[:1]] = body
		if body[:1] == "a" {
			tries = append(tries, body)
		}
	}
	if len(tries) < 4 || tries[0] != "a 1" || tries[len(tries)-1] != "a 2" {
		t.Errorf("group a came as %q", tries)
	}
}

// theLifeOfAMapping is what every server of queues must do with a mapping.
func theLifeOfAMapping(t *testing.T, q *queues) {
	c := q.kiln.Client()
	create(t, c, "f", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: batched}), timeout(3))

	dead, deadARN := q.queue("dead", nil)
	url, source := q.queue("work", map[string]string{
		"VisibilityTimeout": "3", "RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"2"}`, deadARN),
	})
	_, err := c.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{FunctionName: aws.String("f"), EventSourceArn: aws.String(source + "-not")})
	if code, message := apiError(t, err); code != "InvalidParameterValueException" ||
		message != "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist." {
		t.Errorf("no queue: %s %s", code, message)
	}
	id := order(t, c, &lambda.CreateEventSourceMappingInput{
		FunctionName: aws.String("f"), EventSourceArn: &source, FunctionResponseTypes: []types.FunctionResponseType{"ReportBatchItemFailures"},
		FilterCriteria: &types.FilterCriteria{Filters: []types.Filter{{Pattern: aws.String(`{"body":{"kind":["good","bad"]}}`)}, {Pattern: aws.String(`{"body":["plain"]}`)}}},
	})
	_, err = c.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{FunctionName: aws.String("f"), EventSourceArn: &source})
	if code, message := apiError(t, err); code != "ResourceConflictException" || !strings.Contains(message, id) {
		t.Errorf("a second one: %s %s", code, message)
	}

	_, err = q.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(`{"kind":"good"}`), MessageAttributes: map[string]sqstypes.MessageAttributeValue{
		"Author": {DataType: aws.String("String"), StringValue: aws.String("a")}, "Blob": {DataType: aws.String("Binary"), BinaryValue: []byte{1, 2}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	q.send(url, `{"kind":"other"}`, `plain`, `{"kind":"bad"}`)
	eventually(t, time.Minute, "the bad one is in the dead-letter queue, all others are gone", func() bool { return q.left(dead) == "1+0" && q.left(url) == "0+0" })
	records := given(t, q.kiln, "f")
	if got, want := bodies(records), []string{`plain`, `{"kind":"bad"}`, `{"kind":"bad"}`, `{"kind":"good"}`}; !slices.Equal(got, want) {
		t.Errorf("the function got %q, want %q", got, want)
	}
	for _, r := range records {
		if r["body"] != `{"kind":"good"}` {
			continue
		}
		attributes := r["attributes"].(map[string]any)
		for _, name := range []string{"ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} {
			if attributes[name] == nil {
				t.Errorf("no %s in %v", name, attributes)
			}
		}
		if r["eventSource"] != "aws:sqs" || r["eventSourceARN"] != source || r["awsRegion"] != "eu-west-1" || r["messageId"] == "" || r["receiptHandle"] == "" ||
			r["md5OfBody"] != fmt.Sprintf("%x", md5.Sum([]byte(`{"kind":"good"}`))) {
			t.Errorf("got %v", r)
		}
		text, _ := json.Marshal(r["messageAttributes"]) // it was read from JSON
		if got, want := string(text), `{"Author":{"binaryListValues":[],"dataType":"String","stringListValues":[],"stringValue":"a"},`+
			`"Blob":{"binaryListValues":[],"binaryValue":"AQI=","dataType":"Binary","stringListValues":[]}}`; got != want {
			t.Errorf("attributes\ngot  %s\nwant %s", got, want)
		}
	}

	// What is switched off reads nothing, and goes on where it was.
	changed, err := c.UpdateEventSourceMapping(t.Context(), &lambda.UpdateEventSourceMappingInput{UUID: &id, Enabled: aws.Bool(false), FilterCriteria: &types.FilterCriteria{}})
	if err != nil || *changed.State != "Disabling" {
		t.Fatalf("%v %v", changed, err)
	}
	becomes(t, c, id, "Disabled")
	q.send(url, "later", "crash")
	before := len(given(t, q.kiln, "f"))
	// A server that does not notice that nobody waits any more may have hidden one.
	if got := q.left(url); got != "2+0" && got != "1+1" || before != len(records) {
		t.Errorf("a mapping that is off leaves %s", got)
	}
	if _, err := c.UpdateEventSourceMapping(t.Context(), &lambda.UpdateEventSourceMappingInput{UUID: &id, Enabled: aws.Bool(true), BatchSize: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the function crashed twice", func() bool { return q.left(dead) == "2+0" && q.left(url) == "0+0" })
	gone, err := c.DeleteEventSourceMapping(t.Context(), &lambda.DeleteEventSourceMappingInput{UUID: &id})
	if err != nil || *gone.State != "Deleting" {
		t.Fatalf("%v %v", gone, err)
	}
	eventually(t, 30*time.Second, "it is not there any more", func() bool {
		_, err := c.GetEventSourceMapping(t.Context(), &lambda.GetEventSourceMappingInput{UUID: &id})
		return err != nil
	})
}

func TestAKillLosesNoMessageOfAnotherServer(t *testing.T) { theKillOfAServer(t, besideMoto(t)) }

func TestAKillLosesNoMessageOfItsOwn(t *testing.T) { theKillOfAServer(t, besideItself(t)) }

func theKillOfAServer(t *testing.T, q *queues) {
	c := q.kiln.Client()
	create(t, c, "f", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: batched}), timeout(3))
	url, source := q.queue("work", map[string]string{"VisibilityTimeout": "4"})
	id := order(t, c, &lambda.CreateEventSourceMappingInput{FunctionName: aws.String("f"), EventSourceArn: &source, BatchSize: aws.Int32(2)})
	var sent []string
	for i := range 12 {
		sent = append(sent, fmt.Sprintf("sleep %02d", i))
	}
	q.send(url, sent...)
	eventually(t, 30*time.Second, "some are being worked on", func() bool { return len(given(t, q.kiln, "f")) > 2 })
	q.kiln.Kill(t)
	if q.args != nil && q.left(url) == "0+0" {
		t.Fatal("the kill came too late")
	}
	free(t, q.kiln.Data)
	next := startIn(t, q.kiln.Data, q.args...)
	if q.args == nil { // the queues are in it, too
		q.Client = sqsClient(next.URL, harness.Account)
	}
	becomes(t, next.Client(), id, "Enabled")
	eventually(t, time.Minute, "the queue is empty", func() bool { return q.left(url) == "0+0" })
	got := slices.Compact(bodies(given(t, next, "f")))
	if !slices.Equal(got, sent) {
		t.Errorf("the function got %q, want all of %q", got, sent)
	}
	if err := next.Stop(); err != nil { // with a mapping that waits for messages
		t.Error(err)
	}
}

// free waits until nothing of a killed server holds its data directory: a process that it
// was starting has the lock until it runs.
func free(t testing.TB, data string) {
	t.Helper()
	eventually(t, 10*time.Second, "the lock is free", func() bool {
		f, err := os.OpenFile(filepath.Join(data, "kiln.lock"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
	})
}

func TestOneMappingDoesNotWaitForAnother(t *testing.T) {
	q := besideItself(t)
	c := q.kiln.Client()
	code := zipOf(t, file{Name: "app.py", Text: batched})
	create(t, c, "slow", needPython(t), "app.handler", code, timeout(3))
	create(t, c, "fast", needPython(t), "app.handler", code, timeout(3))
	url, source := q.queue("work", map[string]string{"VisibilityTimeout": "30"})
	other, otherSource := q.queue("other", nil)
	order(t, c, &lambda.CreateEventSourceMappingInput{
		FunctionName: aws.String("slow"), EventSourceArn: &source, BatchSize: aws.Int32(1), ScalingConfig: &types.ScalingConfig{MaximumConcurrency: aws.Int32(2)},
	})
	order(t, c, &lambda.CreateEventSourceMappingInput{
		FunctionName: aws.String("fast"), EventSourceArn: &otherSource, BatchSize: aws.Int32(100), MaximumBatchingWindowInSeconds: aws.Int32(1),
	})
	q.send(url, "sleep 1", "sleep 2", "sleep 3", "sleep 4", "sleep 5", "sleep 6")
	for i := range 25 {
		q.send(other, fmt.Sprint(i))
	}
	most := 0
	eventually(t, time.Minute, "the fast one is done", func() bool {
		environments, err := q.kiln.Environments()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range environments {
			if strings.Contains(e.Function, ":slow") {
				n++
			}
		}
		most = max(most, n)
		return len(given(t, q.kiln, "fast")) == 25
	})
	if n := len(events(t, q.kiln, "fast")); n > 12 {
		t.Errorf("%d batches for 25 messages with a window of a second", n)
	}
	if most > 2 {
		t.Errorf("%d environments at once for a mapping that may have 2", most)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	list, err := c.ListEventSourceMappings(ctx, &lambda.ListEventSourceMappingsInput{FunctionName: aws.String("slow")})
	if err != nil || len(list.EventSourceMappings) != 1 || *list.EventSourceMappings[0].ScalingConfig.MaximumConcurrency != 2 {
		t.Errorf("got %v %v", list, err)
	}
}

func TestAMappingReadsWhatTheRoleOfItsFunctionMayRead(t *testing.T) {
	py := needPython(t)
	pythonClient(t)
	s := start(t, "--auth", "on")
	root := rootKey(t, s)
	c := root.client(s)
	create(t, c, "f", py, "app.handler", zipOf(t, file{Name: "app.py", Text: batched}), asRole("arn:aws:iam::"+homeAccount+":role/kiln"), timeout(3))
	q := &queues{sqs.New(sqs.Options{Region: harness.Region, BaseEndpoint: &s.URL, Credentials: credentials.NewStaticCredentialsProvider(root.id, root.secret, "")}), t, s, nil}
	url, source := q.queue("work", nil)
	in := &lambda.CreateEventSourceMappingInput{FunctionName: aws.String("f"), EventSourceArn: &source}
	_, err := c.CreateEventSourceMapping(t.Context(), in)
	if code, message := apiError(t, err); code != "InvalidParameterValueException" || message != "The provided execution role does not have permissions to call ReceiveMessage on SQS" {
		t.Errorf("a role that may not read: %s %s", code, message)
	}
	cmd := exec.CommandContext(within(t, time.Minute), "../../.cache/venv/bin/aws", "iam", "put-role-policy", "--role-name", "kiln", "--policy-name", "work", "--policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:GetQueueAttributes"],"Resource":"`+source+`"}]}`)
	cmd.Env = root.environ(s)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	order(t, c, in)
	q.send(url, "hello")
	eventually(t, time.Minute, "the message was taken", func() bool { return q.left(url) == "0+0" })
	if _, log, _ := kiln(t, root.environ(s), "logs", "f", "--region", harness.Region); !strings.Contains(log, `"body": "hello"`) {
		t.Errorf("the function said %s", log)
	}
}
