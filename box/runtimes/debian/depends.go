package debian

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// parcel is one package as a suite's list describes it.
type parcel struct {
	name, version string
	file          file // its name is below the mirror's address
	priority      int
	depends       string // Pre-Depends and Depends, together
	provides      string
	replaces      string
	suite         *release // that lists it
}

// shelf is all packages of a suite and its updates: of each name the newest.
type shelf struct {
	parcels map[string]*parcel
	// providers are the packages that a name which is none can mean.
	providers map[string][]*parcel
}

// wantedFields are those of a list of packages that are looked at.
var wantedFields = map[string]bool{
	"package": true, "version": true, "architecture": true, "filename": true, "size": true, "sha256": true,
	"depends": true, "pre-depends": true, "provides": true, "replaces": true, "priority": true,
}

// priorities orders packages that provide the same.
var priorities = []string{"required", "important", "standard", "optional", "extra"}

// add takes in a list of packages. What cannot be fetched safely is an error: the
// list was signed.
func (s *shelf) add(r io.Reader, suite *release) error {
	return stanzas(r, wantedFields, func(f stanza) error {
		if a := f["architecture"]; a != architecture() && a != "all" {
			return nil
		}
		p := &parcel{
			name: f["package"], version: f["version"], provides: f["provides"], replaces: f["replaces"], suite: suite,
			depends:  strings.Trim(f["pre-depends"]+","+f["depends"], ", "),
			priority: slices.Index(priorities, f["priority"]),
			file:     file{name: f["filename"], sha256: f["sha256"]},
		}
		size, err := strconv.ParseInt(f["size"], 10, 64)
		if err != nil || size < 0 || p.name == "" || !isDigest(p.file.sha256) || !safeName(p.file.name) {
			return fmt.Errorf("the package %q is described badly", p.name)
		}
		p.file.size = size
		if p.priority < 0 {
			p.priority = len(priorities)
		}
		if known := s.parcels[p.name]; known == nil || compareVersions(known.version, p.version) < 0 {
			s.parcels[p.name] = p
		}
		return nil
	})
}

// index finds out what packages provide besides themselves.
func (s *shelf) index() {
	s.providers = make(map[string][]*parcel)
	for _, p := range s.parcels {
		if p.provides == "" {
			continue
		}
		for _, clause := range clauses(p.provides) {
			for _, r := range clause {
				s.providers[r.name] = append(s.providers[r.name], p)
			}
		}
	}
	for _, all := range s.providers {
		slices.SortFunc(all, func(a, b *parcel) int {
			if a.priority != b.priority {
				return a.priority - b.priority
			}
			return strings.Compare(a.name, b.name)
		})
	}
}

// relation is one alternative of a dependency.
type relation struct {
	name, operator, version string
}

// clauses takes a field of dependencies apart: all clauses must be met, each by one
// of its alternatives.
func clauses(field string) [][]relation {
	var all [][]relation
	for _, text := range strings.Split(field, ",") {
		var clause []relation
		for _, alternative := range strings.Split(text, "|") {
			alternative, _, _ = strings.Cut(alternative, "[")
			name, rest, _ := strings.Cut(strings.TrimSpace(alternative), "(")
			name, _, _ = strings.Cut(strings.TrimSpace(name), ":") // of whatever architecture
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			r := relation{name: name}
			rest, _, _ = strings.Cut(rest, ")")
			rest = strings.TrimSpace(rest)
			end := strings.IndexFunc(rest, func(c rune) bool { return !strings.ContainsRune("<>=", c) })
			if end > 0 {
				r.operator, r.version = rest[:end], strings.TrimSpace(rest[end:])
			}
			clause = append(clause, r)
		}
		if len(clause) > 0 {
			all = append(all, clause)
		}
	}
	return all
}

// allows reports whether a version is one that the relation asks for.
func (r relation) allows(version string) bool {
	c := compareVersions(version, r.version)
	switch r.operator {
	case "":
		return true
	case "<<":
		return c < 0
	case "<=", "<":
		return c <= 0
	case "=":
		return c == 0
	case ">=", ">":
		return c >= 0
	case ">>":
		return c > 0
	}
	return false
}

// met gives the best package that a relation can be met by, nil when there is none.
func (s *shelf) met(r relation) *parcel {
	if p := s.parcels[r.name]; p != nil && r.allows(p.version) {
		return p
	}
	for _, p := range s.providers[r.name] {
		if p.givesAs(r) {
			return p
		}
	}
	return nil
}

// givesAs reports whether a package provides what a relation asks for, in its
// version where it asks for one.
func (p *parcel) givesAs(r relation) bool {
	for _, clause := range clauses(p.provides) {
		for _, provided := range clause {
			if provided.name == r.name && (r.operator == "" || provided.operator == "=" && r.allows(provided.version)) {
				return true
			}
		}
	}
	return false
}

// resolve gives the packages that are wanted with all that they need, by name.
// Recommendations are not needs, and neither is what is omitted. Of what may be
// lacking, what the suite does not have is left out.
func (s *shelf) resolve(wanted, ifThere, omitted []string) ([]*parcel, error) {
	chosen := map[string]*parcel{}
	var queue []*parcel
	choose := func(p *parcel) {
		if chosen[p.name] == nil {
			chosen[p.name] = p
			queue = append(queue, p)
		}
	}
	for _, name := range wanted {
		p := s.met(relation{name: name})
		if p == nil {
			return nil, fmt.Errorf("there is no package %s", name)
		}
		choose(p)
	}
	for _, name := range ifThere {
		if p := s.parcels[name]; p != nil {
			choose(p)
		}
	}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		for _, clause := range clauses(p.depends) {
			next, done := s.choice(clause, chosen, omitted)
			if done {
				continue
			}
			if next == nil {
				return nil, fmt.Errorf("%s needs %s, which is not there", p.name, clause[0].name)
			}
			choose(next)
		}
	}
	all := make([]*parcel, 0, len(chosen))
	for _, p := range chosen {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *parcel) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// choice gives the first alternative of a clause that there is; done is true when one
// of them is chosen already, or needs not be.
func (s *shelf) choice(clause []relation, chosen map[string]*parcel, omitted []string) (first *parcel, done bool) {
	for _, r := range clause {
		if slices.Contains(omitted, r.name) {
			return nil, true
		}
		if p := chosen[r.name]; p != nil && r.allows(p.version) {
			return nil, true
		}
		for _, p := range s.providers[r.name] {
			if chosen[p.name] == p && p.givesAs(r) {
				return nil, true
			}
		}
	}
	for _, r := range clause {
		if p := s.met(r); p != nil {
			return p, false
		}
	}
	return nil, false
}

// safeName reports whether a name is one of a file below the mirror's address.
func safeName(name string) bool {
	if name == "" || strings.HasPrefix(name, "/") || strings.ContainsAny(name, "\x00?#\\%") {
		return false
	}
	return !slices.Contains(strings.Split(name, "/"), "..")
}
