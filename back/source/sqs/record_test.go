package sqs

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func TestAMessageIsWrittenAsFunctionsKnowIt(t *testing.T) {
	q := &queue{arn: "arn:aws:sqs:eu-west-1:111111111111:q", region: "eu-west-1", documents: true}
	m := &types.Message{
		MessageId: aws.String("id"), ReceiptHandle: aws.String("handle"), Body: aws.String(`{"a":"<\"&>"}`), MD5OfBody: aws.String("sum"),
		Attributes:             map[string]string{"SentTimestamp": "1", "ApproximateReceiveCount": "2", "MessageGroupId": "g"},
		MD5OfMessageAttributes: aws.String("sums"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"b": {DataType: aws.String("Binary"), BinaryValue: []byte{1, 2}}, "a": {DataType: aws.String("Number"), StringValue: aws.String("6")},
		},
	}
	r := q.record(m)
	const head = `{"messageId":"id","receiptHandle":"handle","body":`
	const tail = `,"attributes":{"ApproximateReceiveCount":"2","MessageGroupId":"g","SentTimestamp":"1"},"messageAttributes":{` +
		`"a":{"stringValue":"6","stringListValues":[],"binaryListValues":[],"dataType":"Number"},"b":{"binaryValue":"AQI=","stringListValues":[],"binaryListValues":[],"dataType":"Binary"}},` +
		`"md5OfMessageAttributes":"sums","md5OfBody":"sum","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:111111111111:q","awsRegion":"eu-west-1"}`
	if got, want := string(r.JSON), head+`"{\"a\":\"<\\\"&>\"}"`+tail; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := string(r.Document), head+`{"a":"<\"&>"}`+tail; got != want {
		t.Errorf("for filters\ngot  %s\nwant %s", got, want)
	}
	if r.ID != "id" || r.Group != "g" || r.Handle != "handle" {
		t.Errorf("got %+v", r)
	}
	m.Body, m.MessageAttributes, m.MD5OfMessageAttributes = aws.String(`not {json`), nil, nil
	q.documents = false
	r = q.record(m)
	if got, want := string(r.JSON), head+`"not {json","attributes":{"ApproximateReceiveCount":"2","MessageGroupId":"g","SentTimestamp":"1"},"messageAttributes":{},`+
		`"md5OfBody":"sum","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:eu-west-1:111111111111:q","awsRegion":"eu-west-1"}`; got != want || r.Document != nil {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
