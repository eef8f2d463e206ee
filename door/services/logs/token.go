package logs

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// badToken is the answer to a token that was not given out, or whose place is gone.
func badToken() error { return invalid("The specified nextToken is invalid.") }

// makeToken hides a text that says where a list goes on.
func makeToken(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// readToken gives the text of a token.
func readToken(token string) (string, error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", badToken()
	}
	return string(text), nil
}

// String gives a position in 40 digits, so that later ones are greater as text, too.
func (p Position) String() string { return fmt.Sprintf("%020d%020d", p.File, p.Offset) }

// readPosition reads what String gives.
func readPosition(text string) (Position, error) {
	if len(text) != 40 || strings.Trim(text, "0123456789") != "" {
		return Position{}, badToken()
	}
	file, err := strconv.ParseInt(text[:20], 10, 64)
	if err != nil {
		return Position{}, badToken()
	}
	offset, err := strconv.ParseInt(text[20:], 10, 64)
	if err != nil {
		return Position{}, badToken()
	}
	return Position{file, offset}, nil
}

// eventID names a record within its group by 56 digits: its time and its place.
func eventID(r *Record) string {
	return fmt.Sprintf("%014d%018d%024d", max(0, millis(r.Time)), r.At.File, r.At.Offset)
}

// sequence is a token of the kind that PutLogEvents once needed. It still is sent, and
// ignored when it comes back, as on AWS.
func sequence(t time.Time) string { return fmt.Sprintf("%056d", t.UnixMicro()) }
