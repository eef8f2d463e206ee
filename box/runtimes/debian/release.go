package debian

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/mail"
	"path"
	"strconv"
	"strings"
	"time"
)

// release is the signed index of a suite.
type release struct {
	origin   origin
	suite    string
	codename string
	byHash   bool
	files    map[string]file // by their names below dists/SUITE
}

// file is one that is known by digest before it is fetched.
type file struct {
	name   string
	size   int64
	sha256 string
}

// maxRelease bounds the index of a suite, which no digest bounds.
const maxRelease = 8 << 20

// release fetches the signed index of a suite and believes it when the signature is
// good, it is the suite that was asked for, and it is not too old.
func (a *Archive) release(ctx context.Context, o origin) (*release, error) {
	text, err := a.fetchSmall(ctx, o, path.Join("dists", o.suite, "InRelease"), maxRelease)
	if err != nil {
		return nil, err
	}
	signed, err := o.keys.verify(text, a.options.Now())
	if err != nil {
		return nil, unavailable("the index of Debian %s is not believed: %w", o.suite, err)
	}
	r, err := parseRelease(signed)
	if err != nil {
		return nil, unavailable("the index of Debian %s is not understood: %w", o.suite, err)
	}
	if r.suite != o.suite && r.codename != o.suite {
		return nil, unavailable("the mirror gives %s (%s) as Debian %s", r.codename, r.suite, o.suite)
	}
	r.origin = o
	return r, a.checkAge(o, signed)
}

// checkAge refuses an index that is older than its makers want it to be used, except
// where the machine's configuration does not mind.
func (a *Archive) checkAge(o origin, signed string) error {
	fields, err := firstStanza(signed)
	if err != nil {
		return err
	}
	now := a.options.Now()
	until := fields["valid-until"]
	if until == "" {
		return nil
	}
	last, err := mail.ParseDate(until)
	if err != nil {
		return unavailable("the index of Debian %s is not understood: Valid-Until: %w", o.suite, err)
	}
	if !now.After(last) {
		return nil
	}
	if !o.ignoreAge {
		return unavailable("the index of Debian %s was to be used until %s: the mirror is behind, or this machine's clock is wrong; "+
			"Acquire::Check-Valid-Until \"false\" in apt's configuration takes it nevertheless", o.suite, last.UTC().Format(time.DateOnly))
	}
	a.log.Warn("the mirror's index of Debian is old and is used because apt's configuration says so", "suite", o.suite, "until", last.UTC().Format(time.DateOnly))
	return nil
}

// parseRelease reads an index whose signature is good.
func parseRelease(text string) (*release, error) {
	fields, err := firstStanza(text)
	if err != nil {
		return nil, err
	}
	r := &release{
		suite: fields["suite"], codename: fields["codename"],
		byHash: fields["acquire-by-hash"] == "yes", files: make(map[string]file),
	}
	for _, line := range strings.Split(fields["sha256"], "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 {
			return nil, fmt.Errorf("no file in %.100q", line)
		}
		size, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || size < 0 || !isDigest(words[0]) {
			return nil, fmt.Errorf("no file in %.100q", line)
		}
		r.files[words[2]] = file{name: words[2], size: size, sha256: words[0]}
	}
	if len(r.files) == 0 {
		return nil, fmt.Errorf("it lists no files by SHA-256")
	}
	return r, nil
}

// packages gives the file that lists the packages for this machine, in the smallest
// form, and the names that it is fetched by, best first.
func (r *release) packages() (f file, names []string, err error) {
	dir := path.Join(component, "binary-"+architecture())
	for _, form := range []string{".xz", ".gz"} {
		f, ok := r.files[path.Join(dir, "Packages"+form)]
		if !ok {
			continue
		}
		base := path.Join("dists", r.origin.suite)
		if r.byHash {
			names = append(names, path.Join(base, dir, "by-hash", "SHA256", f.sha256))
		}
		return f, append(names, path.Join(base, f.name)), nil
	}
	return file{}, nil, unavailable("Debian %s has no packages for %s at this mirror", r.origin.suite, architecture())
}

// isDigest reports whether s is a SHA-256 in lower-case hex, and so a safe name.
func isDigest(s string) bool {
	return len(s) == hex.EncodedLen(32) && strings.Trim(s, "0123456789abcdef") == ""
}
