package main

import (
	"crypto/sha256"
	"net/http"

	"kiln"
	"kiln/door/api"
	"kiln/door/url"
)

// urlDoor is the door of function URLs in the words of the port that it stands behind.
type urlDoor struct{ *url.Door }

var _ api.URLs = urlDoor{}

// ServeURL is api.URLs.
func (d urlDoor) ServeURL(w http.ResponseWriter, r *http.Request, to api.URLRequest) {
	d.Door.ServeURL(w, r, url.Request(to))
}

// urlGate asks the port who may call a function URL. The port is put in place when both
// are there, before the first request.
type urlGate struct{ port *api.Server }

var _ url.Gate = (*urlGate)(nil)

// Admit is url.Gate.
func (g *urlGate) Admit(r *http.Request, u *kiln.FunctionURL) (*url.Caller, error) {
	who, seal, err := g.port.AdmitURL(r, u)
	if err != nil || !who.Signed() {
		return nil, err
	}
	c := &url.Caller{Account: who.Account, AccessKey: who.AccessKey, ARN: who.Principal}
	if who.Caller != nil {
		c.UserID = who.Caller.UserID
	}
	if seal != nil {
		c.Check = func(body []byte) error { return seal.Check(sha256.Sum256(body)) }
	}
	return c, nil
}
