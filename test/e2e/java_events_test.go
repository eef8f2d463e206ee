package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const javaEvents = `
package shop;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.events.*;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

public class Events {
    public SQSBatchResponse sqs(SQSEvent event, Context context) {
        List<SQSBatchResponse.BatchItemFailure> failed = new ArrayList<SQSBatchResponse.BatchItemFailure>();
        for (SQSEvent.SQSMessage message : event.getRecords()) {
            failed.add(new SQSBatchResponse.BatchItemFailure(message.getMessageId() + " " + message.getBody() + " " + message.getEventSourceArn()
                    + " " + message.getAttributes().get("ApproximateReceiveCount") + " " + message.getMessageAttributes().get("k").getStringValue()
                    + " " + message.getMd5OfBody()));
        }
        return new SQSBatchResponse(failed);
    }

    public String s3(S3Event event, Context context) {
        com.amazonaws.services.lambda.runtime.events.models.s3.S3EventNotification.S3EventNotificationRecord record = event.getRecords().get(0);
        return record.getEventName() + " " + record.getS3().getBucket().getName() + " " + record.getS3().getObject().getUrlDecodedKey()
                + " " + record.getS3().getObject().getSizeAsLong() + " " + record.getEventTime().getMillis() + " " + record.getResponseElements().getxAmzRequestId();
    }

    public String sns(SNSEvent event) {
        SNSEvent.SNS message = event.getRecords().get(0).getSNS();
        return message.getMessage() + " " + message.getTopicArn() + " " + message.getTimestamp().getMillis() + " " + message.getMessageAttributes().get("k").getValue();
    }

    public String kinesis(KinesisEvent event) {
        KinesisEvent.KinesisEventRecord record = event.getRecords().get(0);
        return StandardCharsets.UTF_8.decode(record.getKinesis().getData()) + " " + record.getKinesis().getApproximateArrivalTimestamp().getTime()
                + " " + record.getEventSourceARN() + " " + record.getKinesis().getPartitionKey();
    }

    public String dynamodb(DynamodbEvent event) {
        DynamodbEvent.DynamodbStreamRecord record = event.getRecords().get(0);
        return record.getEventName() + " " + record.getDynamodb().getNewImage().get("id").getN() + " " + record.getDynamodb().getNewImage().get("on").getBOOL()
                + " " + record.getDynamodb().getNewImage().get("list").getL().get(0).getS() + " " + record.getDynamodb().getApproximateCreationDateTime().getTime()
                + " " + record.getDynamodb().getStreamViewType();
    }

    public APIGatewayProxyResponseEvent rest(APIGatewayProxyRequestEvent event) {
        return new APIGatewayProxyResponseEvent().withStatusCode(201).withHeaders(Collections.singletonMap("X-Path", event.getPath()))
                .withBody(event.getHttpMethod() + " " + event.getRequestContext().getIdentity().getSourceIp() + " " + event.getQueryStringParameters().get("q"))
                .withIsBase64Encoded(event.getIsBase64Encoded());
    }

    public APIGatewayV2HTTPResponse http(APIGatewayV2HTTPEvent event) {
        return APIGatewayV2HTTPResponse.builder().withStatusCode(200).withIsBase64Encoded(true)
                .withBody(event.getRequestContext().getHttp().getMethod() + " " + event.getRawPath() + " " + event.getIsBase64Encoded()).build();
    }

    public String scheduled(ScheduledEvent event) {
        return event.getDetailType() + " " + event.getTime().getMillis() + " " + event.getDetail().get("n") + " " + event.getResources();
    }
}
`

// inOrder gives JSON with the members of objects in the order of their names.
func inOrder(t testing.TB, body string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestJavaReadsTheEventsOfAWSIntoAWSsClasses calls handlers of the classes that AWS
// publishes for its events.
func TestJavaReadsTheEventsOfAWSIntoAWSsClasses(t *testing.T) {
	identifiers, javac := javas(t)
	s := start(t)
	c := s.client()
	dir := t.TempDir()
	lib := filepath.Join(dir, "lib")
	for _, artifact := range []string{
		"com.amazonaws:aws-lambda-java-core:1.4.0", "com.amazonaws:aws-lambda-java-events:3.16.1", "joda-time:joda-time:2.10.8",
	} {
		install(t, dir, "mvn", "-q", "-B", "dependency:copy", "-Dartifact="+artifact, "-DoutputDirectory="+lib)
	}
	source := filepath.Join(t.TempDir(), "Events.java")
	if err := os.WriteFile(source, []byte(javaEvents), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), javac, "--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-cp", filepath.Join(lib, "*"), "-d", dir, source).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	code := zipDir(t, dir)
	for _, e := range []struct{ method, event, want string }{
		{"sqs", `{"Records":[{"messageId":"m-1","receiptHandle":"r","body":"hi","attributes":{"ApproximateReceiveCount":"2"},
			"messageAttributes":{"k":{"stringValue":"v","binaryListValues":[],"stringListValues":[],"dataType":"String"}},
			"md5OfBody":"md5","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:q","awsRegion":"us-east-1"}]}`,
			`{"batchItemFailures":[{"itemIdentifier":"m-1 hi arn:aws:sqs:q 2 v md5"}]}`},
		{"s3", `{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-east-1","eventTime":"2024-02-29T12:00:00.123Z","eventName":"ObjectCreated:Put",
			"userIdentity":{"principalId":"p"},"requestParameters":{"sourceIPAddress":"127.0.0.1"},"responseElements":{"x-amz-request-id":"rid","x-amz-id-2":"id2"},
			"s3":{"s3SchemaVersion":"1.0","configurationId":"c","bucket":{"name":"b","ownerIdentity":{"principalId":"o"},"arn":"arn:aws:s3:::b"},
			"object":{"key":"a+b%2Fc","size":5000000000,"eTag":"e","versionId":"v","sequencer":"s"}}}]}`,
			`"ObjectCreated:Put b a b/c 5000000000 1709208000123 rid"`},
		{"sns", `{"Records":[{"EventVersion":"1.0","EventSubscriptionArn":"sub","EventSource":"aws:sns","Sns":{"SignatureVersion":"1","Timestamp":"2024-02-29T12:00:00.000Z",
			"MessageId":"m","Message":"hello","MessageAttributes":{"k":{"Type":"String","Value":"v"}},"Type":"Notification","UnsubscribeUrl":"u","TopicArn":"arn:topic","Subject":null}}]}`,
			`"hello arn:topic 1709208000000 v"`},
		{"kinesis", `{"Records":[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"pk","sequenceNumber":"1","data":"aGVsbG8=","approximateArrivalTimestamp":1545084650.987},
			"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"shard:1","eventName":"aws:kinesis:record","invokeIdentityArn":"r","awsRegion":"us-east-2","eventSourceARN":"arn:stream"}]}`,
			`"hello 1545084650987 arn:stream pk"`},
		{"dynamodb", `{"Records":[{"eventID":"1","eventVersion":"1.0","dynamodb":{"ApproximateCreationDateTime":1545084650,"Keys":{"id":{"N":"7"}},
			"NewImage":{"id":{"N":"7"},"on":{"BOOL":true},"list":{"L":[{"S":"x"}]}},"StreamViewType":"NEW_AND_OLD_IMAGES","SequenceNumber":"1","SizeBytes":26},
			"awsRegion":"us-west-2","eventName":"INSERT","eventSourceARN":"arn:table","eventSource":"aws:dynamodb"}]}`,
			`"INSERT 7 true x 1545084650000 NEW_AND_OLD_IMAGES"`},
		{"rest", `{"resource":"/r","path":"/p","httpMethod":"POST","headers":{"A":"b"},"multiValueHeaders":{"A":["b"]},"queryStringParameters":{"q":"1"},
			"requestContext":{"accountId":"1","identity":{"sourceIp":"1.2.3.4"},"authorizer":null},"body":null,"isBase64Encoded":false}`,
			`{"body":"POST 1.2.3.4 1","headers":{"X-Path":"/p"},"isBase64Encoded":false,"statusCode":201}`},
		{"http", `{"version":"2.0","routeKey":"$default","rawPath":"/p","rawQueryString":"","headers":{"a":"b"},
			"requestContext":{"http":{"method":"GET","path":"/p"},"timeEpoch":1709208000000},"isBase64Encoded":true}`,
			`{"body":"GET /p true","isBase64Encoded":true,"statusCode":200}`},
		{"scheduled", `{"version":"0","id":"i","detail-type":"Scheduled Event","source":"aws.events","account":"1","time":"2024-02-29T12:00:00Z","region":"us-east-1",
			"resources":["arn:rule"],"detail":{"n":5}}`, `"Scheduled Event 1709208000000 5 [arn:rule]"`},
	} {
		name := "events-" + e.method
		create(t, c, name, identifiers[len(identifiers)-1], "shop.Events::"+e.method, code, memory(512), timeout(30))
		got := answer(t, c, name, e.event)
		if got = inOrder(t, got); got != e.want {
			t.Errorf("%s: got %s, want %s", e.method, got, e.want)
		}
		if strings.Contains(got, "null") {
			t.Errorf("%s: something was not read: %s", e.method, got)
		}
	}
}
