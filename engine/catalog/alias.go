package catalog

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"kiln"
)

// CreateAlias makes an alias and returns it.
func (c *Catalog) CreateAlias(ctx context.Context, a kiln.Alias) (*kiln.Alias, error) {
	if !isAliasName(a.Name) {
		return nil, kiln.Errorf(kiln.Invalid, "%q cannot be the name of an alias", a.Name)
	}
	return c.putAlias(ctx, a.Function, a.Name, "", func(old *kiln.Alias) (kiln.Alias, error) {
		if old != nil {
			return kiln.Alias{}, kiln.Errorf(kiln.Conflict, "Alias already exists: %s", a.ARN())
		}
		return a, nil
	})
}

// UpdateAlias lets change edit a copy of an alias and returns the result. When
// change fails, nothing happens.
func (c *Catalog) UpdateAlias(ctx context.Context, id kiln.FunctionID, name, revisionID string, change func(*kiln.Alias) error) (*kiln.Alias, error) {
	return c.putAlias(ctx, id, name, revisionID, func(old *kiln.Alias) (kiln.Alias, error) {
		if old == nil {
			return kiln.Alias{}, aliasNotFound(id, name)
		}
		if err := checkRevision(revisionID, old.RevisionID); err != nil {
			return kiln.Alias{}, err
		}
		next := *old
		next.Weights = maps.Clone(old.Weights)
		return next, change(&next)
	})
}

func (c *Catalog) putAlias(ctx context.Context, id kiln.FunctionID, name, revisionID string, change func(old *kiln.Alias) (kiln.Alias, error)) (*kiln.Alias, error) {
	p, handOn, err := c.begin(ctx, id, "")
	if err != nil {
		return nil, err
	}
	defer handOn()
	var old *kiln.Alias
	if known := p.aliases[name]; known != nil {
		old = known.alias
	}
	next, err := change(old)
	if err != nil {
		return nil, err
	}
	next.Function, next.Name, next.RevisionID = id, name, kiln.NewID()
	if next.Weights = maps.Clone(next.Weights); len(next.Weights) == 0 {
		next.Weights = nil
	}
	a, err := p.route(&next)
	if err != nil {
		return nil, err
	}
	d := revise(p)
	d.changed = p.provisions[kiln.Qualifier(next.Name)] != nil
	d.putAlias(a)
	if err := c.commit(ctx, id, d); err != nil {
		return nil, err
	}
	return a.alias, nil
}

// route judges where an alias points to.
func (p *page) route(a *kiln.Alias) (*alias, error) {
	routed, err := newAlias(a, 0)
	if err != nil {
		return nil, err
	}
	main := p.edition(routed.main)
	if main == nil {
		return nil, notFound(a.Function, kiln.Qualifier(a.Version))
	}
	if routed.other < 0 {
		return routed, nil
	}
	other := p.edition(routed.other)
	if other == nil {
		return nil, notFound(a.Function, kiln.Qualifier(strconv.Itoa(routed.other)))
	}
	if main.version.Config.Role != other.version.Config.Role {
		return nil, kiln.Errorf(kiln.Invalid, "Versions %d and %d have different execution roles: an alias cannot point to both.", routed.main, routed.other)
	}
	return routed, nil
}

// newAlias reads the versions and the weight of an alias, and refuses those that
// no book could hold.
func newAlias(a *kiln.Alias, stored uint64) (*alias, error) {
	main, ok := number(kiln.Qualifier(a.Version))
	if !ok {
		return nil, notFound(a.Function, kiln.Qualifier(a.Version))
	}
	routed := &alias{alias: a, main: main, other: -1, stored: stored}
	if len(a.Weights) > 1 {
		return nil, kiln.Errorf(kiln.Invalid, "Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	for version, weight := range a.Weights {
		other, ok := number(kiln.Qualifier(version))
		switch {
		case !(weight >= 0 && weight <= 1): // NaN is neither
			return nil, kiln.Errorf(kiln.Invalid, "The weight of version %s must be between 0.0 and 1.0.", version)
		case main == 0:
			return nil, kiln.Errorf(kiln.Invalid, "$LATEST is not supported for an alias pointing to more than 1 version")
		case !ok || other == 0:
			return nil, kiln.Errorf(kiln.Invalid, "Invalid function version %s. Only published versions can be in the routing configuration.", version)
		case other == main:
			return nil, kiln.Errorf(kiln.Invalid, "Invalid function version %s. Function version %s is already included in routing configuration.", version, version)
		}
		routed.other, routed.weight = other, weight
	}
	return routed, nil
}

// DeleteAlias takes an alias away, with its URL. One that is not there is no error: what the
// caller wants is so already.
func (c *Catalog) DeleteAlias(ctx context.Context, id kiln.FunctionID, name string) error {
	p, handOn, err := c.begin(ctx, id, "")
	if err != nil {
		return err
	}
	defer handOn()
	a := p.aliases[name]
	if a == nil {
		return nil
	}
	d := revise(p)
	delete(d.next.aliases, name)
	d.remove(aliasKey(id, name), a.stored)
	d.dropURL(kiln.Qualifier(name))
	d.dropPolicy(kiln.Qualifier(name))
	d.dropTurnout(kiln.Qualifier(name))
	d.dropProvision(kiln.Qualifier(name))
	d.changed = p.provisions[kiln.Qualifier(name)] != nil
	return c.commit(ctx, id, d)
}

// Alias gives an alias.
func (c *Catalog) Alias(id kiln.FunctionID, name string) (*kiln.Alias, error) {
	if p := c.book.page(id); p != nil && p.aliases[name] != nil {
		return p.aliases[name].alias, nil
	}
	return nil, aliasNotFound(id, name)
}

// Aliases gives the aliases of a function in the order of their names; with a
// version only those that point to it.
func (c *Catalog) Aliases(id kiln.FunctionID, version string) ([]*kiln.Alias, error) {
	p := c.book.page(id)
	if p == nil {
		return nil, notFound(id, "")
	}
	out := make([]*kiln.Alias, 0, len(p.aliases))
	for _, a := range p.aliases {
		if _, extra := a.alias.Weights[version]; version == "" || a.alias.Version == version || extra {
			out = append(out, a.alias)
		}
	}
	slices.SortFunc(out, func(x, y *kiln.Alias) int { return strings.Compare(x.Name, y.Name) })
	return out, nil
}

// isAliasName reports whether a name can be an alias: it can be a function's name
// and is not a version's number.
func isAliasName(name string) bool {
	_, isNumber := number(kiln.Qualifier(name))
	return kiln.IsName(name) && len(name) <= 128 && !isNumber && strings.Trim(name, "0123456789") != ""
}
