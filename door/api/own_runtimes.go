package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"kiln"
)

// Progress is one line of the answer of POST /_kiln/v1/runtimes/{id}. The last line
// says how it ended: Ready, or Problem.
type Progress struct {
	Done    int64    `json:"done"`
	Total   int64    `json:"total,omitempty"` // 0: not known
	Ready   bool     `json:"ready,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

// progressEvery is how often the progress of a fetch is told.
const progressEvery = 100 * time.Millisecond

// listRuntimes tells which runtimes can run functions here.
func (s *Server) listRuntimes(w http.ResponseWriter, r *http.Request, _ *call) {
	if s.o.Runtimes == nil {
		s.missing(w, "runtimes")
		return
	}
	var list []RuntimeEntry
	family := r.URL.Query().Get("newest")
	if newest, ok := s.o.Runtimes.(Newest); ok && family != "" {
		list = newest.Newest(r.Context(), family)
	} else {
		list = s.o.Runtimes.List(r.Context())
	}
	if list == nil {
		list = []RuntimeEntry{}
	}
	s.json(w, http.StatusOK, list)
}

// changeRuntime fetches a runtime, or forgets it.
func (s *Server) changeRuntime(w http.ResponseWriter, r *http.Request, c *call) {
	switch {
	case s.o.Runtimes == nil:
		s.missing(w, "runtimes")
	case !isRuntime(c.label):
		s.problem(w, http.StatusBadRequest, kiln.Invalid, clip(c.label)+" is not the identifier of a runtime")
	case r.Method == http.MethodPost:
		s.addRuntime(w, r, c.label)
	default:
		if err := s.o.Runtimes.Remove(c.label); err != nil {
			s.fail(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// addRuntime fetches a runtime and tells its progress, a line at a time. The status
// is sent with the first line, so that a refusal before it is an ordinary one.
func (s *Server) addRuntime(w http.ResponseWriter, r *http.Request, id string) {
	out := newLines(w)
	var mu sync.Mutex // Add may report from goroutines of its own
	var last time.Time
	var over bool
	err := s.fetcherOf(r)(r.Context(), id, func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if now := s.o.Now(); !over && (now.Sub(last) >= progressEvery || done == total) {
			last = now
			out.send(Progress{Done: done, Total: total})
		}
	})
	mu.Lock()
	defer mu.Unlock()
	over = true
	switch {
	case err == nil:
		out.send(Progress{Ready: true})
	case out.begun:
		p, _ := s.problemOf(r, err)
		out.send(Progress{Problem: &p})
	default:
		s.fail(w, r, err)
	}
}

// fetcherOf gives what fetches a runtime: from an image, when the request names one.
func (s *Server) fetcherOf(r *http.Request) func(ctx context.Context, id string, progress func(done, total int64)) error {
	image := r.URL.Query().Get("image")
	switch {
	case image == "":
		return s.o.Runtimes.Add
	case s.o.Images == nil:
		return func(context.Context, string, func(int64, int64)) error {
			return kiln.Errorf(kiln.Unsupported, "this server runs no container images")
		}
	}
	return func(ctx context.Context, id string, progress func(done, total int64)) error {
		return s.o.Images.AddRuntime(ctx, id, image, progress)
	}
}

// isRuntime reports whether s has the form of a runtime's identifier.
func isRuntime(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-') {
			return false
		}
	}
	return true
}

// lines writes an answer of JSON lines, each of which leaves at once.
type lines struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	enc   *json.Encoder
	begun bool
}

// newLines makes an answer that has not begun.
func newLines(w http.ResponseWriter) *lines {
	return &lines{w: w, flush: http.NewResponseController(w), enc: json.NewEncoder(w)}
}

// begin sends the head of the answer.
func (l *lines) begin() {
	if l.begun {
		return
	}
	l.begun = true
	h := l.w.Header()
	h.Set("Content-Type", "application/jsonlines")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	l.w.WriteHeader(http.StatusOK)
	_ = l.flush.Flush() // the caller has gone; the next write says so
}

// send writes one line and reports whether there is still somebody to read.
func (l *lines) send(v any) bool {
	l.begin()
	if l.enc.Encode(v) != nil {
		return false
	}
	return l.flush.Flush() == nil
}
