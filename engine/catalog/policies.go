package catalog

import (
	"context"
	"strings"

	"kiln"
)

// rule is the policy of a function, a version or an alias, with its record in the
// store. What it says is none of the book's business.
type rule struct {
	policy *kiln.Policy
	stored uint64
}

// policyRecord is a policy as it is stored.
type policyRecord struct {
	Document string `json:"document"`
	Revision string `json:"revisionId"`
}

// policyKey gives the key of a policy's record; that of the function itself has the
// name of $LATEST, which has no policy of its own.
func policyKey(id kiln.FunctionID, q kiln.Qualifier) string {
	if q == "" {
		q = kiln.Latest
	}
	return "p/" + id.String() + "/" + string(q)
}

// rulePart is the record of a policy.
type rulePart struct {
	id   kiln.FunctionID
	q    kiln.Qualifier
	rule *rule
}

// rulePartOf gives what a record says.
func rulePartOf(r policyRecord, id kiln.FunctionID, name string, stored uint64) *rulePart {
	q := kiln.Qualifier(name)
	if name == kiln.Latest {
		q = ""
	}
	return &rulePart{id, q, &rule{&kiln.Policy{Document: r.Document, RevisionID: r.Revision}, stored}}
}

// Policy gives the policy of a function (no qualifier), a version or an alias; nil when
// it has none. It is on the path of calls: memory only.
func (c *Catalog) Policy(id kiln.FunctionID, q kiln.Qualifier) (*kiln.Policy, error) {
	p := c.book.page(id)
	if p == nil {
		return nil, notFound(id, q)
	}
	if err := p.owns(q); err != nil {
		return nil, err
	}
	if known := p.policies[q]; known != nil {
		return known.policy, nil
	}
	return nil, nil
}

// ChangePolicy lets change make the next document of a policy from the one that is
// there, "" for none, and returns the result. An empty document takes the policy away.
// A caller who names a revision must know the latest one. When change fails, nothing
// happens.
func (c *Catalog) ChangePolicy(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, revisionID string, change func(document string) (string, error)) (*kiln.Policy, error) {
	p, handOn, err := c.begin(ctx, id, q)
	if err != nil {
		return nil, err
	}
	defer handOn()
	if err := p.owns(q); err != nil {
		return nil, err
	}
	old := p.policies[q]
	document := ""
	switch {
	case old != nil:
		document = old.policy.Document
		if revisionID != "" && revisionID != old.policy.RevisionID {
			return nil, errPolicyRevision
		}
	case revisionID != "":
		return nil, errPolicyRevision
	}
	if document, err = change(document); err != nil {
		return nil, err
	}
	d := revise(p)
	if document == "" {
		d.dropPolicy(q)
		if old == nil {
			return nil, nil
		}
		return nil, c.commit(ctx, id, d)
	}
	r := &rule{policy: &kiln.Policy{Document: document, RevisionID: kiln.NewID()}}
	d.putPolicy(q, r)
	if err := c.commit(ctx, id, d); err != nil {
		return nil, err
	}
	return r.policy, nil
}

// owns refuses a qualifier that is neither a version nor an alias of the function.
func (p *page) owns(q kiln.Qualifier) error {
	n, ok := number(q)
	if ok && p.edition(n) == nil || !ok && p.aliases[string(q)] == nil {
		return notOwned(p.fn.ID, q)
	}
	return nil
}

// notOwned says that a version or an alias is not there; what has a $ could be neither.
func notOwned(id kiln.FunctionID, q kiln.Qualifier) error {
	if strings.Trim(string(q), "0123456789") == "" || strings.Contains(string(q), "$") {
		return notFound(id, q)
	}
	return aliasNotFound(id, string(q))
}

// putPolicy stores a policy of the next page.
func (d *draft) putPolicy(q kiln.Qualifier, r *rule) {
	expect := uint64(0)
	if known := d.next.policies[q]; known != nil {
		expect = known.stored
	}
	if d.next.policies == nil {
		d.next.policies = map[kiln.Qualifier]*rule{}
	}
	d.next.policies[q] = r
	d.write(Write{policyKey(d.next.fn.ID, q), encode(policyRecord{r.policy.Document, r.policy.RevisionID}), expect}, func(revision uint64) { r.stored = revision })
}

// dropPolicy takes the policy of a qualifier out of the next page, if it has one.
func (d *draft) dropPolicy(q kiln.Qualifier) {
	r := d.old.policies[q]
	if r == nil {
		return
	}
	if d.next != nil {
		delete(d.next.policies, q)
	}
	d.remove(policyKey(d.old.fn.ID, q), r.stored)
}

// errPolicyRevision is recorded.
var errPolicyRevision = &kiln.Error{Code: kiln.Precondition, Message: "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id"}
