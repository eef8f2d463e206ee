package sqs

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"kiln"
	"kiln/door/auth/policy"
)

// number is an attribute of a queue that is a number with bounds.
type number struct {
	name        string
	least, most int
	get         func(*kiln.MessageQueue) int
	set         func(*kiln.MessageQueue, int)
}

func seconds(at func(*kiln.MessageQueue) *time.Duration) (get func(*kiln.MessageQueue) int, set func(*kiln.MessageQueue, int)) {
	return func(q *kiln.MessageQueue) int { return int(*at(q) / time.Second) },
		func(q *kiln.MessageQueue, n int) { *at(q) = time.Duration(n) * time.Second }
}

func timed(name string, least, most time.Duration, at func(*kiln.MessageQueue) *time.Duration) number {
	get, set := seconds(at)
	return number{name, int(least / time.Second), int(most / time.Second), get, set}
}

// numbers are the attributes that every queue has and that are numbers.
var numbers = []number{
	timed("VisibilityTimeout", 0, kiln.MaxVisibility, func(q *kiln.MessageQueue) *time.Duration { return &q.Visibility }),
	timed("DelaySeconds", 0, kiln.MaxDelay, func(q *kiln.MessageQueue) *time.Duration { return &q.Delay }),
	timed("MessageRetentionPeriod", kiln.MinRetention, kiln.MaxRetention, func(q *kiln.MessageQueue) *time.Duration { return &q.Retention }),
	timed("ReceiveMessageWaitTimeSeconds", 0, kiln.MaxReceiveWait, func(q *kiln.MessageQueue) *time.Duration { return &q.Wait }),
	{"MaximumMessageSize", kiln.MinMessageSize, kiln.MaxMessageSize, func(q *kiln.MessageQueue) int { return q.MaxMessage }, func(q *kiln.MessageQueue, n int) { q.MaxMessage = n }},
}

// kept are attributes that are texts, and what checks them.
var kept = map[string]func(s *Service, q *kiln.MessageQueue, value string) error{
	"Policy": (*Service).policyOK, "RedrivePolicy": (*Service).redrive, "RedriveAllowPolicy": (*Service).redriveAllowed,
}

// told are attributes that cannot be set.
var told = []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible", "CreatedTimestamp", "LastModifiedTimestamp", "QueueArn"}

// ofFIFO are attributes of FIFO queues alone.
var ofFIFO = []string{"FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"}

// ofKeys are those of encryption, which kiln does not do.
var ofKeys = []string{"KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"}

// defaults gives a queue as it is when nothing is said of it.
func defaults(id kiln.QueueID) kiln.MessageQueue {
	return kiln.MessageQueue{ID: id, Visibility: 30 * time.Second, Retention: 4 * 24 * time.Hour, MaxMessage: kiln.MaxMessageSize}
}

func unknownAttribute(name string) error {
	return plain("InvalidAttributeName", "Unknown Attribute "+clip(name)+".")
}

func badAttribute(name string) error {
	return plain("InvalidAttributeValue", "Invalid value for the parameter "+name+".")
}

// apply takes over attributes that a client sent.
func (s *Service) apply(q *kiln.MessageQueue, sent map[string]string) error {
	q.Attributes = maps.Clone(q.Attributes)
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if err := s.applyOne(q, name, sent[name]); err != nil {
			return err
		}
	}
	if q.Attributes["FifoThroughputLimit"] == "perMessageGroupId" && !q.PerGroup {
		return plain("InvalidAttributeValue", "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.")
	}
	return nil
}

func (s *Service) applyOne(q *kiln.MessageQueue, name, value string) error {
	for _, n := range numbers {
		if n.name == name {
			v, err := strconv.Atoi(value)
			if err != nil || v < n.least || v > n.most {
				return badAttribute(name)
			}
			n.set(q, v)
			return nil
		}
	}
	if check := kept[name]; check != nil {
		if err := check(s, q, value); err != nil {
			return err
		}
		keep(q, name, value)
		return nil
	}
	switch {
	case slices.Contains(ofFIFO, name) && q.ID.FIFO():
		return fifo(q, name, value)
	case slices.Contains(ofKeys, name):
		if name == "KmsDataKeyReusePeriodSeconds" || value == "" || name == "SqsManagedSseEnabled" && value == "false" {
			return nil // it says nothing without a key
		}
		return unsupported("kiln does not encrypt messages: leave " + name + " out.")
	}
	return unknownAttribute(name)
}

// keep stores an attribute as it was sent; an empty one is none.
func keep(q *kiln.MessageQueue, name, value string) {
	if value == "" {
		delete(q.Attributes, name)
		return
	}
	if q.Attributes == nil {
		q.Attributes = map[string]string{}
	}
	q.Attributes[name] = value
}

func fifo(q *kiln.MessageQueue, name, value string) error {
	switch {
	case name == "FifoQueue" && value == "true":
	case name == "ContentBasedDeduplication" && (value == "true" || value == "false"):
		q.ContentBased = value == "true"
	case name == "DeduplicationScope" && (value == "queue" || value == "messageGroup"):
		q.PerGroup = value == "messageGroup"
	case name == "FifoThroughputLimit" && (value == "perQueue" || value == "perMessageGroupId"):
		keep(q, name, value) // kiln bounds the throughput of no queue
	default:
		return badAttribute(name)
	}
	return nil
}

// policyOK checks the policy of a queue.
func (s *Service) policyOK(_ *kiln.MessageQueue, value string) error {
	if value == "" {
		return nil
	}
	if _, err := policy.Parse(policy.Resource, []byte(value)); err != nil {
		return plain("InvalidAttributeValue", "Invalid value for the parameter Policy. Reason: "+err.Error())
	}
	return nil
}

// redrive reads where dead letters go.
func (s *Service) redrive(q *kiln.MessageQueue, value string) error {
	q.DeadLetters, q.MaxReceives = kiln.QueueID{}, 0
	if value == "" {
		return nil
	}
	bad := func(reason string) error { return wrong(value, "RedrivePolicy", reason) }
	var in struct {
		Target      string `json:"deadLetterTargetArn"`
		MaxReceives any    `json:"maxReceiveCount"`
	}
	d := json.NewDecoder(bytes.NewReader([]byte(value)))
	d.UseNumber()
	if d.Decode(&in) != nil {
		return bad("Redrive policy is not a valid JSON map.")
	}
	if in.Target == "" || in.MaxReceives == nil {
		return bad("Redrive policy does not contain mandatory attribute: " + map[bool]string{true: "deadLetterTargetArn", false: "maxReceiveCount"}[in.Target == ""] + ".")
	}
	text, ok := in.MaxReceives.(string)
	if n, isNumber := in.MaxReceives.(json.Number); isNumber {
		text, ok = n.String(), true
	}
	most, err := strconv.Atoi(text)
	if !ok || err != nil || most < 1 || most > 1000 {
		return bad("Invalid value for maxReceiveCount: " + clip(text) + ", valid values are from 1 to 1000 both inclusive.")
	}
	to, err := kiln.ParseQueueARN(in.Target)
	if err != nil || to.Scope != q.ID.Scope {
		return bad("Dead letter target must be an ARN of a queue of the same account and region.")
	}
	if to.FIFO() != q.ID.FIFO() {
		return bad("Dead-letter queue must be same type of queue as the source.")
	}
	target, err := s.book.Queue(to)
	if err != nil {
		return bad("Dead letter target does not exist.")
	}
	if !admits(target, q.ID) {
		return bad("The RedriveAllowPolicy of the dead letter target does not let this queue use it.")
	}
	q.DeadLetters, q.MaxReceives = to, most
	return nil
}

// allow is a RedriveAllowPolicy.
type allow struct {
	Permission string   `json:"redrivePermission"`
	Sources    []string `json:"sourceQueueArns"`
}

// admits reports whether a queue takes dead letters of another.
func admits(target *kiln.MessageQueue, from kiln.QueueID) bool {
	text := target.Attributes["RedriveAllowPolicy"]
	if text == "" {
		return true
	}
	var a allow
	if json.Unmarshal([]byte(text), &a) != nil {
		return false // it was checked when it was set
	}
	return a.Permission == "allowAll" || a.Permission == "byQueue" && slices.Contains(a.Sources, from.ARN())
}

// redriveAllowed checks who may send dead letters to a queue.
func (s *Service) redriveAllowed(_ *kiln.MessageQueue, value string) error {
	if value == "" {
		return nil
	}
	var a allow
	if json.Unmarshal([]byte(value), &a) != nil {
		return wrong(value, "RedriveAllowPolicy", "Amazon SQS can't create the redrive allow policy, as it’s in an unsupported format.")
	}
	ok := (a.Permission == "allowAll" || a.Permission == "denyAll") && len(a.Sources) == 0 || a.Permission == "byQueue" && len(a.Sources) >= 1 && len(a.Sources) <= 10
	for _, arn := range a.Sources {
		_, err := kiln.ParseQueueARN(arn)
		ok = ok && err == nil
	}
	if !ok {
		return wrong(value, "RedriveAllowPolicy", "redrivePermission is allowAll or denyAll, or byQueue with 1 to 10 ARNs of queues as sourceQueueArns.")
	}
	return nil
}

// settingsOf gives all attributes of a queue.
func (s *Service) settingsOf(q *kiln.MessageQueue) (map[string]string, error) {
	out := maps.Clone(q.Attributes)
	if out == nil {
		out = map[string]string{}
	}
	for _, n := range numbers {
		out[n.name] = strconv.Itoa(n.get(q))
	}
	if q.ID.FIFO() {
		out["FifoQueue"], out["ContentBasedDeduplication"] = "true", strconv.FormatBool(q.ContentBased)
		out["DeduplicationScope"] = map[bool]string{true: "messageGroup", false: "queue"}[q.PerGroup]
		if out["FifoThroughputLimit"] == "" {
			out["FifoThroughputLimit"] = "perQueue"
		}
	}
	count, err := s.book.Count(q.ID)
	if err != nil {
		return nil, err
	}
	out["ApproximateNumberOfMessages"], out["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(count.Visible), strconv.Itoa(count.Hidden)
	out["ApproximateNumberOfMessagesDelayed"] = strconv.Itoa(count.Delayed)
	out["CreatedTimestamp"], out["LastModifiedTimestamp"] = strconv.FormatInt(q.Created.Unix(), 10), strconv.FormatInt(q.Modified.Unix(), 10)
	out["QueueArn"], out["SqsManagedSseEnabled"] = q.ID.ARN(), "false"
	return out, nil
}

// chosen gives the attributes that a client asks for.
func chosen(all map[string]string, names []string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range names {
		switch v, ok := all[name]; {
		case name == "All":
			return all, nil
		case ok:
			out[name] = v
		case kept[name] == nil && !slices.Contains(ofFIFO, name) && !slices.Contains(ofKeys, name) && !slices.Contains(told, name):
			return nil, unknownAttribute(name)
		}
	}
	return out, nil
}

// checkName refuses what cannot be the name of a queue.
func checkName(name string, attributes map[string]string) error {
	fifo, asked := attributes["FifoQueue"]
	isFIFO := strings.HasSuffix(name, ".fifo")
	switch {
	case name == "":
		return missing("QueueName")
	case asked && fifo != "true":
		return unknownAttribute("FifoQueue")
	case asked && (!isFIFO || !kiln.IsQueueName(name)):
		return invalid("The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length")
	case isFIFO && !asked, !kiln.IsQueueName(name):
		return invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	return nil
}

// checkTags refuses more tags than a queue may have, and ones that cannot be.
func checkTags(t map[string]string) error {
	if len(t) > 50 {
		return invalid("Too many tags for a queue. The limit is 50.")
	}
	for k, v := range t {
		if k == "" || len([]rune(k)) > 128 || len([]rune(v)) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalid("Tag keys must be between 1 and 128 characters in length, not begin with aws:, and tag values at most 256 characters.")
		}
	}
	return nil
}

// same refuses settings of a queue that is there and has others.
func same(have, want map[string]string, sent map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if have[name] != want[name] && !(slices.Contains(ofKeys, name)) {
			return &Error{http.StatusBadRequest, "QueueNameExists", "QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute " + name}
		}
	}
	return nil
}

// isConflict reports whether a queue is there already.
func isConflict(err error) bool {
	var e *kiln.Error
	return errors.As(err, &e) && e.Code == kiln.Conflict
}
