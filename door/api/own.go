package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"kiln"
)

// Problem is how kiln's own API says no.
type Problem struct {
	Code    string `json:"code"` // a kiln.Code
	Message string `json:"message"`
}

// statuses is the one table from kiln's codes to the statuses of its own API.
var statuses = map[kiln.Code]int{
	kiln.Invalid: http.StatusBadRequest, kiln.NotFound: http.StatusNotFound, kiln.Denied: http.StatusForbidden, kiln.Conflict: http.StatusConflict,
	kiln.Precondition: http.StatusPreconditionFailed, kiln.BadContent: http.StatusBadRequest, kiln.TooLarge: http.StatusRequestEntityTooLarge,
	kiln.Recursion: http.StatusBadRequest, kiln.Throttled: http.StatusTooManyRequests, kiln.Quota: http.StatusInsufficientStorage, kiln.Unsupported: http.StatusNotImplemented,
	kiln.Unavailable: http.StatusServiceUnavailable, kiln.BadPackage: http.StatusUnprocessableEntity, kiln.BadRuntime: http.StatusUnprocessableEntity,
	kiln.BadMount: http.StatusForbidden, kiln.BadNetwork: http.StatusBadGateway, kiln.Internal: http.StatusInternalServerError,
}

// problem answers no with a text of its own. The header names the exception that the
// Lambda API would have, for clients that know only those.
func (s *Server) problem(w http.ResponseWriter, status int, code kiln.Code, text string) {
	s.refuse(w, status, Problem{Code: string(code), Message: text})
}

// refuse sends a problem.
func (s *Server) refuse(w http.ResponseWriter, status int, p Problem) {
	w.Header()["X-Amzn-Errortype"] = []string{exceptions[kiln.Code(p.Code)]}
	s.json(w, status, p)
}

// fail answers no with the error of a room. What the platform did wrong is logged and
// not told.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, status := s.problemOf(r, err)
	s.refuse(w, status, p)
}

// problemOf turns the error of a room into an answer.
func (s *Server) problemOf(r *http.Request, err error) (Problem, int) {
	var e *kiln.Error
	if !errors.As(err, &e) || e.Code == kiln.Internal {
		s.log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("path", r.URL.Path), slog.Any("err", err))
		return Problem{string(kiln.Internal), internalText}, http.StatusInternalServerError
	}
	status, ok := statuses[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	return Problem{string(e.Code), e.Message}, status
}

// json answers with a value. It is not hot: reflection is fine here.
func (s *Server) json(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.log.Error("answer cannot be written as JSON", "err", err)
		status, b = http.StatusInternalServerError, []byte(`{"code":"internal","message":"`+internalText+`"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the caller has gone; there is nobody to tell
}

// missing answers for a part that this server was not given.
func (s *Server) missing(w http.ResponseWriter, what string) {
	s.problem(w, http.StatusNotImplemented, kiln.Unsupported, "this server has no "+what)
}

// noSuchPath answers for a path of kiln's own API that does not exist.
func (s *Server) noSuchPath(w http.ResponseWriter, r *http.Request, _ *call) {
	s.problem(w, http.StatusNotFound, kiln.NotFound, "nothing is at "+clip(r.URL.EscapedPath())+"; docs/KILN_API.md lists what there is")
}

// healthy answers that the process serves requests.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request, _ *call) {
	plain(w, http.StatusOK, "ok\n")
}

// ready answers whether functions can be run, or why not.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request, _ *call) {
	if s.o.Ready != nil {
		if err := s.o.Ready(); err != nil {
			plain(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
	}
	plain(w, http.StatusOK, "ok\n")
}

// plain answers with a line of text.
func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the caller has gone; there is nobody to tell
}
