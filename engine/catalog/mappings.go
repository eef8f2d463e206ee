package catalog

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"kiln"
)

// orders is the copy in memory of all mappings. They are not on the way of a call.
type orders struct {
	mu sync.RWMutex
	m  map[orderID]*order
}

type orderID struct {
	kiln.Scope
	id string
}

// order is a mapping with its record in the store.
type order struct {
	mapping *kiln.Mapping
	stored  uint64
}

// mappingRecord is a mapping as it is stored.
type mappingRecord struct {
	Source      string            `json:"source"`
	Account     string            `json:"functionAccount"`
	Region      string            `json:"functionRegion"`
	Function    string            `json:"function"`
	Qualifier   string            `json:"qualifier,omitempty"`
	Enabled     bool              `json:"enabled,omitempty"`
	BatchSize   int               `json:"batchSize"`
	Window      time.Duration     `json:"window,omitempty"`
	Filters     []string          `json:"filters,omitempty"`
	Partial     bool              `json:"partial,omitempty"`
	Concurrency int               `json:"concurrency,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Modified    time.Time         `json:"modified"`
	Deleting    bool              `json:"deleting,omitempty"`
}

func mappingKey(in kiln.Scope, id string) string {
	return "m/" + in.Account + "/" + in.Region + "/" + id
}

func (o *order) value() []byte {
	m := o.mapping
	return encode(mappingRecord{
		Source: m.Source, Account: m.Function.Account, Region: m.Function.Region, Function: m.Function.Name, Qualifier: string(m.Qualifier),
		Enabled: m.Enabled, BatchSize: m.BatchSize, Window: m.Window, Filters: m.Filters, Partial: m.Partial, Concurrency: m.MaxConcurrency,
		Tags: m.Tags, Modified: m.Modified, Deleting: m.Deleting,
	})
}

// decodeMapping gives what a record says of a mapping.
func decodeMapping(r Record, in kiln.Scope, id string) (*order, error) {
	var s mappingRecord
	if err := json.Unmarshal(r.Value, &s); err != nil {
		return nil, err
	}
	return &order{&kiln.Mapping{
		Scope: in, ID: id, Source: s.Source, Function: kiln.FunctionID{Scope: kiln.Scope{Account: s.Account, Region: s.Region}, Name: s.Function},
		Qualifier: kiln.Qualifier(s.Qualifier), Enabled: s.Enabled, BatchSize: s.BatchSize, Window: s.Window, Filters: s.Filters, Partial: s.Partial,
		MaxConcurrency: s.Concurrency, Tags: s.Tags, Modified: s.Modified, Deleting: s.Deleting,
	}, r.Revision}, nil
}

// fill puts in the mappings of a book that nobody reads yet.
func (o *orders) fill(parts []any) {
	o.m = map[orderID]*order{}
	for _, part := range parts {
		if one, ok := part.(*order); ok {
			o.m[orderID{one.mapping.Scope, one.mapping.ID}] = one
		}
	}
}

func (o *orders) get(in kiln.Scope, id string) *order {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.m[orderID{in, id}]
}

// put makes next the mapping of its name; nil takes it out.
func (o *orders) put(in kiln.Scope, id string, next *order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if next == nil {
		delete(o.m, orderID{in, id})
		return
	}
	o.m[orderID{in, id}] = next
}

// Mappings gives all mappings of all scopes, in no order. They are there whether their
// functions are or not.
func (c *Catalog) Mappings() []*kiln.Mapping {
	c.orders.mu.RLock()
	defer c.orders.mu.RUnlock()
	out := make([]*kiln.Mapping, 0, len(c.orders.m))
	for _, o := range c.orders.m {
		out = append(out, o.mapping)
	}
	return out
}

// AddMapping keeps a new mapping. A second one from a source to the same function is
// refused.
func (c *Catalog) AddMapping(ctx context.Context, m *kiln.Mapping) error {
	return c.putMapping(ctx, m, true)
}

// SetMapping keeps another form of a mapping.
func (c *Catalog) SetMapping(ctx context.Context, m *kiln.Mapping) error {
	return c.putMapping(ctx, m, false)
}

func (c *Catalog) putMapping(ctx context.Context, m *kiln.Mapping, fresh bool) error {
	handOn, err := c.beginMapping(ctx, m.Scope)
	if err != nil {
		return err
	}
	defer handOn()
	old := c.orders.get(m.Scope, m.ID)
	if (old == nil) != fresh {
		return kiln.Errorf(kiln.NotFound, "The resource you requested does not exist.")
	}
	for _, other := range c.Mappings() {
		if other.Scope == m.Scope && other.ID != m.ID && other.Source == m.Source && other.Function == m.Function && other.Qualifier == m.Qualifier {
			name := m.Function.Name
			if m.Qualifier != "" {
				name += ":" + string(m.Qualifier)
			}
			return kiln.Errorf(kiln.Conflict, "An event source mapping with SQS arn (\" %s \") and function (\" %s \") already exists. Please update or delete the existing mapping with UUID %s",
				m.Source, name, other.ID)
		}
	}
	kept := *m
	kept.Filters, kept.Tags = slices.Clone(m.Filters), maps.Clone(m.Tags)
	kept.State, kept.Reason, kept.Result = "", "", ""
	next := &order{mapping: &kept}
	expect := uint64(0)
	if old != nil {
		expect = old.stored
	}
	revisions, err := c.o.Store.Commit(context.WithoutCancel(ctx), []Write{{mappingKey(m.Scope, m.ID), next.value(), expect}})
	if err != nil {
		return storeError(err)
	}
	next.stored = revisions[0]
	c.orders.put(m.Scope, m.ID, next)
	return nil
}

// DropMapping forgets a mapping. One that is not there is no error.
func (c *Catalog) DropMapping(ctx context.Context, in kiln.Scope, id string) error {
	handOn, err := c.beginMapping(ctx, in)
	if err != nil {
		return err
	}
	defer handOn()
	old := c.orders.get(in, id)
	if old == nil {
		return nil
	}
	if _, err := c.o.Store.Commit(context.WithoutCancel(ctx), []Write{{mappingKey(in, id), nil, old.stored}}); err != nil {
		return storeError(err)
	}
	c.orders.put(in, id, nil)
	return nil
}

// beginMapping takes the turn of the mappings of a scope.
func (c *Catalog) beginMapping(ctx context.Context, in kiln.Scope) (func(), error) {
	release, err := c.turns.take(ctx, kiln.FunctionID{Scope: in, Name: "mappings:"}) // no function can have this name
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		release()
		return nil, err
	}
	return release, nil
}
