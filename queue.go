package kiln

import (
	"fmt"
	"strings"
	"time"
)

// QueueID names a queue of messages.
type QueueID struct {
	Scope
	Name string
}

// String gives account, region and name in a form fit for logs and keys.
func (id QueueID) String() string { return id.Account + "/" + id.Region + "/" + id.Name }

// ARN gives the ARN of the queue.
func (id QueueID) ARN() string { return "arn:aws:sqs:" + id.Region + ":" + id.Account + ":" + id.Name }

// FIFO reports whether the queue keeps the order of its groups, which its name says.
func (id QueueID) FIFO() bool { return strings.HasSuffix(id.Name, ".fifo") }

// ParseQueueARN reads the ARN of a queue. It checks the form, not that the queue exists.
func ParseQueueARN(text string) (QueueID, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sqs" || parts[3] == "" || !isAccount(parts[4]) || !IsQueueName(parts[5]) {
		return QueueID{}, fmt.Errorf("%q is not the ARN of a queue", text)
	}
	return QueueID{Scope{parts[4], parts[3]}, parts[5]}, nil
}

// IsQueueName reports whether s can be the name of a queue: 1 to 80 letters, digits,
// hyphens and underscores, for which .fifo may stand at the end.
func IsQueueName(s string) bool {
	bare := strings.TrimSuffix(s, ".fifo")
	if bare == "" || len(s) > 80 {
		return false
	}
	for i := 0; i < len(bare); i++ {
		c := bare[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// MessageQueue is a queue and its settings. Those that are texts were checked by whoever
// set them.
type MessageQueue struct {
	ID         QueueID
	Visibility time.Duration // for which a message that was received is hidden
	Delay      time.Duration // before a message can be received at all
	Retention  time.Duration // after which a message is dropped
	Wait       time.Duration // of a Receive that does not say
	MaxMessage int           // in bytes

	// DeadLetters takes what was received MaxReceives times and came back; the zero value
	// is nobody.
	DeadLetters QueueID
	MaxReceives int

	ContentBased bool // messages of equal bodies are one, if they do not say otherwise
	PerGroup     bool // messages are compared with those of their group only

	// Attributes are those that a client set and the queue itself does not read: policy,
	// who may send dead letters here, keys, tiers of throughput.
	Attributes map[string]string
	Tags       map[string]string

	Created, Modified time.Time
}

// Message is one message of a queue.
type Message struct {
	ID         string
	Body       string
	Attributes map[string]MessageAttribute
	Trace      string // the system attribute AWSTraceHeader
	Sender     string // the system attribute SenderId

	Group string // of a FIFO queue the order is that within a group
	Dedup string // messages of one Dedup are one, for five minutes

	Delay *time.Duration // of one that is to be sent; nil is the queue's

	// What the queue itself says:
	Sequence uint64 // later messages of a queue have higher ones
	Sent     time.Time
	Source   string // ARN of the queue that it was a dead letter of, "" for none
}

// MessageAttribute is one attribute of a message. Binary counts when the type begins
// with Binary, Text otherwise.
type MessageAttribute struct {
	Type   string `json:"type"`
	Text   string `json:"text,omitempty"`
	Binary []byte `json:"binary,omitempty"`
}

// Received is a message that was received: hidden from others until its time is over.
type Received struct {
	Message
	Receipt  string // by which it is deleted
	Receives int    // how often it was received, this time included
	First    time.Time
}

// ReceiveOptions is how messages are to be received.
type ReceiveOptions struct {
	Max        int            // 1 to 10; in the process itself also more
	Wait       *time.Duration // for the first one; nil is the queue's
	Visibility *time.Duration // nil is the queue's
	Attempt    string         // of a FIFO queue: whoever asks again by the same name gets the same messages
}

// Hiding is a message that was received and how long it is to stay hidden from now on.
type Hiding struct {
	Receipt string
	For     time.Duration
}

// MoveTask is the way of dead letters back, or to another queue.
type MoveTask struct {
	ID          string
	Source      QueueID
	Destination QueueID // the zero value: where each came from
	PerSecond   int     // 0: as fast as it goes
	Status      string  // RUNNING, COMPLETED, CANCELLING, CANCELLED, FAILED
	Moved, All  int
	Failure     string
	Started     time.Time
}

// QueueCount is how many messages a queue has.
type QueueCount struct{ Visible, Hidden, Delayed int }

// Limits of queues.
const (
	MaxMessageSize      = 1048576 // of a message, and of a batch; 262,144 until August 2025
	MinMessageSize      = 1024    // of what a queue may be limited to
	MaxVisibility       = 12 * time.Hour
	MaxDelay            = 15 * time.Minute
	MinRetention        = time.Minute
	MaxRetention        = 14 * 24 * time.Hour
	MaxReceiveWait      = 20 * time.Second
	MaxMessagesInFlight = 120000
	DedupInterval       = 5 * time.Minute
)
