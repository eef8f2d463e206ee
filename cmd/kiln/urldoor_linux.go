package main

import (
	"net/http"

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
