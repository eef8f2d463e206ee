package auth

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Hosts is the list of host names that a port answers to. Without it a web page
// could point a name of its own at this machine and talk to kiln as if it were its
// own server. It is immutable and safe for concurrent use.
type Hosts struct {
	names   map[string]bool // lower case, without port
	domains []string        // ".example.com" for *.example.com
	anyIP   bool            // the port listens on every address
}

// NewHosts makes the list: the loopback names and addresses, the address that the
// port listens on, and extra names, of which "*.example.com" covers all below.
// A port that listens on every address answers to every address, but to no name.
func NewHosts(listen string, extra []string) *Hosts {
	h := &Hosts{names: map[string]bool{"localhost": true}, domains: []string{".localhost"}}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		ip, err := netip.ParseAddr(host)
		if h.anyIP = host == "" || err == nil && ip.IsUnspecified(); !h.anyIP {
			h.names[strings.ToLower(host)] = true
		}
	}
	for _, name := range extra {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if domain, ok := strings.CutPrefix(name, "*"); ok && strings.HasPrefix(domain, ".") {
			h.domains = append(h.domains, domain)
		} else if name != "" {
			h.names[name] = true
		}
	}
	return h
}

// Allow reports whether a Host header names this server.
func (h *Hosts) Allow(hostport string) bool {
	name := hostOnly(hostport)
	if ip, err := netip.ParseAddr(name); err == nil {
		return h.anyIP || ip.IsLoopback() || h.names[name]
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if h.names[name] {
		return true
	}
	for _, domain := range h.domains {
		if len(name) > len(domain) && strings.HasSuffix(name, domain) {
			return true
		}
	}
	return false
}

// hostOnly cuts the port and the brackets of an IPv6 address off.
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

// Foreign says in words why a request comes from another site's page, "" when it
// does not. Clients that are not browsers send neither header.
func Foreign(r *http.Request) string {
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" {
		return "the browser says that another site's page sent this request"
	}
	for _, origin := range r.Header["Origin"] {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return "the request comes from a page of another origin"
		}
	}
	return ""
}
