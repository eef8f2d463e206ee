package rootfs

import (
	"path"
	"strings"
)

const (
	maxLink = 4095 // the longest target of a symbolic link
	maxHops = 40   // links on one way, as the kernel counts them
)

// ownDirs are where absolute links may point: what they hold is the function's
// own.
var ownDirs = []string{taskDir, "/opt", "/tmp"}

// targets reads where every link points to, and refuses those that lead out of the
// package, by whatever detour over other links.
func (a *archive) targets(left *int64) (map[string]string, error) {
	to := make(map[string]string, len(a.links))
	for _, e := range a.links {
		target, err := e.target(left)
		if err != nil {
			return nil, err
		}
		to[e.name] = target
	}
	for name := range to {
		if !staysInside(to, name) {
			return nil, refuse("link %q leads out of the package to %q", name, to[name])
		}
	}
	return to, nil
}

// target reads the text of a link.
func (e entry) target(left *int64) (string, error) {
	var text strings.Builder
	limit := min(*left, maxLink+1)
	before := limit
	if err := e.inflate(&text, &limit); err != nil {
		if text.Len() > maxLink {
			return "", refuse("link %q has a target that is too long", e.name)
		}
		return "", err
	}
	*left -= before - limit
	if to := text.String(); to != "" && !strings.ContainsRune(to, 0) {
		return to, nil
	}
	return "", refuse("link %q points nowhere", e.name)
}

// staysInside follows name as the kernel would and reports whether it never climbs
// out of the package. It ends well where an absolute link leads to a directory of
// the function's own.
func staysInside(links map[string]string, name string) bool {
	var at []string // the directory reached so far
	rest := strings.Split(name, "/")
	for hops := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return false
			}
			at = at[:len(at)-1]
			continue
		}
		here := path.Join(path.Join(at...), part)
		target, isLink := links[here]
		if !isLink {
			at = append(at, part)
			continue
		}
		if hops++; hops > maxHops {
			return false
		}
		if path.IsAbs(target) {
			inside, own := ownDir(target)
			if !own || inside == "" {
				return own
			}
			at, target = nil, inside
		}
		rest = append(strings.Split(target, "/"), rest...)
		if len(rest) > 4*maxLink {
			return false
		}
	}
	return true
}

// ownDir reports whether an absolute path lies in a directory of the function's
// own, and gives its place in the package when it lies there.
func ownDir(target string) (inside string, own bool) {
	clean := path.Clean(target)
	for _, dir := range ownDirs {
		if clean != dir && !strings.HasPrefix(clean, dir+"/") {
			continue
		}
		if dir == taskDir {
			return "." + strings.TrimPrefix(clean, dir), true
		}
		return "", true
	}
	return "", false
}
