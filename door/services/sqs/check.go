package sqs

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"kiln"
)

// attribute is one attribute of a message on the wire.
type attribute struct {
	DataType    string
	StringValue *string `json:",omitempty" xml:",omitempty"`
	BinaryValue []byte  `json:",omitempty" xml:"-"`
	Base64      *string `json:"-" xml:"BinaryValue,omitempty" query:"-"`
}

// attributes are those of a message on the wire.
type attributes map[string]attribute

// message is what is to be sent.
type message struct {
	MessageBody             *string
	DelaySeconds            *int
	MessageAttributes       attributes `query:"MessageAttribute"`
	MessageSystemAttributes attributes `query:"MessageSystemAttribute"`
	MessageDeduplicationId  *string
	MessageGroupId          *string
}

// checked turns what is to be sent into a message of a queue. sender and trace are what
// it says if the message does not.
func (m *message) checked(q *kiln.MessageQueue, sender, trace string) (kiln.Message, int, error) {
	var out kiln.Message
	if m.MessageBody == nil {
		return out, 0, missing("MessageBody")
	}
	body := *m.MessageBody
	if body == "" {
		return out, 0, missing("MessageBody")
	}
	if !isText(body) {
		return out, 0, plain("InvalidMessageContents", "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.")
	}
	out = kiln.Message{Body: body, Sender: sender, Trace: trace}
	size, err := m.attributes(&out)
	if err != nil {
		return out, 0, err
	}
	if size += len(body); size > q.MaxMessage {
		return out, 0, invalid("One or more parameters are invalid. Reason: Message must be shorter than " + strconv.Itoa(q.MaxMessage) + " bytes.")
	}
	if m.DelaySeconds != nil {
		if n := *m.DelaySeconds; n < 0 || n > int(kiln.MaxDelay.Seconds()) {
			return out, 0, wrong(strconv.Itoa(n), "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
		} else if q.ID.FIFO() && n > 0 {
			return out, 0, wrong(strconv.Itoa(n), "DelaySeconds", "The request include parameter that is not valid for this queue type.")
		} else if !q.ID.FIFO() {
			out.Delay = duration(m.DelaySeconds)
		}
	}
	return out, size, m.places(&out, q)
}

// places reads group and deduplication id.
func (m *message) places(out *kiln.Message, q *kiln.MessageQueue) error {
	for _, p := range []struct {
		name string
		from *string
		to   *string
	}{{"MessageGroupId", m.MessageGroupId, &out.Group}, {"MessageDeduplicationId", m.MessageDeduplicationId, &out.Dedup}} {
		if p.from == nil {
			continue
		}
		if !isToken(*p.from) {
			return wrong(*p.from, p.name, p.name+" can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
		*p.to = *p.from
	}
	switch {
	case !q.ID.FIFO() && out.Dedup != "":
		return wrong(out.Dedup, "MessageDeduplicationId", "The request include parameter that is not valid for this queue type.")
	case !q.ID.FIFO():
	case out.Group == "":
		return missing("MessageGroupId")
	case out.Dedup == "" && !q.ContentBased:
		return invalid("The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	}
	return nil
}

// attributes reads the attributes of a message, and gives their size.
func (m *message) attributes(out *kiln.Message) (size int, err error) {
	if len(m.MessageAttributes) > 10 {
		return 0, invalid("Number of message attributes [" + strconv.Itoa(len(m.MessageAttributes)) + "] exceeds the allowed maximum [10].")
	}
	for name, a := range m.MessageAttributes {
		if err := checkAttribute(name, a); err != nil {
			return 0, err
		}
		if out.Attributes == nil {
			out.Attributes = map[string]kiln.MessageAttribute{}
		}
		v := kiln.MessageAttribute{Type: a.DataType, Binary: a.BinaryValue}
		if a.StringValue != nil {
			v.Text = *a.StringValue
		}
		out.Attributes[name] = v
		size += len(name) + len(a.DataType) + len(v.Text) + len(v.Binary)
	}
	for name, a := range m.MessageSystemAttributes {
		if name != "AWSTraceHeader" {
			return 0, invalid("Message system attribute name '" + clip(name) + "' is invalid.")
		}
		if a.DataType != "String" || a.StringValue == nil || *a.StringValue == "" {
			return 0, invalid("The message system attribute 'AWSTraceHeader' must be a non-empty String.")
		}
		out.Trace = *a.StringValue
	}
	return size, nil
}

func checkAttribute(name string, a attribute) error {
	base, _, _ := strings.Cut(a.DataType, ".")
	lower := strings.ToLower(name)
	switch {
	case name == "" || len(name) > 256 || strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != "" ||
		strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") ||
		strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon."):
		return invalid("Invalid message attribute name '" + clip(name) + "'.")
	case a.DataType == "":
		return invalid("The message attribute '" + name + "' must contain non-empty message attribute type.")
	case base != "String" && base != "Number" && base != "Binary" || len(a.DataType) > 256:
		return invalid("The message attribute '" + name + "' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
	case base == "Binary" && (len(a.BinaryValue) == 0 || a.StringValue != nil):
		return invalid("The message attribute '" + name + "' must contain non-empty message attribute value for message attribute type 'Binary'.")
	case base == "Binary":
		return nil
	case a.StringValue == nil || *a.StringValue == "" || a.BinaryValue != nil:
		return invalid("The message attribute '" + name + "' must contain non-empty message attribute value for message attribute type '" + base + "'.")
	case !isText(*a.StringValue):
		return invalid("The message attribute '" + name + "' contains characters that are not valid.")
	case base == "Number":
		if _, err := strconv.ParseFloat(*a.StringValue, 64); err != nil {
			return invalid("Can't cast the value of message (user) attribute '" + name + "' to a number.")
		}
	}
	return nil
}

// isText reports whether s has only characters that XML can have.
func isText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return true
}

// isToken reports whether s can be the id of a group: letters, digits and punctuation.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// bodySum is the MD5 of a body, in hex.
func bodySum(body string) string {
	sum := md5.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}

// attributeSum is the MD5 of attributes as clients compute it, "" of none.
func attributeSum(all map[string]kiln.MessageAttribute) string {
	if len(all) == 0 {
		return ""
	}
	h := md5.New()
	part := func(b []byte) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := all[name]
		part([]byte(name))
		part([]byte(a.Type))
		if strings.HasPrefix(a.Type, "Binary") {
			h.Write([]byte{2})
			part(a.Binary)
		} else {
			h.Write([]byte{1})
			part([]byte(a.Text))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
