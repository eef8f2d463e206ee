package url

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"kiln"
)

// preflight answers a browser that asks whether a page of another origin may send a
// request, when the URL has rules for that. The function is not run.
func (v *visit) preflight() bool {
	c, r := v.url.CORS, v.r
	if c == nil || r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	v.share()
	h := v.w.Header()
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Del("Access-Control-Expose-Headers") // of answers, not of this
		setList(h, "Access-Control-Allow-Methods", c.AllowMethods, c, r.Header.Get("Access-Control-Request-Method"))
		setList(h, "Access-Control-Allow-Headers", c.AllowHeaders, c, r.Header.Get("Access-Control-Request-Headers"))
		if c.MaxAge != nil {
			h.Set("Access-Control-Max-Age", strconv.Itoa(*c.MaxAge))
		}
	}
	v.seal()
	h.Set("Content-Length", "0")
	v.w.WriteHeader(http.StatusOK)
	return true
}

// share tells a browser whether the page that asks may read the answer, when the URL has
// rules for that.
func (v *visit) share() {
	c, origin := v.url.CORS, v.r.Header.Get("Origin")
	if c == nil || origin == "" {
		return
	}
	h := v.w.Header()
	star := slices.Contains(c.AllowOrigins, "*")
	if !star || trusting(c) {
		h.Add("Vary", "Origin")
	}
	if !star && !slices.ContainsFunc(c.AllowOrigins, func(o string) bool { return strings.EqualFold(strings.TrimSuffix(o, "/"), origin) }) {
		return
	}
	if star && !trusting(c) {
		origin = "*"
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if trusting(c) {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if len(c.ExposeHeaders) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(c.ExposeHeaders, ","))
	}
}

// trusting reports whether requests with cookies are answered to other origins.
func trusting(c *kiln.CORS) bool { return c.AllowCredentials != nil && *c.AllowCredentials }

// setList sets a list. A star stands for all only without credentials; with them it is
// what was asked for.
func setList(h http.Header, name string, list []string, c *kiln.CORS, asked string) {
	switch {
	case len(list) == 0:
	case trusting(c) && slices.Contains(list, "*"):
		if asked != "" {
			h.Set(name, asked)
		}
	default:
		h.Set(name, strings.Join(list, ","))
	}
}
