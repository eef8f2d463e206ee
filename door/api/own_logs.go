package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kiln"
)

// Lines that a read of logs gives when the request says nothing, and at most.
const (
	defaultLines = 1000
	mostLines    = 100000
)

// logs answers with the lines of logs that match, oldest first, as JSON lines; with
// follow=1 the answer goes on with what is written from then on until the client, or
// the server, ends it.
func (s *Server) logs(w http.ResponseWriter, r *http.Request, c *call) {
	if s.o.Logs == nil {
		s.missing(w, "logs")
		return
	}
	q, only, follow, err := s.logQuery(r, c)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	wanted := func(rec *LogRecord) bool { return only == "" || rec.Function == "" || rec.Function == only }
	if follow && r.Method != http.MethodHead {
		s.follow(w, r, q, wanted)
		return
	}
	records, err := s.o.Logs.Read(q)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out := newLines(w)
	out.begin()
	for i := range records {
		if wanted(&records[i]) && !out.send(&records[i]) {
			return
		}
	}
}

// follow sends lines until the client goes away or the server goes down.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, q LogQuery, wanted func(*LogRecord) bool) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stopped := make(chan struct{})
	go func() { // ends with this request, which waits for it
		defer close(stopped)
		select {
		case <-s.draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(); <-stopped }()
	out := newLines(w)
	out.begin()
	for rec := range s.o.Logs.Follow(ctx, q) {
		if wanted(&rec) && !out.send(&rec) {
			return
		}
	}
}

// logQuery reads what a request wants to see. A function is looked for in the group
// that it logs to, and its lines alone are wanted there.
func (s *Server) logQuery(r *http.Request, c *call) (q LogQuery, only string, follow bool, err error) {
	v := r.URL.Query()
	q = LogQuery{Scope: c.Scope, Group: v.Get("group"), Stream: v.Get("stream"), RequestID: lower(v.Get("requestId")), Limit: defaultLines}
	for name := range v {
		if !strings.Contains(" function group stream requestId since limit follow ", " "+name+" ") {
			return q, "", false, kiln.Errorf(kiln.Invalid, "%q is not a parameter of logs", clip(name))
		}
	}
	if name := v.Get("function"); name != "" {
		id, err := c.function(name)
		if err != nil {
			return q, "", false, kiln.Errorf(kiln.Invalid, "%q does not name a function of account %s in %s", clip(name), c.Account, c.Region)
		}
		only = id.Name
		if q.Group == "" {
			q.Group = s.groupOf(id)
		}
	}
	if n := v.Get("limit"); n != "" {
		if q.Limit, err = strconv.Atoi(n); err != nil || q.Limit < 0 || q.Limit > mostLines {
			return q, "", false, kiln.Errorf(kiln.Invalid, "limit must be a number from 0 to %d", mostLines)
		}
	}
	if t := v.Get("since"); t != "" {
		if q.Since, err = since(t, s.o.Now()); err != nil {
			return q, "", false, err
		}
	}
	switch v.Get("follow") {
	case "", "0":
	case "1":
		follow = true
	default:
		return q, "", false, kiln.Errorf(kiln.Invalid, "follow must be 0 or 1")
	}
	return q, only, follow, nil
}

// groupOf gives the group of a function, also of one that is gone.
func (s *Server) groupOf(id kiln.FunctionID) string {
	v, err := s.o.Catalog.Version(id, "")
	if err != nil {
		v = &kiln.Version{Function: id}
	}
	return logGroup(v)
}

// since reads a time in RFC 3339, or a duration back from now ("90s", "2h").
func since(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, kiln.Errorf(kiln.Invalid, "since must be a time such as 2026-01-02T15:04:05Z or a duration such as 10m")
	}
	return t, nil
}
