package mapping

import (
	"kiln"
	"kiln/internal/pattern"
)

// filter is the filters of a mapping, of which one must match. An empty one lets all
// records through.
type filter []*pattern.Pattern

// newFilter reads filters. An error is what a client is told.
func newFilter(texts []string) (filter, error) {
	if len(texts) > kiln.MaxFilters {
		return nil, kiln.Errorf(kiln.Invalid, "FilterCriteria has %d filters, and at most %d are allowed.", len(texts), kiln.MaxFilters)
	}
	var f filter
	for _, text := range texts {
		p, err := pattern.Compile([]byte(text))
		if err != nil {
			return nil, &kiln.Error{Code: kiln.Invalid, Message: "Invalid filter pattern definition.", Err: err}
		}
		f = append(f, p)
	}
	return f, nil
}

// wants reports whether a record is to be given to the function.
func (f filter) wants(r *Record) bool {
	for _, p := range f {
		if p.Match(r.Document) {
			return true
		}
	}
	return len(f) == 0
}
