package sqs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// write gives a message as AWS gives it to functions, with its members in that order.
// For filters a body that is JSON is written as what it says; one that is not is a
// string.
func (q *queue) write(m *types.Message, forFilter bool) []byte {
	body := aws.ToString(m.Body)
	out := make([]byte, 0, 700+len(body)+len(body)/8)
	out = member(out, `{"messageId":`, aws.ToString(m.MessageId))
	out = member(out, `,"receiptHandle":`, aws.ToString(m.ReceiptHandle))
	if forFilter && json.Valid([]byte(body)) {
		out = append(append(out, `,"body":`...), body...)
	} else {
		out = member(out, `,"body":`, body)
	}
	out = append(out, `,"attributes":{`...)
	for i, name := range slices.Sorted(maps.Keys(m.Attributes)) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(quoted(out, name), ':')
		out = quoted(out, m.Attributes[name])
	}
	out = append(out, `},"messageAttributes":{`...)
	for i, name := range slices.Sorted(maps.Keys(m.MessageAttributes)) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(quoted(out, name), ':')
		out = attribute(out, m.MessageAttributes[name])
	}
	out = append(out, '}')
	if sum := aws.ToString(m.MD5OfMessageAttributes); sum != "" {
		out = member(out, `,"md5OfMessageAttributes":`, sum)
	}
	out = member(out, `,"md5OfBody":`, aws.ToString(m.MD5OfBody))
	out = member(out, `,"eventSource":"aws:sqs","eventSourceARN":`, q.arn)
	return append(member(out, `,"awsRegion":`, q.region), '}')
}

// attribute writes one attribute of a message.
func attribute(out []byte, a types.MessageAttributeValue) []byte {
	out = append(out, '{')
	if a.StringValue != nil {
		out = append(member(out, `"stringValue":`, *a.StringValue), ',')
	}
	if a.BinaryValue != nil {
		out = append(member(out, `"binaryValue":`, base64.StdEncoding.EncodeToString(a.BinaryValue)), ',')
	}
	return append(member(out, `"stringListValues":[],"binaryListValues":[],"dataType":`, aws.ToString(a.DataType)), '}')
}

func member(out []byte, name, value string) []byte { return quoted(append(out, name...), value) }

// quoted writes a string as JSON, and < > & as they are.
func quoted(out []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
