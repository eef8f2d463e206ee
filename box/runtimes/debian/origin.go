package debian

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kiln"
)

// component is the part of Debian that roots are made of: what is free and supported.
const component = "main"

// releases are names that Debian gives its suites. A source with one of them is
// Debian itself, and its server has the others too.
var releases = []string{
	"buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid",
	"oldoldstable", "oldstable", "stable", "testing", "unstable",
}

// origin is where a suite is fetched from, and how far it is believed.
type origin struct {
	suite string
	// mirrors are servers of the same contents, tried in turn.
	mirrors   []string
	keys      keyring
	ignoreAge bool
}

// origin finds where a suite is to be had: at the mirror of the options; else where
// the machine's apt has it; else where that has another suite of Debian.
func (a *Archive) origin(suite string) (origin, error) {
	o := origin{suite: suite, ignoreAge: a.apt.no("Acquire::Check-Valid-Until")}
	var problems []string
	if a.options.Mirror != "" {
		mirror, err := checkAddress(a.options.Mirror)
		if err != nil {
			return o, kiln.Errorf(kiln.Invalid, "the Debian mirror %q cannot be used: %w", a.options.Mirror, err)
		}
		o.mirrors = []string{mirror}
	} else {
		for _, exact := range []bool{true, false} {
			for _, s := range a.sources {
				if s.has(suite) != exact || !exact && !s.isDebian() || !slices.Contains(s.components, component) {
					continue
				}
				problems = append(problems, o.add(s, a.options.Host)...)
				if exact {
					o.ignoreAge = o.ignoreAge || s.ignoreAge
				}
			}
			if len(o.mirrors) > 0 {
				break
			}
		}
	}
	if len(o.mirrors) == 0 {
		text := "this machine's apt has no source of Debian"
		if len(problems) > 0 {
			text = "the Debian sources of this machine's apt cannot be used: " + strings.Join(problems, "; ")
		}
		return o, kiln.Errorf(kiln.Unsupported, "%s: name one with --debian-mirror URL, or debian-mirror in kiln.yaml", text)
	}
	var err error
	o.keys, err = a.keysFor(suite)
	return o, err
}

// security finds where the security updates of a suite are to be had, as the
// machine's apt is set up; found is false when it is not. An explicit mirror has
// none.
func (a *Archive) security(suite string) (o origin, found bool, err error) {
	if a.options.Mirror != "" {
		return o, false, nil
	}
	name := suite + "-security"
	o = origin{suite: name, ignoreAge: a.apt.no("Acquire::Check-Valid-Until")}
	for _, s := range a.sources {
		if s.isSecurity() && slices.Contains(s.components, component) {
			_ = o.add(s, a.options.Host) // one that cannot be used is as good as none
		}
	}
	if len(o.mirrors) == 0 {
		return o, false, nil
	}
	o.keys, err = a.keysFor(name)
	return o, err == nil, err
}

// add takes the servers of a source that can be spoken to, and says why of the
// others.
func (o *origin) add(s source, host string) (problems []string) {
	for _, address := range s.addresses {
		mirrors := []string{address}
		if rest, ok := cutScheme(address, "mirror+file"); ok {
			var err error
			if mirrors, err = readMirrorList(filepath.Join(host, rest)); err != nil {
				problems = append(problems, err.Error())
				continue
			}
		}
		for _, m := range mirrors {
			mirror, err := checkAddress(m)
			if err != nil {
				problems = append(problems, redact(m)+": "+err.Error())
			} else if !slices.Contains(o.mirrors, mirror) {
				o.mirrors = append(o.mirrors, mirror)
			}
		}
	}
	return problems
}

// readMirrorList reads a file with one server a line, best first.
func readMirrorList(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			all = append(all, words[0])
		}
	}
	return all, nil
}

// checkAddress gives the address of a mirror, without a slash at its end, if it is of
// a kind that can be spoken to.
func checkAddress(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("it is no URL")
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return "", fmt.Errorf("it names no host")
		}
	case "file", "copy":
		u.Scheme = "file"
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return "", fmt.Errorf("it names no absolute path")
		}
	default:
		return "", fmt.Errorf("kiln speaks http, https and file")
	}
	u.RawQuery, u.Fragment = "", ""
	return strings.TrimRight(u.String(), "/"), nil
}

// cutScheme gives the absolute path of an address of a scheme; ok is false for others.
func cutScheme(address, scheme string) (string, bool) {
	rest, ok := strings.CutPrefix(address, scheme+":")
	if !ok {
		return "", false
	}
	return "/" + strings.TrimLeft(rest, "/"), true
}

// redact gives an address without the password that it may hold.
func redact(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be read"
	}
	return u.Redacted()
}

// has reports whether a source offers a suite.
func (s source) has(suite string) bool { return slices.Contains(s.suites, suite) }

// isDebian reports whether a source is a server of Debian's own suites.
func (s source) isDebian() bool {
	return slices.ContainsFunc(s.suites, func(suite string) bool { return slices.Contains(releases, suite) })
}

// isSecurity reports whether a source is a server of Debian's security updates.
func (s source) isSecurity() bool {
	return slices.ContainsFunc(s.suites, func(suite string) bool {
		base, ok := strings.CutSuffix(suite, "-security")
		return ok && slices.Contains(releases, base)
	})
}
