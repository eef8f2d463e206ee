package runtimes

import (
	"context"
	"slices"

	"kiln"
)

// State says whether functions of a runtime can run here.
type State string

// States of a runtime.
const (
	Ready     State = "ready"     // an interpreter serves it, or it needs none
	Fetchable State = "fetchable" // Add can bring its interpreter here
	Missing   State = "missing"   // its interpreter has to be installed
	ImageOnly State = "image"     // an image can bring it, or whoever installs it
)

// Entry is one runtime identifier as a user sees it.
type Entry struct {
	Identifier string
	State      State
	Source     string // path of the interpreter that serves it
	Release    string
	How        string // what to do, or why not, when it is not ready
	Deprecated string // date of AWS's deprecation, "" when none is set
}

// List gives every runtime identifier with what serves it here, by family and
// version, and then the AWS SDKs. The first call asks every interpreter and takes seconds.
func (b *Book) List(ctx context.Context) []Entry {
	all := make([]*descriptor, 0, len(b.descriptors))
	for _, d := range b.descriptors {
		all = append(all, d)
	}
	slices.SortFunc(all, compareIdentifiers)
	entries := make([]Entry, 0, len(all))
	for _, d := range all {
		entries = append(entries, b.entry(ctx, d))
	}
	return append(entries, b.sdkEntries()...)
}

// Newest looks at the runtimes of a family, or at the one of that identifier, from the
// newest on and stops at the first that is ready. It gives all that it looked at.
func (b *Book) Newest(ctx context.Context, family string) []Entry {
	var all []*descriptor
	for _, d := range b.descriptors {
		if d.Family == family || d.Identifier == family {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(x, y *descriptor) int { return compareIdentifiers(y, x) })
	var entries []Entry
	for _, d := range all {
		e := b.entry(ctx, d)
		entries = append(entries, e)
		if e.State == Ready {
			break
		}
	}
	return entries
}

func (b *Book) entry(ctx context.Context, d *descriptor) Entry {
	e := Entry{Identifier: d.Identifier, State: Ready, Deprecated: d.Deprecated}
	image, err := b.serves(ctx, d)
	switch {
	case image != nil:
		e.Source, e.Release = image.source, image.runtime.Release
	case err != nil:
		e.State, e.How = Missing, err.Error()
	case !d.interpreted():
		e.Release = d.release()
	default:
		s, err := b.find(ctx, d)
		if err == nil {
			e.Source, e.Release = s.source, s.runtime.Release
			break
		}
		e.State, e.How = Missing, err.Error()
		switch {
		case kiln.CodeOf(err) != kiln.BadRuntime:
		case !d.fetchable():
			e.State = ImageOnly
		case b.canFetch(d) == nil:
			e.State = Fetchable
		}
	}
	return e
}
