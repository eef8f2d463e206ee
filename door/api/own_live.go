package api

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"kiln"
)

// LiveRequest asks that a function shows the files of a directory of this host. Its
// sender proves that it may write there by a file that holds what Proof says.
type LiveRequest struct {
	Directory string `json:"directory"`
	Proof     string `json:"proof"`
	Session   string `json:"session,omitempty"` // of PUT: what POST's answer said
}

// LiveLine is a line of the answer: the first one of POST, and that of PUT.
type LiveLine struct {
	Session    string `json:"session"`
	Generation int    `json:"generation"`
}

// liveBeat is how often the answer of POST sends an empty line, so that a client that
// is gone without a word is found out.
const liveBeat = 10 * time.Second

// sessions are the functions under development, by their sessions.
type sessions struct {
	mu sync.Mutex
	m  map[string]Binding
}

// live binds a function to a directory for as long as the request lasts (POST), or
// says that its files have changed (PUT).
func (s *Server) live(w http.ResponseWriter, r *http.Request, c *call) {
	developer, ok := s.o.Catalog.(Developer)
	if !ok {
		s.missing(w, "directories under development")
		return
	}
	var in LiveRequest
	d := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		s.problem(w, http.StatusBadRequest, kiln.Invalid, "the request is not the JSON that docs/KILN_API.md describes")
		return
	}
	id := kiln.FunctionID{Scope: c.Scope, Name: c.label}
	if r.Method == http.MethodPut {
		s.changed(w, r, id, in)
		return
	}
	binding, err := developer.Bind(id, in.Directory, in.Proof)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer binding.Release()
	name := id.String() + "/" + kiln.NewID()
	s.sessions.put(name, binding)
	defer s.sessions.put(name, nil)
	s.stay(w, r, LiveLine{Session: name, Generation: 1})
}

// stay tells the session and then nothing, until the client or the server goes.
func (s *Server) stay(w http.ResponseWriter, r *http.Request, first LiveLine) {
	out := newLines(w)
	out.send(first)
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			if _, err := io.WriteString(w, "\n"); err != nil || out.flush.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.draining:
			return
		}
	}
}

// changed begins the next generation of a session.
func (s *Server) changed(w http.ResponseWriter, r *http.Request, id kiln.FunctionID, in LiveRequest) {
	binding := s.sessions.of(id, in.Session)
	if binding == nil {
		s.problem(w, http.StatusNotFound, kiln.NotFound, "there is no such session; the function has its package again")
		return
	}
	generation, err := binding.Changed(in.Directory, in.Proof)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.json(w, http.StatusOK, LiveLine{Session: in.Session, Generation: generation})
}

// of gives the session of a function, or nil.
func (s *sessions) of(id kiln.FunctionID, name string) Binding {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(name) != len(id.String())+37 || name[:len(id.String())] != id.String() {
		return nil
	}
	return s.m[name]
}

// put adds a session or, with nil, takes it out.
func (s *sessions) put(name string, b Binding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b == nil {
		delete(s.m, name)
		return
	}
	if s.m == nil {
		s.m = map[string]Binding{}
	}
	s.m[name] = b
}
