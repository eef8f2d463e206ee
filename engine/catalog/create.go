package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"kiln"
)

// New is a function to be made.
type New struct {
	ID      kiln.FunctionID
	Config  kiln.Config
	Zip     []byte
	Object  *kiln.S3Object // where the package is, when it is not Zip
	Image   string         // the reference of the image, when the function is one
	Tags    map[string]string
	Publish bool // also publish version 1
}

// What the model and the recordings call the states on the way.
const (
	creatingReason, creatingCode = "The function is being created.", "Creating"
	// AWS answers the words of a creation for an update, too.
	updatingReason, updatingCode = "The function is being created.", "Creating"
)

var creating = kiln.Status{State: kiln.Pending, Reason: creatingReason, ReasonCode: creatingCode}

// CreateFunction makes a function and returns its $LATEST, or the version that was
// published, in state Pending: it becomes Active or Failed later. The package is
// checked and stored before the function is.
func (c *Catalog) CreateFunction(ctx context.Context, n New) (*kiln.Version, error) {
	if err := checkID(n.ID); err != nil {
		return nil, err
	}
	exists := kiln.Errorf(kiln.Conflict, "Function already exist: %s", n.ID.Name)
	if c.book.page(n.ID) != nil {
		return nil, exists
	}
	pkg, release, err := c.keep(ctx, code{n.Zip, n.Object, n.Image, n.Config.Architecture})
	if err != nil {
		return nil, err
	}
	defer release()
	unhold, err := c.holdLayers(n.Config.Layers, nil)
	if err != nil {
		return nil, err
	}
	defer unhold()
	handOn, err := c.turns.take(ctx, n.ID)
	if err != nil {
		return nil, err
	}
	defer handOn()
	if c.book.page(n.ID) != nil {
		return nil, exists
	}

	now := c.now()
	fn := &kiln.Function{ID: n.ID, Created: now, Tags: maps.Clone(n.Tags)}
	v := &kiln.Version{
		Function: n.ID, Config: cloneConfig(n.Config), Package: pkg, Status: creating,
		RevisionID: kiln.NewID(), LastModified: now,
	}
	if err := checkSum(v); err != nil {
		return nil, err
	}
	d := &draft{next: &page{fn: fn, aliases: map[string]*alias{}}}
	d.putLatest(&edition{version: v})
	answer := v
	if n.Publish {
		answer = d.publish(nil).version
	}
	d.putFunction()
	if err := c.commit(ctx, n.ID, d); err != nil {
		return nil, err
	}
	c.await(d)
	return answer, nil
}

// code is what a request says of the code of a function: one of the first three.
type code struct {
	zip          []byte
	object       *kiln.S3Object
	image        string
	architecture string // of the image
}

// keep checks a package, stores it, and holds it against removal until release is
// called: by then the book must refer to it. An image is only looked up: it is brought
// here when its version is prepared.
func (c *Catalog) keep(ctx context.Context, from code) (pkg kiln.Package, release func(), err error) {
	switch {
	case from.image != "":
		pkg, err = c.resolveImage(ctx, from.image, from.architecture)
		return pkg, func() {}, err
	case from.object != nil:
		return c.fetch(ctx, *from.object)
	}
	zip := from.zip
	pkg, err = c.examine(ctx, zip)
	if err != nil {
		return kiln.Package{}, nil, err
	}
	release = c.pins.pin(pkg.SHA256)
	sha, size, err := c.o.Blobs.Put(ctx, bytes.NewReader(zip))
	if err == nil && (sha != pkg.SHA256 || size != pkg.Size) {
		err = fmt.Errorf("package %s was stored as %s with %d of %d bytes", pkg.SHA256, sha, size, pkg.Size)
	}
	if err != nil {
		release()
		return kiln.Package{}, nil, packageError(err)
	}
	return pkg, release, nil
}

// examine judges a package that was sent without storing it.
func (c *Catalog) examine(ctx context.Context, zip []byte) (kiln.Package, error) {
	if len(zip) >= kiln.MaxZipSize {
		return kiln.Package{}, kiln.Errorf(kiln.TooLarge, "Zipped size must be smaller than %d bytes", kiln.MaxZipSize)
	}
	unzipped, err := c.judge(ctx, bytes.NewReader(zip), int64(len(zip)))
	if err != nil {
		return kiln.Package{}, err
	}
	sum := sha256.Sum256(zip)
	return kiln.Package{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(zip)), UnzippedSize: unzipped}, nil
}

// judge inspects a package when one of the few slots for that is free.
func (c *Catalog) judge(ctx context.Context, r io.ReaderAt, size int64) (unzipped int64, err error) {
	select {
	case c.inspect <- struct{}{}:
		defer func() { <-c.inspect }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return c.o.Inspect(r, size)
}

func packageError(err error) error {
	if kiln.CodeOf(err) != kiln.Internal {
		return err
	}
	return &kiln.Error{Code: kiln.Unavailable, Message: "The function's package could not be stored.", Err: err}
}

// checkID refuses what could not be a key. The API checks names against the model
// before; this is the last line.
func checkID(id kiln.FunctionID) error {
	if !kiln.IsName(id.Name) || !isKeyPart(id.Account) || !isKeyPart(id.Region) {
		return kiln.Errorf(kiln.Invalid, "%q does not name a function", id.String())
	}
	return nil
}

func isKeyPart(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// cloneConfig gives a configuration that shares nothing with c that could change.
func cloneConfig(c kiln.Config) kiln.Config {
	c.Environment = maps.Clone(c.Environment) // nil stays nil, {} stays {}
	c.Image.EntryPoint, c.Image.Command = slices.Clone(c.Image.EntryPoint), slices.Clone(c.Image.Command)
	c.Layers = slices.Clone(c.Layers)
	return c
}
