package sqs

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"kiln"
)

type sendRequest struct {
	QueueUrl                string
	MessageBody             *string
	DelaySeconds            *int
	MessageAttributes       attributes `query:"MessageAttribute"`
	MessageSystemAttributes attributes `query:"MessageSystemAttribute"`
	MessageDeduplicationId  *string
	MessageGroupId          *string
}

func (in *sendRequest) message() *message {
	return &message{in.MessageBody, in.DelaySeconds, in.MessageAttributes, in.MessageSystemAttributes, in.MessageDeduplicationId, in.MessageGroupId}
}

type sent struct {
	MD5OfMessageBody             string
	MD5OfMessageAttributes       string `json:",omitempty" xml:",omitempty"`
	MD5OfMessageSystemAttributes string `json:",omitempty" xml:",omitempty"`
	MessageId                    string
	SequenceNumber               string `json:",omitempty" xml:",omitempty"`
}

// sentOf says what a client is told of a message that was accepted.
func sentOf(m *kiln.Message, fifo bool, system attributes) sent {
	out := sent{MD5OfMessageBody: bodySum(m.Body), MD5OfMessageAttributes: attributeSum(m.Attributes), MessageId: m.ID}
	if a, ok := system["AWSTraceHeader"]; ok {
		out.MD5OfMessageSystemAttributes = attributeSum(map[string]kiln.MessageAttribute{"AWSTraceHeader": {Type: a.DataType, Text: m.Trace}})
	}
	if fifo {
		out.SequenceNumber = sequence(m.Sequence)
	}
	return out
}

// sequence writes a sequence number so that later ones are also greater as texts.
func sequence(n uint64) string { return fmt.Sprintf("%020d", n) }

// sender gives who sends, and the trace that the request carries.
func sender(a *ask) (id, trace string) {
	id = a.who.Account
	if c := a.who.Caller; c != nil && c.UserID != "" {
		id = c.UserID
	}
	return id, a.http.Header.Get("X-Amzn-Trace-Id")
}

func (s *Service) send(a *ask, in *sendRequest) (*sent, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	who, trace := sender(a)
	m, _, err := in.message().checked(q, who, trace)
	if err != nil {
		return nil, err
	}
	accepted, err := s.book.Send(a.ctx, q.ID, []kiln.Message{m})
	if err != nil {
		return nil, err
	}
	out := sentOf(&accepted[0], q.ID.FIFO(), in.MessageSystemAttributes)
	return &out, nil
}

type sendEntry struct {
	Id                      string
	MessageBody             *string
	DelaySeconds            *int
	MessageAttributes       attributes `query:"MessageAttribute"`
	MessageSystemAttributes attributes `query:"MessageSystemAttribute"`
	MessageDeduplicationId  *string
	MessageGroupId          *string
}

type sendBatchRequest struct {
	QueueUrl string
	Entries  []sendEntry `query:"SendMessageBatchRequestEntry"`
}

type sentEntry struct {
	Id string
	sent
}

type sentBatch struct {
	Successful []sentEntry   `json:",omitempty" xml:"SendMessageBatchResultEntry"`
	Failed     []failedEntry `json:",omitempty" xml:"BatchResultErrorEntry"`
}

// failedEntry is what went wrong with one entry of a batch.
type failedEntry struct {
	Id          string
	SenderFault bool
	Code        string
	Message     string `json:",omitempty" xml:",omitempty"`
}

// failure says what went wrong with an entry. What is no refusal is the batch's.
func failure(id string, err error) (failedEntry, error) {
	e := explain(err)
	if e == nil || e.Status >= 500 {
		return failedEntry{}, err
	}
	return failedEntry{id, true, e.Query, e.Message}, nil
}

// checkBatch refuses a batch that is none.
func checkBatch(kind string, ids []string) error {
	switch {
	case len(ids) == 0:
		return own("EmptyBatchRequest", "There should be at least one "+kind+" in the request.")
	case len(ids) > 10:
		return own("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent "+strconv.Itoa(len(ids))+".")
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if id == "" || len(id) > 80 || strings.Trim(strings.ToLower(id), "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			return own("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[id] {
			return own("BatchEntryIdsNotDistinct", "Id "+id+" repeated.")
		}
		seen[id] = true
	}
	return nil
}

// idsOf gives the ids of entries.
func idsOf[E any](entries []E, id func(*E) string) []string {
	out := make([]string, len(entries))
	for i := range entries {
		out[i] = id(&entries[i])
	}
	return out
}

func (s *Service) sendBatch(a *ask, in *sendBatchRequest) (*sentBatch, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkBatch("SendMessageBatchRequestEntry", idsOf(in.Entries, func(e *sendEntry) string { return e.Id })); err != nil {
		return nil, err
	}
	who, trace := sender(a)
	out := &sentBatch{}
	var messages []kiln.Message
	var from []*sendEntry
	total := 0
	for i := range in.Entries {
		e := &in.Entries[i]
		single := &message{e.MessageBody, e.DelaySeconds, e.MessageAttributes, e.MessageSystemAttributes, e.MessageDeduplicationId, e.MessageGroupId}
		m, size, err := single.checked(q, who, trace)
		if err != nil {
			f, err := failure(e.Id, err)
			if err != nil {
				return nil, err
			}
			out.Failed = append(out.Failed, f)
			continue
		}
		messages, from, total = append(messages, m), append(from, e), total+size
	}
	if total > kiln.MaxMessageSize {
		return nil, own("BatchRequestTooLong", "Batch requests cannot be longer than "+strconv.Itoa(kiln.MaxMessageSize)+" bytes. You have sent "+strconv.Itoa(total)+" bytes.")
	}
	if len(messages) == 0 {
		return out, nil
	}
	accepted, err := s.book.Send(a.ctx, q.ID, messages)
	if err != nil {
		return nil, err
	}
	for i := range accepted {
		out.Successful = append(out.Successful, sentEntry{from[i].Id, sentOf(&accepted[i], q.ID.FIFO(), from[i].MessageSystemAttributes)})
	}
	return out, nil
}

type receiveRequest struct {
	QueueUrl                    string
	AttributeNames              []string `query:"AttributeName"`
	MessageSystemAttributeNames []string `query:"MessageSystemAttributeName"`
	MessageAttributeNames       []string `query:"MessageAttributeName"`
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
	ReceiveRequestAttemptId     string
}

type received struct {
	MessageId              string
	ReceiptHandle          string
	MD5OfBody              string
	Body                   string
	Attributes             pairs      `json:",omitempty" xml:"Attribute"`
	MD5OfMessageAttributes string     `json:",omitempty" xml:",omitempty"`
	MessageAttributes      attributes `json:",omitempty" xml:"MessageAttribute"`
}

type receivedList struct {
	Messages []received `json:",omitempty" xml:"Message"`
}

// systemNames are the attributes that the queue gives a message.
var systemNames = []string{"All", "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "SequenceNumber",
	"MessageDeduplicationId", "MessageGroupId", "AWSTraceHeader", "DeadLetterQueueSourceArn"}

func (s *Service) receive(a *ask, in *receiveRequest) (*receivedList, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	o := kiln.ReceiveOptions{Max: 1, Wait: duration(in.WaitTimeSeconds), Visibility: duration(in.VisibilityTimeout), Attempt: in.ReceiveRequestAttemptId}
	if in.MaxNumberOfMessages != nil {
		o.Max = *in.MaxNumberOfMessages
	}
	names := append(in.AttributeNames[:len(in.AttributeNames):len(in.AttributeNames)], in.MessageSystemAttributeNames...)
	switch {
	case o.Max < 1 || o.Max > 10:
		return nil, wrong(strconv.Itoa(o.Max), "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
	case o.Wait != nil && (*o.Wait < 0 || *o.Wait > kiln.MaxReceiveWait):
		return nil, wrong(strconv.Itoa(*in.WaitTimeSeconds), "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
	case o.Visibility != nil && (*o.Visibility < 0 || *o.Visibility > kiln.MaxVisibility):
		return nil, wrong(strconv.Itoa(*in.VisibilityTimeout), "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")
	case o.Attempt != "" && !q.ID.FIFO():
		return nil, wrong(o.Attempt, "ReceiveRequestAttemptId", "The request include parameter that is not valid for this queue type.")
	case o.Attempt != "" && !isToken(o.Attempt):
		return nil, wrong(o.Attempt, "ReceiveRequestAttemptId", "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	}
	for _, n := range names {
		if !contains(systemNames, n) {
			return nil, plain("InvalidAttributeName", "Unknown Attribute "+clip(n)+".")
		}
	}
	ctx, done := s.waiting(a.ctx)
	defer done()
	messages, err := s.book.Receive(ctx, q.ID, o)
	if err != nil {
		return nil, err
	}
	out := &receivedList{}
	for i := range messages {
		out.Messages = append(out.Messages, receivedOf(&messages[i], names, in.MessageAttributeNames))
	}
	return out, nil
}

// receivedOf writes a message with the attributes that were asked for.
func receivedOf(m *kiln.Received, system, user []string) received {
	out := received{MessageId: m.ID, ReceiptHandle: m.Receipt, MD5OfBody: bodySum(m.Body), Body: m.Body}
	all := pairs{
		"SenderId": m.Sender, "SentTimestamp": millis(m.Sent), "ApproximateReceiveCount": strconv.Itoa(m.Receives),
		"ApproximateFirstReceiveTimestamp": millis(m.First), "MessageDeduplicationId": m.Dedup, "MessageGroupId": m.Group,
		"AWSTraceHeader": m.Trace, "DeadLetterQueueSourceArn": m.Source,
	}
	if m.Dedup != "" {
		all["SequenceNumber"] = sequence(m.Sequence)
	}
	for name, v := range all {
		if v != "" && (contains(system, "All") || contains(system, name)) {
			if out.Attributes == nil {
				out.Attributes = pairs{}
			}
			out.Attributes[name] = v
		}
	}
	some := map[string]kiln.MessageAttribute{}
	for name, v := range m.Attributes {
		if !wanted(name, user) {
			continue
		}
		some[name] = v
		a := attribute{DataType: v.Type}
		if strings.HasPrefix(v.Type, "Binary") {
			text := base64.StdEncoding.EncodeToString(v.Binary)
			a.BinaryValue, a.Base64 = v.Binary, &text
		} else {
			a.StringValue = &v.Text
		}
		if out.MessageAttributes == nil {
			out.MessageAttributes = attributes{}
		}
		out.MessageAttributes[name] = a
	}
	out.MD5OfMessageAttributes = attributeSum(some)
	return out
}

// wanted reports whether an attribute is among those that were asked for: by name, by
// prefix.*, or all.
func wanted(name string, asked []string) bool {
	for _, p := range asked {
		prefix, isPrefix := strings.CutSuffix(p, ".*")
		if p == "All" || p == name || isPrefix && (prefix == "" || strings.HasPrefix(name, prefix)) {
			return true
		}
	}
	return false
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// duration reads seconds that may not be there.
func duration(seconds *int) *time.Duration {
	if seconds == nil {
		return nil
	}
	d := time.Duration(max(-1, min(*seconds, 1<<30))) * time.Second
	return &d
}
