package catalog

import (
	"context"
	"slices"
	"strings"
	"time"

	"kiln"
)

// turnout is the policy for events of a function, a version or an alias, with its
// record in the store.
type turnout struct {
	policy *kiln.EventPolicy
	stored uint64
}

// eventRecord is a policy for events as it is stored.
type eventRecord struct {
	Retries   *int           `json:"retries,omitempty"`
	MaxAge    *time.Duration `json:"maxAge,omitempty"`
	OnSuccess string         `json:"onSuccess,omitempty"`
	OnFailure string         `json:"onFailure,omitempty"`
	Modified  time.Time      `json:"modified"`
}

// eventKey gives the key of the record of a policy for events; that of the function
// itself has the name of $LATEST.
func eventKey(id kiln.FunctionID, q kiln.Qualifier) string {
	return "e/" + id.String() + "/" + string(qualified(q))
}

// qualified names the version that no qualifier means.
func qualified(q kiln.Qualifier) kiln.Qualifier {
	if q == "" {
		return kiln.Latest
	}
	return q
}

// turnoutOf gives what a record says.
func turnoutOf(r eventRecord, id kiln.FunctionID, name string, stored uint64) *turnout {
	return &turnout{&kiln.EventPolicy{
		Function: id, Qualifier: kiln.Qualifier(name), MaxRetries: r.Retries, MaxAge: r.MaxAge,
		OnSuccess: r.OnSuccess, OnFailure: r.OnFailure, Modified: r.Modified,
	}, stored}
}

// EventPolicy gives the policy for events that name a function with a qualifier: the
// one that was set, or AWS's defaults; a version without one has none of the function's.
func (c *Catalog) EventPolicy(id kiln.FunctionID, q kiln.Qualifier) (kiln.EventPolicy, error) {
	p := c.book.page(id)
	if p == nil || p.find(q, nil) == nil {
		return kiln.EventPolicy{}, notFound(id, q)
	}
	out := kiln.EventPolicy{Function: id, Qualifier: qualified(q)}
	if t := p.turnouts[qualified(q)]; t != nil {
		out = *t.policy
	}
	out.DeadLetters = p.latest.version.Config.DeadLetters
	out.Off = p.fn.Reserved != nil && *p.fn.Reserved == 0
	return out, nil
}

// SetEventPolicy gives the policy for events that was set, and an error when there is
// none.
func (c *Catalog) SetEventPolicy(id kiln.FunctionID, q kiln.Qualifier) (*kiln.EventPolicy, error) {
	if p := c.book.page(id); p != nil {
		if t := p.turnouts[qualified(q)]; t != nil {
			return t.policy, nil
		}
	}
	return nil, noEventPolicy(id, q)
}

// EventPolicies gives the policies for events of a function and its versions and
// aliases, in the order of their names.
func (c *Catalog) EventPolicies(id kiln.FunctionID) ([]*kiln.EventPolicy, error) {
	p := c.book.page(id)
	if p == nil {
		return nil, notFound(id, "")
	}
	out := make([]*kiln.EventPolicy, 0, len(p.turnouts))
	for _, t := range p.turnouts {
		out = append(out, t.policy)
	}
	slices.SortFunc(out, func(x, y *kiln.EventPolicy) int { return strings.Compare(string(x.Qualifier), string(y.Qualifier)) })
	return out, nil
}

// ChangeEventPolicy lets change edit a copy of the policy for events of a function, a
// version or an alias, and returns the result. When change fails, nothing happens.
func (c *Catalog) ChangeEventPolicy(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, change func(*kiln.EventPolicy) error) (*kiln.EventPolicy, error) {
	p, handOn, err := c.begin(ctx, id, q)
	if err != nil {
		return nil, err
	}
	defer handOn()
	if p.find(q, nil) == nil {
		return nil, notFound(id, q)
	}
	next := kiln.EventPolicy{Function: id, Qualifier: qualified(q)}
	old := p.turnouts[qualified(q)]
	if old != nil {
		next = *old.policy
	}
	if err := change(&next); err != nil {
		return nil, err
	}
	next.Modified = c.now()
	t := &turnout{policy: &next}
	expect := uint64(0)
	if old != nil {
		expect = old.stored
	}
	d := revise(p)
	if d.next.turnouts == nil {
		d.next.turnouts = map[kiln.Qualifier]*turnout{}
	}
	d.next.turnouts[qualified(q)] = t
	value := encode(eventRecord{next.MaxRetries, next.MaxAge, next.OnSuccess, next.OnFailure, next.Modified})
	d.write(Write{eventKey(id, q), value, expect}, func(r uint64) { t.stored = r })
	return t.policy, c.commit(ctx, id, d)
}

// DeleteEventPolicy brings the defaults back.
func (c *Catalog) DeleteEventPolicy(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier) error {
	p, handOn, err := c.begin(ctx, id, q)
	if kiln.CodeOf(err) == kiln.NotFound && err != nil || err == nil && p.turnouts[qualified(q)] == nil {
		if err == nil {
			handOn()
		}
		return noEventPolicy(id, q)
	}
	if err != nil {
		return err
	}
	defer handOn()
	d := revise(p)
	d.dropTurnout(q)
	return c.commit(ctx, id, d)
}

// dropTurnout takes the policy for events of a qualifier out of the next page, if it
// has one.
func (d *draft) dropTurnout(q kiln.Qualifier) {
	t := d.old.turnouts[qualified(q)]
	if t == nil {
		return
	}
	if d.next != nil {
		delete(d.next.turnouts, qualified(q))
	}
	d.remove(eventKey(d.old.fn.ID, q), t.stored)
}

// noEventPolicy is recorded.
func noEventPolicy(id kiln.FunctionID, q kiln.Qualifier) error {
	return kiln.Errorf(kiln.NotFound, "The function %s doesn't have an EventInvokeConfig", id.QualifiedARN(qualified(q)))
}
