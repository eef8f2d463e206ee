package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/lambda"
)

// URLCatalog keeps the web addresses of functions. It is an optional power of a catalog.
type URLCatalog interface {
	CreateURL(ctx context.Context, u kiln.FunctionURL) (*kiln.FunctionURL, error)
	URL(id kiln.FunctionID, q kiln.Qualifier) (*kiln.FunctionURL, error)
	URLs(id kiln.FunctionID) ([]*kiln.FunctionURL, error) // by qualifier
	UpdateURL(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier, change func(*kiln.FunctionURL) error) (*kiln.FunctionURL, error)
	DeleteURL(ctx context.Context, id kiln.FunctionID, q kiln.Qualifier) error
}

// URLs answers requests to function URLs.
type URLs interface {
	ServeURL(w http.ResponseWriter, r *http.Request, to URLRequest)
}

// URLRequest is what the port knows of a request to a function URL.
type URLRequest struct {
	URL       string // the ID
	Path      string // as the function sees it, escaped
	Prefix    string // what stands before Path in the address; "" when the host names the URL
	RequestID string
	Trace     string
}

// defaultURLDomain is under which function URLs are when the server is not told.
const defaultURLDomain = "localhost"

// urlPrefix is where function URLs are that no host name leads to.
const urlPrefix = "/_kiln/url/"

// urlHost matches <id>.lambda-url.<region>.<anything>: the list of hosts has been
// asked before whether kiln answers to it.
func urlHost(host string) (id string, ok bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	id, rest, _ := strings.Cut(lower(host), ".")
	return id, id != "" && strings.HasPrefix(rest, "lambda-url.")
}

// urlPath matches /_kiln/url/<id> and everything below it.
func urlPath(path string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(path, urlPrefix)
	id, _, _ = strings.Cut(rest, "/")
	return id, ok && id != ""
}

// byHost answers a request to a function URL that is named by the host.
func (s *Server) byHost(w http.ResponseWriter, r *http.Request, c *call) {
	s.functionURL(w, r, c, "", r.URL.EscapedPath())
}

// byPath answers a request to a function URL that is named by the path. What it says is
// not of one origin with the API: a browser is told to keep it in a sandbox.
func (s *Server) byPath(w http.ResponseWriter, r *http.Request, c *call) {
	prefix := urlPrefix + c.label
	s.functionURL(w, r, c, prefix, strings.TrimPrefix(r.URL.EscapedPath(), prefix))
}

// functionURL hands a request to the door of function URLs.
func (s *Server) functionURL(w http.ResponseWriter, r *http.Request, c *call, prefix, path string) {
	if s.o.URLs == nil {
		s.missing(w, "function URLs")
		return
	}
	if path == "" {
		path = "/"
	}
	s.o.URLs.ServeURL(w, r, URLRequest{URL: c.label, Path: path, Prefix: prefix, RequestID: c.id, Trace: trace("", s.o.Now())})
}

// errUnverified is why nobody passes a URL with AWS_IAM on a server that takes every
// identity for a claim.
var errUnverified = errors.New("this server does not verify signatures, so that none is trusted at a function URL")

// AdmitURL says who sends a request to a function URL, or why it may not: the policy of the
// function or alias decides, and with AWS_IAM the caller's own. What is left of the
// signature is in the Seal, which must be checked with the body.
func (s *Server) AdmitURL(r *http.Request, u *kiln.FunctionURL) (auth.Identity, *auth.Seal, error) {
	if u.Auth == kiln.URLAuthIAM && !s.gate.Verifies() {
		return auth.Identity{}, nil, errUnverified
	}
	return s.gate.AuthorizeURL(r, u, s.resources)
}

// urls gives the catalog's URLs, or says that it has none.
func (s service) urls() (URLCatalog, error) {
	if c, ok := s.o.Catalog.(URLCatalog); ok {
		return c, nil
	}
	return nil, unsupported("function URLs")
}

// urlReference reads the names of a request about a function URL.
func (s service) urlReference(ctx context.Context, name string, qualifier *string) (URLCatalog, kiln.FunctionID, kiln.Qualifier, error) {
	id, q, err := callOf(ctx).reference(name, qualifier)
	if err != nil {
		return nil, id, q, err
	}
	urls, err := s.urls()
	return urls, id, q, err
}

// urlConfig turns a URL into the shape that describes it. The address has scheme and port
// as the caller reaches the server.
func (s service) urlConfig(c *call, u *kiln.FunctionURL) *lambda.FunctionUrlConfig {
	scheme, rest, _ := strings.Cut(c.base(), "://")
	host := u.ID + ".lambda-url." + u.Function.Region + "." + s.urlDomain()
	if _, port, err := net.SplitHostPort(rest); err == nil {
		host = net.JoinHostPort(host, port)
	}
	address, arn := scheme+"://"+host+"/", u.ARN()
	auth, mode := string(u.Auth), string(u.InvokeMode)
	created, modified := urlTime(u.Created), urlTime(u.Modified)
	return &lambda.FunctionUrlConfig{
		FunctionUrl: &address, FunctionArn: &arn, AuthType: &auth, InvokeMode: &mode, Cors: corsShape(u.CORS), CreationTime: &created, LastModifiedTime: &modified,
	}
}

// urlDomain is the domain under which function URLs are.
func (s *Server) urlDomain() string {
	if s.o.URLDomain == "" {
		return defaultURLDomain
	}
	return s.o.URLDomain
}

// urlTime gives a time as the operations of function URLs write it.
func urlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// corsOf reads a Cors member; one without anything in it is none.
func corsOf(in *lambda.Cors) *kiln.CORS {
	if in == nil {
		return nil
	}
	c := &kiln.CORS{
		AllowCredentials: in.AllowCredentials, AllowHeaders: in.AllowHeaders, AllowMethods: in.AllowMethods,
		AllowOrigins: in.AllowOrigins, ExposeHeaders: in.ExposeHeaders,
	}
	if in.MaxAge != nil {
		age := int(*in.MaxAge)
		c.MaxAge = &age
	}
	if c.AllowCredentials == nil && c.MaxAge == nil && c.AllowHeaders == nil && c.AllowMethods == nil && c.AllowOrigins == nil && c.ExposeHeaders == nil {
		return nil
	}
	return c
}

// corsShape turns it back.
func corsShape(c *kiln.CORS) *lambda.Cors {
	if c == nil {
		return nil
	}
	out := &lambda.Cors{
		AllowCredentials: c.AllowCredentials, AllowHeaders: c.AllowHeaders, AllowMethods: c.AllowMethods,
		AllowOrigins: c.AllowOrigins, ExposeHeaders: c.ExposeHeaders,
	}
	if c.MaxAge != nil {
		age := int32(*c.MaxAge)
		out.MaxAge = &age
	}
	return out
}
