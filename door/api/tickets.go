package api

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// ticketLife is how long a download URL works, as AWS has it.
const ticketLife = 10 * time.Minute

// tickets makes and checks the right to download one package for a while. The key
// lives in memory only: a restart of the server ends all tickets.
type tickets struct {
	key [32]byte
	now func() time.Time
}

// newTickets draws a key that nobody else has.
func newTickets(now func() time.Time) *tickets {
	t := &tickets{now: now}
	_, _ = rand.Read(t.key[:]) // crypto/rand never fails: it ends the program instead
	return t
}

// issue gives the query that opens the package of a digest.
func (t *tickets) issue(digest string) string {
	expires := strconv.FormatInt(t.now().Add(ticketLife).Unix(), 10)
	return "expires=" + expires + "&token=" + hex.EncodeToString(t.sign(digest, expires))
}

// check reports whether a ticket opens the package of a digest now.
func (t *tickets) check(digest, expires, token string) bool {
	sent, err := hex.DecodeString(token)
	if err != nil || !hmac.Equal(sent, t.sign(digest, expires)) {
		return false
	}
	until, err := strconv.ParseInt(expires, 10, 64)
	return err == nil && t.now().Unix() < until
}

// sign gives the mark that only this server can make.
func (t *tickets) sign(digest, expires string) []byte {
	m := hmac.New(sha256.New, t.key[:])
	m.Write([]byte(digest + "\n" + expires))
	return m.Sum(nil)
}
