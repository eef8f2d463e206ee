package catalog

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"kiln"
)

// load reads the book and gives the versions that wait for their package.
func (c *Catalog) load(ctx context.Context) ([]*kiln.Version, error) {
	parts, mark, err := readRecords(ctx, c.o.Store)
	if err != nil {
		return nil, err
	}
	if mark.Revision == 0 && len(parts) > 0 {
		return nil, fmt.Errorf("the record %q is missing", formatKey)
	}
	if now := strconv.Itoa(format); string(mark.Value) != now { // what this program writes, an older one would lose
		if _, err := c.o.Store.Commit(ctx, []Write{{Key: formatKey, Value: []byte(now), Expect: mark.Revision}}); err != nil {
			return nil, err
		}
	}
	pages, err := bind(parts)
	if err != nil {
		return nil, err
	}
	c.book.fill(pages)
	if c.shelf.m, err = stackLayers(parts); err != nil {
		return nil, err
	}
	c.orders.fill(parts)
	var waiting []*kiln.Version
	for _, p := range pages {
		for _, e := range append([]*edition{p.latest}, p.editions...) {
			if isWaiting(e.version) {
				waiting = append(waiting, e.version)
			}
		}
	}
	return waiting, nil
}

// readRecords gives what all records mean (*page, *edition or *alias), and the one of
// the format, which is zero when there is none. They are read by one goroutine and understood by
// all others meanwhile: a book of a million versions is there in seconds.
func readRecords(ctx context.Context, store Store) (parts []any, mark Record, err error) {
	const batch = 1000
	workers := runtime.GOMAXPROCS(0)
	found := make([][]any, workers)
	batches := make(chan []Record, workers)
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for n := range workers {
		all.Go(func() {
			same := interner{}
			for records := range batches {
				for _, r := range records {
					part, err := decodeRecord(r, same)
					if err != nil {
						err = fmt.Errorf("record %q: %w", r.Key, err)
						failed.Store(&err)
						break
					}
					found[n] = append(found[n], part)
				}
			}
		})
	}
	var records []Record
	err = store.Scan(ctx, "", func(r Record) error {
		if err := failed.Load(); err != nil {
			return *err
		}
		if r.Key == formatKey {
			mark = r
			return checkFormat(r.Value)
		}
		if records = append(records, r); len(records) == batch {
			batches <- records
			records = nil
		}
		return nil
	})
	batches <- records
	close(batches)
	all.Wait()
	if err == nil && failed.Load() != nil {
		err = *failed.Load()
	}
	return slices.Concat(found...), mark, err
}

func checkFormat(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 {
		return fmt.Errorf("record %q does not name a format: %q", formatKey, text)
	}
	if n > format {
		return fmt.Errorf("the book has format %d and this program reads up to %d: a newer kiln wrote it", n, format)
	}
	return nil
}

// bind puts versions and aliases into the pages of their functions. One without
// its function, or a function without $LATEST, is an error.
func bind(parts []any) (map[kiln.FunctionID]*page, error) {
	pages := map[kiln.FunctionID]*page{}
	for _, part := range parts {
		if p, ok := part.(*page); ok {
			pages[p.fn.ID] = p
		}
	}
	for _, part := range parts {
		var id kiln.FunctionID
		switch part := part.(type) {
		case *edition:
			id = part.version.Function
		case *alias:
			id = part.alias.Function
		case *address:
			id = part.url.Function
		case *rulePart:
			id = part.id
		case *turnout:
			id = part.policy.Function
		case *provisionPart:
			id = part.id
		default:
			continue
		}
		p := pages[id]
		if p == nil {
			return nil, fmt.Errorf("function %s has versions, aliases, URLs or policies but no record of its own", id)
		}
		switch part := part.(type) {
		case *alias:
			p.aliases[part.alias.Name] = part
		case *address:
			if p.urls == nil {
				p.urls = map[kiln.Qualifier]*address{}
			}
			p.urls[part.url.Qualifier] = part
		case *rulePart:
			if p.policies == nil {
				p.policies = map[kiln.Qualifier]*rule{}
			}
			p.policies[part.q] = part.rule
		case *turnout:
			if p.turnouts == nil {
				p.turnouts = map[kiln.Qualifier]*turnout{}
			}
			p.turnouts[part.policy.Qualifier] = part
		case *provisionPart:
			if p.provisions == nil {
				p.provisions = map[kiln.Qualifier]*provision{}
			}
			p.provisions[part.q] = part.provision
		case *edition:
			if part.version.Number == 0 {
				p.latest = part
			} else {
				p.editions = append(p.editions, part)
			}
		}
	}
	for id, p := range pages {
		if p.latest == nil {
			return nil, fmt.Errorf("function %s has no $LATEST", id)
		}
		slices.SortFunc(p.editions, func(x, y *edition) int { return x.version.Number - y.version.Number })
		if newest := p.newest(); newest != nil && newest.version.Number > p.last {
			return nil, fmt.Errorf("function %s has version %d but gave only %d numbers", id, newest.version.Number, p.last)
		}
		for name, a := range p.aliases {
			if p.edition(a.main) == nil || a.other >= 0 && p.edition(a.other) == nil {
				return nil, fmt.Errorf("alias %s of function %s points to a version that is not there", name, id)
			}
		}
		for q := range p.urls {
			if q != "" && p.aliases[string(q)] == nil {
				return nil, fmt.Errorf("function %s has the URL of an alias %s that is not there", id, q)
			}
		}
		for q := range p.turnouts {
			if p.find(q, nil) == nil {
				return nil, fmt.Errorf("function %s has a policy for events of %s, which is not there", id, q)
			}
		}
		for q := range p.provisions {
			if p.find(q, nil) == nil {
				return nil, fmt.Errorf("function %s has provisioned concurrency of %s, which is not there", id, q)
			}
		}
		for q := range p.policies {
			if err := p.owns(q); err != nil {
				return nil, fmt.Errorf("function %s has the policy of %s, which is not there", id, q)
			}
		}
	}
	return pages, nil
}
