package catalog

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kiln"
)

// provision is provisioned concurrency of a version or an alias, with its record in
// the store. An alias that moves takes it along.
type provision struct {
	requested int
	modified  time.Time
	parts     *sync.Map // number of a version → *kiln.Provision; the same for all that follows this one
	stored    uint64
}

// provisionRecord is provisioned concurrency as it is stored.
type provisionRecord struct {
	Requested int       `json:"requested"`
	Modified  time.Time `json:"modified"`
}

// provisionPart is what a record says.
type provisionPart struct {
	id kiln.FunctionID
	q  kiln.Qualifier
	*provision
}

func provisionKey(id kiln.FunctionID, q kiln.Qualifier) string {
	return "c/" + id.String() + "/" + string(q)
}

func provisionPartOf(r provisionRecord, id kiln.FunctionID, q string, stored uint64) *provisionPart {
	return &provisionPart{id, kiln.Qualifier(q), &provision{r.Requested, r.Modified, &sync.Map{}, stored}}
}

// part gives the environments of one version.
func (p *provision) part(number int) *kiln.Provision {
	if known, ok := p.parts.Load(number); ok {
		return known.(*kiln.Provision)
	}
	known, _ := p.parts.LoadOrStore(number, &kiln.Provision{})
	return known.(*kiln.Provision)
}

func (p *provision) describe(id kiln.FunctionID, q kiln.Qualifier) kiln.ProvisionReport {
	out := kiln.ProvisionReport{Function: id, Qualifier: q, Requested: p.requested, Modified: p.modified}
	p.parts.Range(func(_, v any) bool {
		part := v.(*kiln.Provision)
		ready := part.Ready()
		out.Allocated += ready
		out.Available += max(0, ready-part.Used())
		out.Failed = out.Failed || part.Failed()
		return true
	})
	return out
}

// ProvisionTargets gives what is to be kept initialised of a function, and says so in
// its Provisions; those that are not wanted any more want none.
func (c *Catalog) ProvisionTargets(id kiln.FunctionID) []kiln.Target {
	p := c.book.page(id)
	if p == nil {
		return nil
	}
	var out []kiln.Target
	for q, pr := range p.provisions {
		shares := p.provisionShares(q, pr.requested)
		pr.parts.Range(func(number, part any) bool {
			if shares[number.(int)] == 0 {
				part.(*kiln.Provision).Want(0)
			}
			return true
		})
		for number, n := range shares {
			e := p.edition(number)
			if e == nil || e.serving == nil || n == 0 {
				continue
			}
			part := pr.part(number)
			part.Want(n)
			out = append(out, kiln.Target{Version: e.serving, Revision: e.runs, Provision: part})
		}
	}
	return out
}

// provisionShares divides environments over the versions that a qualifier leads to.
func (p *page) provisionShares(q kiln.Qualifier, n int) map[int]int {
	if number, ok := number(q); ok {
		return map[int]int{number: n}
	}
	a := p.aliases[string(q)]
	if a == nil {
		return nil
	}
	if a.other < 0 {
		return map[int]int{a.main: n}
	}
	other := int(math.Round(float64(n) * a.weight))
	return map[int]int{a.main: n - other, a.other: other}
}

// EachProvisioned calls f with every function that has provisioned concurrency.
func (c *Catalog) EachProvisioned(f func(kiln.FunctionID)) {
	c.book.each(func(p *page) {
		if len(p.provisions) > 0 {
			f(p.fn.ID)
		}
	})
}

// provisioned gives the sum of a function's provisioned concurrency.
func (p *page) provisioned() int {
	if p == nil {
		return 0
	}
	sum := 0
	for _, pr := range p.provisions {
		sum += pr.requested
	}
	return sum
}

// held gives what a function takes of the account's concurrency for itself: what it has
// reserved, or else what is provisioned for it.
func (p *page) held() int64 {
	if p == nil {
		return 0
	}
	if p.fn.Reserved != nil {
		return int64(*p.fn.Reserved)
	}
	return int64(p.provisioned())
}

// versionQualifier names a published version.
func versionQualifier(number int) kiln.Qualifier { return kiln.Qualifier(strconv.Itoa(number)) }

// PutProvision keeps environments of a version or an alias initialised.
func (c *Catalog) PutProvision(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, n int) (kiln.ProvisionReport, error) {
	// two functions of a scope must not take the same rest
	together, err := c.turns.take(ctx, kiln.FunctionID{Scope: id.Scope})
	if err != nil {
		return kiln.ProvisionReport{}, err
	}
	defer together()
	p, handOn, err := c.begin(ctx, id, q)
	switch {
	case kiln.CodeOf(err) == kiln.NotFound:
		return kiln.ProvisionReport{}, notOwned(id, q)
	case err != nil:
		return kiln.ProvisionReport{}, err
	}
	defer handOn()
	if err := p.provisionable(q); err != nil {
		return kiln.ProvisionReport{}, err
	}
	old := p.provisions[q]
	total := p.provisioned() + n
	if old != nil {
		total -= old.requested
	}
	if r := p.fn.Reserved; r != nil {
		if total > *r {
			return kiln.ProvisionReport{}, kiln.Errorf(kiln.Invalid, "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
		}
	} else {
		account := c.o.AccountConcurrency
		least := min(account, kiln.MinUnreservedConcurrency)
		switch rest := account - int(c.book.reserved(id.Scope)-p.held()); {
		case total > rest:
			return kiln.ProvisionReport{}, kiln.Errorf(kiln.Invalid, "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [%d].", rest)
		case rest-total < least:
			return kiln.ProvisionReport{}, kiln.Errorf(kiln.Invalid, "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", least)
		}
	}
	next := &provision{requested: n, modified: c.now(), parts: &sync.Map{}}
	expect := uint64(0)
	if old != nil {
		next.parts, expect = old.parts, old.stored
	}
	d := revise(p)
	if d.next.provisions == nil {
		d.next.provisions = map[kiln.Qualifier]*provision{}
	}
	d.next.provisions[q] = next
	d.changed = true
	d.write(Write{provisionKey(id, q), encode(provisionRecord{n, next.modified}), expect}, func(r uint64) { next.stored = r })
	if err := c.commit(ctx, id, d); err != nil {
		return kiln.ProvisionReport{}, err
	}
	return next.describe(id, q), nil
}

// provisionable refuses a qualifier that cannot have provisioned concurrency.
func (p *page) provisionable(q kiln.Qualifier) error {
	n, isNumber := number(q)
	switch {
	case p.latest.version.Config.PerTenant:
		return kiln.Errorf(kiln.Invalid, "Provisioned Concurrency is not supported for functions enabled with tenancy configuration.")
	case q == "":
		return kiln.Errorf(kiln.Invalid, "The function resource provided must be an alias or a published version.")
	case isNumber && n == 0:
		return kiln.Errorf(kiln.Invalid, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	}
	if err := p.owns(q); err != nil {
		return err
	}
	if isNumber {
		for _, name := range p.pointingTo(n) {
			if p.provisions[kiln.Qualifier(name)] != nil {
				return kiln.Errorf(kiln.Conflict, "Version is pointed by a Provisioned Concurrency alias")
			}
		}
		return nil
	}
	a := p.aliases[string(q)]
	for _, n := range []int{a.main, a.other} {
		switch {
		case n == 0:
			return kiln.Errorf(kiln.Invalid, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
		case n > 0 && p.provisions[versionQualifier(n)] != nil:
			return kiln.Errorf(kiln.Conflict, "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
		}
	}
	return nil
}

// Provision tells of the provisioned concurrency of a version or an alias.
func (c *Catalog) Provision(id kiln.FunctionID, q kiln.Qualifier) (kiln.ProvisionReport, error) {
	p := c.book.page(id)
	if p == nil {
		return kiln.ProvisionReport{}, notOwned(id, q)
	}
	pr := p.provisions[q]
	if err := p.owns(q); pr == nil && err != nil {
		return kiln.ProvisionReport{}, err
	}
	if pr == nil {
		return kiln.ProvisionReport{}, errNoProvision
	}
	return pr.describe(id, q), nil
}

// Provisions tells of all provisioned concurrency of a function, by qualifier.
func (c *Catalog) Provisions(id kiln.FunctionID) ([]kiln.ProvisionReport, error) {
	p := c.book.page(id)
	if p == nil {
		return nil, notFound(id, "")
	}
	out := make([]kiln.ProvisionReport, 0, len(p.provisions))
	for q, pr := range p.provisions {
		out = append(out, pr.describe(id, q))
	}
	slices.SortFunc(out, func(x, y kiln.ProvisionReport) int { return strings.Compare(string(x.Qualifier), string(y.Qualifier)) })
	return out, nil
}

// DeleteProvision lets the environments of a version or an alias go. That there are none
// is no error: what the caller wants is so already.
func (c *Catalog) DeleteProvision(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier) error {
	p, handOn, err := c.begin(ctx, id, q)
	if err != nil {
		return err
	}
	defer handOn()
	if p.provisions[q] == nil {
		return nil
	}
	d := revise(p)
	d.dropProvision(q)
	d.changed = true
	return c.commit(ctx, id, d)
}

// dropProvision takes provisioned concurrency out of the next page, if there is some.
func (d *draft) dropProvision(q kiln.Qualifier) {
	pr := d.old.provisions[q]
	if pr == nil {
		return
	}
	pr.parts.Range(func(_, part any) bool { part.(*kiln.Provision).Want(0); return true })
	if d.next != nil {
		delete(d.next.provisions, q)
	}
	d.remove(provisionKey(d.old.fn.ID, q), pr.stored)
}

// errNoProvision is recorded.
var errNoProvision = &kiln.Error{Code: kiln.NotFound, Reason: "provisioned concurrency", Message: "No Provisioned Concurrency Config found for this function"}
