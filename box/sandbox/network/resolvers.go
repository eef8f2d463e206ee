package network

import (
	"bufio"
	"bytes"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// resolvers are the host's, as its file says now.
type resolvers struct {
	path string

	mu      sync.Mutex
	looked  time.Time
	seen    fs.FileInfo
	current resolverConfig
}

// resolverConfig is what a file of resolvers says.
type resolverConfig struct {
	servers  []netip.AddrPort
	timeout  time.Duration // for one answer
	attempts int           // rounds through the servers
}

const (
	lookAgain        = time.Second // how old what we know may be
	largestResolvers = 64 << 10
)

// get gives the host's resolvers. The file is read again when it has changed.
func (r *resolvers) get(now time.Time) resolverConfig {
	r.mu.Lock()
	current, seen := r.current, r.seen
	due := current.attempts == 0 || now.Sub(r.looked) >= lookAgain
	if due {
		r.looked = now
	}
	r.mu.Unlock()
	if !due {
		return current
	}
	info, err := os.Stat(r.path)
	if err == nil && seen != nil && os.SameFile(info, seen) && info.Size() == seen.Size() && info.ModTime().Equal(seen.ModTime()) {
		return current
	}
	var text []byte
	if err == nil && info.Size() <= largestResolvers {
		text, _ = os.ReadFile(r.path) // unreadable is as good as missing
	}
	current = parseResolvers(text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, r.current = info, current
	return current
}

// parseResolvers reads a file of resolvers (resolv.conf(5)). Without any, the one on
// this machine is asked, as the C library does.
func parseResolvers(text []byte) resolverConfig {
	c := resolverConfig{timeout: 5 * time.Second, attempts: 2}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(words[1]); err == nil && len(c.servers) < 3 {
				c.servers = append(c.servers, netip.AddrPortFrom(a, 53))
			}
		case "options":
			for _, o := range words[1:] {
				name, value, _ := strings.Cut(o, ":")
				n, err := strconv.Atoi(value)
				if err != nil || n < 1 {
					continue
				}
				switch name {
				case "timeout":
					c.timeout = time.Duration(min(n, 30)) * time.Second
				case "attempts":
					c.attempts = min(n, 5)
				}
			}
		}
	}
	if len(c.servers) == 0 {
		c.servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return c
}
