package main

import (
	"context"
	"io"
	"iter"
	"strings"
	"time"

	"kiln"
	"kiln/box/runtimes"
	"kiln/door/api"
	"kiln/engine/catalog"
	"kiln/engine/worker"
	"kiln/telemetry/logs"
)

// catalogDoor is the catalog in the words of door/api. Doors and engines do not
// know each other, so their requests meet here.
type catalogDoor struct{ *catalog.Catalog }

var _ api.Catalog = catalogDoor{}

// CreateFunction is api.Catalog.
func (d catalogDoor) CreateFunction(ctx context.Context, n api.NewFunction) (*kiln.Version, error) {
	return d.Catalog.CreateFunction(ctx, catalog.New(n))
}

// UpdateCode is api.Catalog.
func (d catalogDoor) UpdateCode(ctx context.Context, id kiln.FunctionID, u api.CodeUpdate) (*kiln.Version, error) {
	return d.Catalog.UpdateCode(ctx, id, catalog.CodeUpdate(u))
}

// PublishLayer is api.Catalog.
func (d catalogDoor) PublishLayer(ctx context.Context, n api.NewLayer) (*kiln.LayerVersion, error) {
	return d.Catalog.PublishLayer(ctx, catalog.NewLayer(n))
}

// Publish is api.Catalog.
func (d catalogDoor) Publish(ctx context.Context, id kiln.FunctionID, p api.Publication) (*kiln.Version, error) {
	return d.Catalog.Publish(ctx, id, catalog.Publication(p))
}

// Package is api.Catalog.
func (d catalogDoor) Package(ctx context.Context, v *kiln.Version) (io.ReadCloser, int64, error) {
	return d.Catalog.Package(ctx, v)
}

// logsDoor is the log store in the words of door/api.
type logsDoor struct{ store *logs.Store }

// logsDoor gives the logs to the door, or nothing where none are kept.
func (s *stack) logsDoor() api.Logs {
	if s.logs == nil {
		return nil
	}
	return logsDoor{s.logs}
}

// Read is api.Logs.
func (d logsDoor) Read(q api.LogQuery) ([]api.LogRecord, error) {
	if q.Limit == 0 { // which means 1,000 to the store
		return nil, nil
	}
	records, err := d.store.Read(logs.Query(q))
	out := make([]api.LogRecord, 0, len(records))
	for _, r := range records {
		out = append(out, logRecordOf(r))
	}
	return out, err
}

// Follow is api.Logs.
func (d logsDoor) Follow(ctx context.Context, q api.LogQuery) iter.Seq[api.LogRecord] {
	switch {
	case q.Limit == 0:
		q.Since = time.Time{} // nothing of what was
	case q.Since.IsZero():
		q.Since = time.Unix(0, 0) // the store gives what was only from a time on
	}
	return func(yield func(api.LogRecord) bool) {
		for r, err := range d.store.Follow(ctx, logs.Query(q)) {
			if err != nil || !yield(logRecordOf(r)) {
				return
			}
		}
	}
}

func logRecordOf(r logs.Record) api.LogRecord {
	out := api.LogRecord{
		Time: r.Time, Type: string(r.Type), Group: r.Group, Stream: r.Stream, Function: r.Function.Name,
		Version: r.Version, RequestID: r.RequestID, Text: r.Text,
	}
	if r.Missed > 0 {
		out.Text = "(some lines came too fast to follow; kiln logs without -f has them)"
	}
	return out
}

// runtimesDoor is the book of runtimes in the words of door/api.
type runtimesDoor struct{ book *runtimes.Book }

var (
	_ api.Runtimes = runtimesDoor{}
	_ api.Newest   = runtimesDoor{}
)

// List is api.Runtimes.
func (d runtimesDoor) List(ctx context.Context) []api.RuntimeEntry {
	return runtimeEntries(d.book.List(ctx))
}

// Newest is api.Newest.
func (d runtimesDoor) Newest(ctx context.Context, family string) []api.RuntimeEntry {
	return runtimeEntries(d.book.Newest(ctx, family))
}

func runtimeEntries(list []runtimes.Entry) []api.RuntimeEntry {
	var out []api.RuntimeEntry
	for _, e := range list {
		out = append(out, api.RuntimeEntry{Identifier: e.Identifier, State: string(e.State), Source: e.Source, How: e.How, Deprecated: e.Deprecated})
	}
	return out
}

// Add is api.Runtimes.
func (d runtimesDoor) Add(ctx context.Context, identifier string, progress func(done, total int64)) error {
	return d.book.Add(ctx, identifier, runtimes.AddOptions{}, progress)
}

// Remove is api.Runtimes.
func (d runtimesDoor) Remove(identifier string) error { return d.book.Remove(identifier) }

// Release is api.Runtimes.
func (d runtimesDoor) Release(ctx context.Context, identifier, architecture string) string {
	rt, err := d.book.Runtime(ctx, identifier, architecture)
	if err != nil {
		return ""
	}
	return rt.ReleaseARN[strings.LastIndexByte(rt.ReleaseARN, ':')+1:]
}

// environments lists the environments of this machine for the door.
func (s *stack) environments() []api.EnvironmentInfo {
	frozen := s.driver.Capabilities().Freeze
	var out []api.EnvironmentInfo
	for _, e := range s.worker.Environments() {
		info := api.EnvironmentInfo{
			Worker: s.worker.ID(), ID: e.ID, Function: e.Function.QualifiedARN(kiln.Qualifier(e.Version)), State: e.State, Frozen: frozen && e.State == "idle",
			MemoryBytes: e.MemoryBytes, MemoryMB: s.memoryOf(e), Since: e.Since, AgeSeconds: time.Since(e.Since).Seconds(), Invocations: e.Invocations,
		}
		out = append(out, info)
	}
	return out
}

// memoryOf gives the configured memory of an environment's function in MB; 0 when
// the function is gone.
func (s *stack) memoryOf(e worker.Info) int {
	v, err := s.catalog.Version(e.Function, kiln.Qualifier(e.Version))
	if err != nil {
		return 0
	}
	return v.Config.MemoryMB
}
