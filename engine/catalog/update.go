package catalog

import (
	"cmp"
	"context"

	"kiln"
)

// CodeUpdate is new code for $LATEST.
type CodeUpdate struct {
	Zip          []byte
	Object       *kiln.S3Object // where the package is, when it is not Zip
	Image        string         // the reference of the image, when the function is one
	Architecture string         // "" keeps it
	Publish      bool
	DryRun       bool   // check everything, change nothing
	RevisionID   string // "" is any
}

// UpdateCode gives $LATEST a new package and returns it, or the version that was
// published. The old code serves until the new one is in place, and goes on
// serving when that fails.
func (c *Catalog) UpdateCode(ctx context.Context, id kiln.FunctionID, u CodeUpdate) (*kiln.Version, error) {
	p := c.book.page(id)
	if p == nil {
		return nil, notFound(id, "")
	}
	if err := p.mayChange(u.RevisionID); err != nil {
		return nil, err
	}
	config := p.latest.version.Config
	if err := fitsPackageType(&config, u.Image != ""); err != nil {
		return nil, err
	}
	from := code{u.Zip, u.Object, u.Image, cmp.Or(u.Architecture, config.Architecture)}
	change := func(pkg kiln.Package) func(*kiln.Version) error {
		return func(v *kiln.Version) error {
			if err := fitsPackageType(&v.Config, pkg.Image != ""); err != nil {
				return err // it is another function by now
			}
			v.Package = pkg
			if u.Architecture != "" {
				v.Config.Architecture = u.Architecture
			}
			return nil
		}
	}
	if u.DryRun {
		pkg, err := c.wouldKeep(ctx, from)
		if err != nil {
			return nil, err
		}
		would := *p.latest.version
		if err := change(pkg)(&would); err != nil {
			return nil, err
		}
		return &would, checkSum(&would)
	}
	pkg, release, err := c.keep(ctx, from)
	if err != nil {
		return nil, err
	}
	defer release()
	return c.update(ctx, id, u.RevisionID, u.Publish, change(pkg))
}

// wouldKeep judges the package of a dry run. Nothing refers to it afterwards.
func (c *Catalog) wouldKeep(ctx context.Context, from code) (kiln.Package, error) {
	if from.object == nil && from.image == "" {
		return c.examine(ctx, from.zip)
	}
	pkg, release, err := c.keep(ctx, from)
	if err == nil {
		release()
	}
	return pkg, err
}

// UpdateConfig lets change edit a copy of the configuration of $LATEST, makes the
// result $LATEST, and returns it. When change fails, nothing happens. The old
// configuration serves until the new one is in place.
func (c *Catalog) UpdateConfig(ctx context.Context, id kiln.FunctionID, revisionID string, change func(*kiln.Config) error) (*kiln.Version, error) {
	return c.update(ctx, id, revisionID, false, func(v *kiln.Version) error { return change(&v.Config) })
}

func (c *Catalog) update(ctx context.Context, id kiln.FunctionID, revisionID string, publish bool, change func(*kiln.Version) error) (*kiln.Version, error) {
	old, handOn, err := c.beginUpdate(ctx, id, revisionID)
	if err != nil {
		return nil, err
	}
	defer handOn()
	was := old.latest
	v := *was.version
	v.Config = cloneConfig(v.Config)
	if err := change(&v); err != nil {
		return nil, err
	}
	v.Config = cloneConfig(v.Config) // the caller may keep what it put in
	unhold, err := c.holdLayers(v.Config.Layers, was.version.Config.Layers)
	if err != nil {
		return nil, err
	}
	defer unhold()
	if err := checkSum(&v); err != nil {
		return nil, err
	}
	v.RevisionID, v.LastModified = kiln.NewID(), c.now()
	v.Status.Update, v.Status.UpdateReason, v.Status.UpdateReasonCode = kiln.InProgress, updatingReason, updatingCode
	if was.serving == nil {
		v.Status.State, v.Status.Reason, v.Status.ReasonCode = kiln.Pending, creatingReason, creatingCode
	}
	d := revise(old)
	d.putLatest(&edition{version: &v, serving: was.serving, runs: was.runs})
	answer := &v
	if publish {
		if e := d.publish(nil); e != nil {
			answer = e.version
			d.putFunction()
		} else {
			answer = d.next.newest().version
		}
	}
	if err := c.commit(ctx, id, d); err != nil {
		return nil, err
	}
	c.await(d)
	return answer, nil
}
