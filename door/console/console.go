// Package console is the status page: what this server is, what runs on it and how
// to talk to it, on a listener of its own, so that it never shares an origin with
// what functions answer. It shows; it changes nothing, keeps nothing and loads
// nothing from elsewhere.
package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"kiln"
	"kiln/door/auth"
)

// Status is what the page shows, as the API of the console sends it.
type Status struct {
	Version      string        `json:"version"`
	Started      time.Time     `json:"started"`
	API          string        `json:"api"` // URL of the Lambda API
	DataDir      string        `json:"dataDir,omitempty"`
	Sandbox      string        `json:"sandbox,omitempty"` // the driver, and what it lacks
	Functions    int           `json:"functions"`
	Load         kiln.Load     `json:"load"`
	Environments []Environment `json:"environments"`
	Problem      string        `json:"problem,omitempty"` // why functions cannot be run now
}

// Environment is one execution environment.
type Environment struct {
	ID          string    `json:"id"`
	Function    string    `json:"function"`
	Version     string    `json:"version"`
	Account     string    `json:"account"`
	Region      string    `json:"region"`
	State       string    `json:"state"`
	Frozen      bool      `json:"frozen"`
	MemoryBytes int64     `json:"memoryBytes"`
	MemoryMB    int       `json:"memoryMB"`
	Since       time.Time `json:"since"`
	Invocations int       `json:"invocations"`
}

// Options is what a console stands on. Status is required.
type Options struct {
	Status func() Status    // asked for each page
	Listen string           // host:port of the listener
	Hosts  []string         // further names that Host may have
	Now    func() time.Time // for tests
	Logger *slog.Logger
}

// Console serves the page. It is safe for concurrent use.
type Console struct {
	o     Options
	hosts *auth.Hosts
}

// figures is Status as it is sent: the load in the names of JSON.
type figures struct {
	Status
	Load load `json:"load"`
}

type load struct {
	MemoryBytes     int64 `json:"memoryBytes"`
	MemoryUsedBytes int64 `json:"memoryUsedBytes"`
	Environments    int   `json:"environments"`
	Running         int   `json:"running"`
	Waiting         int   `json:"waiting"`
}

//go:embed page.html style.css
var files embed.FS

// page is parsed once, from what is embedded; that it parses is the test's business.
var page = template.Must(template.New("page.html").Funcs(template.FuncMap{"bytes": bytesText, "ago": agoText}).ParseFS(files, "page.html"))

// policy lets the page load its own style sheet and nothing else, and be framed by
// nobody.
const policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// New gives the console as an http.Handler. It panics without a Status.
func New(o Options) *Console {
	if o.Status == nil {
		panic("console: Status is required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Console{o: o, hosts: auth.NewHosts(o.Listen, o.Hosts)}
}

// ServeHTTP answers the page, its style sheet and its figures, to the hosts of the
// list and never to another site's page.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !c.hosts.Allow(r.Host) {
		http.Error(w, "kiln does not answer to this host name; add it with --allow-host", http.StatusForbidden)
		return
	}
	if why := auth.Foreign(r); why != "" {
		http.Error(w, "refused: "+why, http.StatusForbidden)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET is allowed here", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case "/":
		c.page(w)
	case "/status.json":
		c.figures(w)
	case "/style.css":
		c.style(w)
	default:
		http.Error(w, "nothing is here; the status page is at /", http.StatusNotFound)
	}
}

// page answers the status page.
func (c *Console) page(w http.ResponseWriter) {
	var b bytes.Buffer
	v := view{Status: c.status(), Now: c.o.Now()}
	if err := page.Execute(&b, v); err != nil {
		c.o.Logger.Error("status page", "err", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	send(w, "text/html; charset=utf-8", b.Bytes())
}

// figures answers what the page shows as JSON.
func (c *Console) figures(w http.ResponseWriter) {
	s := c.status()
	b, err := json.Marshal(figures{s, load(s.Load)})
	if err != nil {
		c.o.Logger.Error("status figures", "err", err)
		http.Error(w, "the figures could not be made", http.StatusInternalServerError)
		return
	}
	send(w, "application/json", append(b, '\n'))
}

// style answers the style sheet.
func (c *Console) style(w http.ResponseWriter) {
	b, err := files.ReadFile("style.css")
	if err != nil {
		c.o.Logger.Error("style sheet", "err", err)
		http.Error(w, "the style sheet is gone", http.StatusInternalServerError)
		return
	}
	send(w, "text/css; charset=utf-8", b)
}

// status asks for the figures; the list is never null.
func (c *Console) status() Status {
	s := c.o.Status()
	if s.Environments = slices.Clone(s.Environments); s.Environments == nil {
		s.Environments = []Environment{}
	}
	return s
}

// send answers a whole body.
func send(w http.ResponseWriter, kind string, b []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // the reader has gone; there is nobody to tell
}
