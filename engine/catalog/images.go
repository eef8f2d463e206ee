package catalog

import (
	"context"

	"kiln"
)

// Images finds container images and knows which are here.
type Images interface {
	// Resolve finds the image that a reference names now, for an architecture.
	Resolve(ctx context.Context, reference, architecture string) (kiln.Package, error)
	// Missing reports whether an image that was in place has to be pulled again.
	Missing(ctx context.Context, p kiln.Package) bool
}

// resolveImage gives the package that an image is.
func (c *Catalog) resolveImage(ctx context.Context, reference, architecture string) (kiln.Package, error) {
	if c.o.Images == nil {
		return kiln.Package{}, kiln.Errorf(kiln.Unsupported, "This server runs no container images.")
	}
	return c.o.Images.Resolve(ctx, reference, architecture)
}

// fitsPackageType refuses code of the other package type than the function has.
func fitsPackageType(c *kiln.Config, image bool) error {
	switch {
	case image && !c.FromImage():
		return kiln.Errorf(kiln.Invalid, "Please don't provide ImageUri when updating a function with packageType Zip.")
	case !image && c.FromImage():
		return kiln.Errorf(kiln.Invalid, "Please provide ImageUri when updating a function with packageType Image.")
	}
	return nil
}

// What a version says while its image is brought here once more.
const restoringReason, restoringCode = "The function is being restored.", "Restoring"

// Lost says that the image of a version was not on this machine when it was to run.
// The version is Pending, and answers so, until it is there again.
func (c *Catalog) Lost(v *kiln.Version) {
	c.pulls.addOnce(job{id: v.Function, number: v.Number, restore: true})
}

// restore makes a version wait for its image, if that is what it lacks, and gives the
// version as it is now; nil is that there is nothing to do.
func (c *Catalog) restore(ctx context.Context, one job) (*kiln.Version, error) {
	p := c.book.page(one.id)
	if p == nil {
		return nil, nil
	}
	e := p.edition(one.number)
	if e == nil || !e.version.Config.FromImage() || c.o.Images == nil {
		return nil, nil
	}
	if isWaiting(e.version) {
		return e.version, nil
	}
	if e.version.Status.State == kiln.Failed || !c.o.Images.Missing(ctx, e.version.Package) && e.version.Status.State == kiln.Active {
		return nil, nil
	}
	p, handOn, err := c.begin(ctx, one.id, "")
	if err != nil {
		if kiln.CodeOf(err) == kiln.NotFound {
			return nil, nil
		}
		return nil, err
	}
	defer handOn()
	was := p.edition(one.number)
	if was == nil || was.version != e.version {
		return nil, nil // whoever changed it has asked for its preparation
	}
	v := *was.version
	v.RevisionID = kiln.NewID()
	v.Status.State, v.Status.Reason, v.Status.ReasonCode = kiln.Pending, restoringReason, restoringCode
	d := revise(p)
	d.replaceEdition(&edition{version: &v, source: was.source})
	c.log.WarnContext(ctx, "the image of a version is not here any more and is pulled again", "function", one.id.String(), "version", v.Name(), "image", v.Package.Image)
	return &v, c.commit(ctx, one.id, d)
}

// queue gives the list that a version's preparation belongs to: images are apart, so
// that a registry that is slow keeps no other function waiting.
func (c *Catalog) queue(v *kiln.Version) *jobs {
	if v.Config.FromImage() {
		return c.pulls
	}
	return c.jobs
}

// ImageVersions gives the versions whose image must be here for them to run.
func (c *Catalog) ImageVersions() []*kiln.Version {
	var all []*kiln.Version
	add := func(e *edition) {
		if e.serving != nil && e.serving.Config.FromImage() {
			all = append(all, e.serving)
		}
	}
	c.book.each(func(p *page) {
		add(p.latest)
		for _, e := range p.editions {
			add(e)
		}
	})
	return all
}
