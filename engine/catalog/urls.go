package catalog

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"slices"
	"strings"
	"time"

	"kiln"
)

// address is the URL of a function or of an alias, with its record in the store.
type address struct {
	url    *kiln.FunctionURL
	stored uint64
}

// urlRecord is a URL as it is stored.
type urlRecord struct {
	ID         string      `json:"id"`
	Auth       string      `json:"auth"`
	InvokeMode string      `json:"invokeMode"`
	CORS       *corsRecord `json:"cors,omitempty"`
	Created    time.Time   `json:"created"`
	Modified   time.Time   `json:"modified"`
}

// corsRecord is what a URL says of other origins, as it is stored. Lists that are empty
// and lists that were never sent differ.
type corsRecord struct {
	AllowCredentials *bool    `json:"credentials,omitempty"`
	AllowHeaders     []string `json:"headers"`
	AllowMethods     []string `json:"methods"`
	AllowOrigins     []string `json:"origins"`
	ExposeHeaders    []string `json:"expose"`
	MaxAge           *int     `json:"maxAge,omitempty"`
}

// urlKey gives the key of a URL's record; that of the function itself has the name of
// $LATEST, which no alias can have.
func urlKey(id kiln.FunctionID, q kiln.Qualifier) string {
	if q == "" {
		q = kiln.Latest
	}
	return "u/" + id.String() + "/" + string(q)
}

func (a *address) value() []byte {
	u := a.url
	r := urlRecord{ID: u.ID, Auth: string(u.Auth), InvokeMode: string(u.InvokeMode), Created: u.Created, Modified: u.Modified, CORS: (*corsRecord)(u.CORS)}
	return encode(r)
}

// addressOf gives what a record says of a URL.
func addressOf(r urlRecord, id kiln.FunctionID, name string, stored uint64) *address {
	q := kiln.Qualifier(name)
	if name == kiln.Latest {
		q = ""
	}
	return &address{&kiln.FunctionURL{
		Function: id, Qualifier: q, ID: r.ID, Auth: kiln.URLAuth(r.Auth), InvokeMode: kiln.InvokeMode(r.InvokeMode),
		CORS: (*kiln.CORS)(r.CORS), Created: r.Created, Modified: r.Modified,
	}, stored}
}

// CreateURL gives a function or an alias its web address, with an ID that nobody had.
func (c *Catalog) CreateURL(ctx context.Context, u kiln.FunctionURL) (*kiln.FunctionURL, error) {
	u.ID = newURLID()
	u.Created = c.now()
	u.Modified = u.Created
	return c.putURL(ctx, u.Function, u.Qualifier, errNoURLOwner, func(old *kiln.FunctionURL) (kiln.FunctionURL, error) {
		if p := c.book.page(u.Function); p != nil && p.latest.version.Config.PerTenant {
			return kiln.FunctionURL{}, kiln.Errorf(kiln.Invalid, "Function URLs are not supported for functions enabled with tenancy configuration.")
		}
		if old != nil {
			return kiln.FunctionURL{}, kiln.Errorf(kiln.Conflict, "Failed to create function url config for [functionArn = %s]. Error message:  FunctionUrlConfig exists for this Lambda function", u.ARN())
		}
		return u, nil
	})
}

// UpdateURL lets change edit a copy of a URL and returns the result. When change fails,
// nothing happens.
func (c *Catalog) UpdateURL(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, change func(*kiln.FunctionURL) error) (*kiln.FunctionURL, error) {
	return c.putURL(ctx, id, q, errNoURL, func(old *kiln.FunctionURL) (kiln.FunctionURL, error) {
		if old == nil {
			return kiln.FunctionURL{}, errNoURL
		}
		next := *old
		next.Modified = c.now()
		return next, change(&next)
	})
}

// putURL stores what change makes of the URL of a function or an alias; missing is the
// answer when there is neither.
func (c *Catalog) putURL(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, missing error, change func(old *kiln.FunctionURL) (kiln.FunctionURL, error)) (*kiln.FunctionURL, error) {
	p, handOn, err := c.begin(ctx, id, q)
	switch {
	case kiln.CodeOf(err) == kiln.NotFound:
		return nil, missing
	case err != nil:
		return nil, err
	}
	defer handOn()
	if q != "" && p.aliases[string(q)] == nil {
		return nil, missing
	}
	var old *kiln.FunctionURL
	if known := p.urls[q]; known != nil {
		old = known.url
	}
	next, err := change(old)
	if err != nil {
		return nil, err
	}
	d := revise(p)
	a := &address{url: &next}
	d.putURL(a)
	if err := c.commit(ctx, id, d); err != nil {
		return nil, err
	}
	return a.url, nil
}

// putURL stores the URL of the next page.
func (d *draft) putURL(a *address) {
	expect := uint64(0)
	if known := d.next.urls[a.url.Qualifier]; known != nil {
		expect = known.stored
	}
	if d.next.urls == nil {
		d.next.urls = map[kiln.Qualifier]*address{}
	}
	d.next.urls[a.url.Qualifier] = a
	d.write(Write{urlKey(a.url.Function, a.url.Qualifier), a.value(), expect}, func(r uint64) { a.stored = r })
}

// DeleteURL takes the address of a function or an alias away; another one that it is
// given later has another ID.
func (c *Catalog) DeleteURL(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier) error {
	p, handOn, err := c.begin(ctx, id, q)
	switch {
	case kiln.CodeOf(err) == kiln.NotFound:
		return errNoURL
	case err != nil:
		return err
	}
	defer handOn()
	if p.urls[q] == nil {
		return errNoURL
	}
	d := revise(p)
	d.dropURL(q)
	return c.commit(ctx, id, d)
}

// dropURL takes the URL of a qualifier out of the next page, if it has one.
func (d *draft) dropURL(q kiln.Qualifier) {
	a := d.old.urls[q]
	if a == nil {
		return
	}
	if d.next != nil {
		delete(d.next.urls, q)
	}
	d.remove(urlKey(a.url.Function, q), a.stored)
}

// URL gives the address of a function or an alias.
func (c *Catalog) URL(id kiln.FunctionID, q kiln.Qualifier) (*kiln.FunctionURL, error) {
	if p := c.book.page(id); p != nil && p.urls[q] != nil {
		return p.urls[q].url, nil
	}
	return nil, errNoURL
}

// URLs gives the addresses of a function and its aliases in the order of their names,
// its own first.
func (c *Catalog) URLs(id kiln.FunctionID) ([]*kiln.FunctionURL, error) {
	p := c.book.page(id)
	if p == nil {
		return nil, errNoURLOwner
	}
	out := make([]*kiln.FunctionURL, 0, len(p.urls))
	for _, a := range p.urls {
		out = append(out, a.url)
	}
	slices.SortFunc(out, func(x, y *kiln.FunctionURL) int {
		return strings.Compare(string(x.Qualifier), string(y.Qualifier))
	})
	return out, nil
}

// URLByID gives the URL of an ID, or nil. It is on the path of every call of a URL:
// memory only.
func (c *Catalog) URLByID(id string) *kiln.FunctionURL {
	if u, ok := c.book.urls.Load(id); ok {
		return u.(*kiln.FunctionURL)
	}
	return nil
}

// readdress makes the index of IDs follow a page that is turned.
func (b *book) readdress(old, next *page) {
	for q, a := range old.addresses() {
		if next.addresses()[q] == nil || next.urls[q].url.ID != a.url.ID {
			b.urls.Delete(a.url.ID)
		}
	}
	for q, a := range next.addresses() {
		if old.addresses()[q] != a {
			b.urls.Store(a.url.ID, a.url)
		}
	}
}

// addresses gives the URLs of a page, which may be none.
func (p *page) addresses() map[kiln.Qualifier]*address {
	if p == nil {
		return nil
	}
	return p.urls
}

// errNoURL is recorded for a function that has none, and for one that is not there.
var errNoURL = &kiln.Error{Code: kiln.NotFound, Message: "The resource you requested does not exist."}

// errNoURLOwner is recorded where a function or an alias that is not there is to get a
// URL, or is asked for its URLs.
var errNoURLOwner = &kiln.Error{Code: kiln.NotFound, Message: "Function does not exist"}

// newURLID gives 32 lower-case letters and digits that nobody can guess.
func newURLID() string {
	var id [20]byte
	_, _ = rand.Read(id[:]) // crypto/rand never fails: it ends the program instead
	return strings.ToLower(base32.StdEncoding.EncodeToString(id[:]))
}
