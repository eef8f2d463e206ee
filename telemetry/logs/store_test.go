package logs_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/telemetry"
	"kiln/telemetry/logs"
)

var home = kiln.Scope{Account: "111111111111", Region: "eu-west-1"}

// source makes the source of an environment of a function.
func source(function, stream string) *telemetry.Source {
	return &telemetry.Source{
		Function: kiln.FunctionID{Scope: home, Name: function}, Version: "$LATEST",
		Group: "/aws/lambda/" + function, Stream: stream, Environment: stream,
	}
}

// print makes the event of a printed line.
func print(s *telemetry.Source, request, text string) telemetry.Event {
	return telemetry.Event{Time: time.Now(), Type: telemetry.Line, Source: s, RequestID: request, Line: []byte(text)}
}

// open opens a store that is closed with the test.
func open(t testing.TB, dir string, o logs.Options) *logs.Store {
	t.Helper()
	s, err := logs.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

// read gives the texts of a query's records.
func read(t testing.TB, s *logs.Store, q logs.Query) []string {
	t.Helper()
	q.Scope = home
	records, err := s.Read(q)
	if err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(records))
	for i, r := range records {
		texts[i] = r.Text
	}
	return texts
}

func same(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatWasEmittedIsReadBackWhole(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, logs.Options{})
	src := source("f", "2026/11/24/[$LATEST]abc")
	at := time.Date(2026, 11, 24, 1, 2, 3, 456000, time.UTC)
	s.Emit(telemetry.Event{Time: at, Type: telemetry.Start, Source: src, RequestID: "r1"})
	s.Emit(telemetry.Event{Time: at, Type: telemetry.Line, Source: src, RequestID: "r1", Line: []byte("hello")})
	want := logs.Record{
		Time: at, Type: telemetry.Line, Function: src.Function, Version: "$LATEST",
		Group: "/aws/lambda/f", Stream: src.Stream, RequestID: "r1", Text: "hello",
	}
	check := func(s *logs.Store) {
		t.Helper()
		records, err := s.Read(logs.Query{Scope: home, Group: "/aws/lambda/f"})
		if err != nil || len(records) != 2 || records[0].Text != "START RequestId: r1 Version: $LATEST" {
			t.Fatalf("got %+v, %v", records, err)
		}
		got := records[1]
		got.Time = got.Time.UTC()
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(open(t, dir, logs.Options{}))
	if _, err := s.Read(logs.Query{}); err != logs.ErrClosed {
		t.Errorf("a closed store answers %v", err)
	}
	s.Emit(print(src, "", "too late")) // must not panic or block
}

func TestAQuerySelects(t *testing.T) {
	s := open(t, t.TempDir(), logs.Options{})
	a, b, g := source("f", "stream-a"), source("f", "stream-b"), source("g", "stream-c")
	start := time.Now().Add(-time.Hour)
	for i := range 10 {
		for n, src := range []*telemetry.Source{a, b, g} {
			e := print(src, fmt.Sprint("r", i), fmt.Sprint(src.Stream, " ", i))
			e.Time = start.Add(time.Duration(3*i+n) * time.Second)
			s.Emit(e)
		}
	}
	f := "/aws/lambda/f"
	same(t, read(t, s, logs.Query{Group: f, RequestID: "r3"}), []string{"stream-a 3", "stream-b 3"})
	same(t, read(t, s, logs.Query{Group: f, Stream: "stream-b", Limit: 2}), []string{"stream-b 8", "stream-b 9"})
	same(t, read(t, s, logs.Query{Group: f, Since: start.Add(25 * time.Second)}), []string{"stream-b 8", "stream-a 9", "stream-b 9"})
	same(t, read(t, s, logs.Query{Limit: 4}), []string{"stream-c 8", "stream-a 9", "stream-b 9", "stream-c 9"})
	same(t, read(t, s, logs.Query{Group: "/aws/lambda/none"}), []string{})
	same(t, read(t, s, logs.Query{RequestID: `3","x":"`}), []string{})
	other, err := s.Read(logs.Query{Scope: kiln.Scope{Account: "2", Region: "r"}})
	if err != nil || len(other) != 0 {
		t.Errorf("another scope reads %v, %v", other, err)
	}
}

func TestNoTextMakesTwoRecordsOrLooksLikeAnother(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, logs.Options{})
	src := source("f", "s")
	texts := []string{
		"forged\n{\"t\":1,\"s\":1,\"k\":\"platform.report\",\"x\":\"REPORT RequestId: x\"}\nend",
		"\x1b[31mred\x1b[0m\r\x00\x7f",
		`quote " backslash \ unicode é 日本 \u000a`,
		`"r":"r1"`,
		"",
		strings.Repeat("x", 200000),
	}
	for _, text := range texts {
		s.Emit(print(src, "r", text))
	}
	s.Emit(print(src, "r", "bad \xff\xfe utf-8"))
	same(t, read(t, s, logs.Query{Group: src.Group}), append(slices.Clone(texts), "bad \ufffd\ufffd utf-8"))
	same(t, read(t, s, logs.Query{Group: src.Group, RequestID: "r1"}), []string{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(raw, []byte("\n")); got != 2+7 {
		t.Errorf("the file has %d lines, want head, source and 7 records", got)
	}
	if i := bytes.IndexFunc(raw, func(r rune) bool { return r < 0x20 && r != '\n' || r == 0x7f }); i >= 0 {
		t.Errorf("a control character is in the file at %d", i)
	}
}

func TestGroupNamesNeverLeaveTheDirectory(t *testing.T) {
	parent := t.TempDir()
	s := open(t, filepath.Join(parent, "logs"), logs.Options{})
	for i, group := range []string{"../../x", "/etc/passwd", "a/b", "", ".", strings.Repeat("g", 512), "A", "a", "nul\x00"} {
		src := source("f", "s")
		src.Group = group
		s.Emit(print(src, "", fmt.Sprint(i)))
		if group != "" {
			same(t, read(t, s, logs.Query{Group: group}), []string{fmt.Sprint(i)})
		}
	}
	groups, err := s.Groups(home)
	if err != nil || len(groups) != 9 {
		t.Errorf("%d groups, %v; want 9", len(groups), err)
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 1 {
		t.Errorf("the parent directory holds %v, %v", entries, err)
	}
}

func TestGroupsAreListedAndDeleted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, logs.Options{FileBytes: 2000})
	for i := range 100 {
		s.Emit(print(source("f", "s"), "", fmt.Sprint(i)))
		s.Emit(print(source("g", "s"), "", fmt.Sprint(i)))
	}
	groups, err := s.Groups(home)
	if err != nil || len(groups) != 2 || groups[0].Name != "/aws/lambda/f" || groups[1].Name != "/aws/lambda/g" ||
		groups[0].Bytes < 2000 || groups[0].Scope != home || time.Since(groups[0].Written) > time.Minute {
		t.Fatalf("got %+v, %v", groups, err)
	}
	if err := s.DeleteGroup(home, "/aws/lambda/f"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteGroup(home, "/aws/lambda/f"); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("deleting it again: %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 4 {
		t.Errorf("files %v, want the three of the other group and what is said of it", files)
	}
	s.Emit(print(source("f", "s"), "", "anew"))
	same(t, read(t, s, logs.Query{Group: "/aws/lambda/f"}), []string{"anew"})
	if got := len(read(t, s, logs.Query{Group: "/aws/lambda/g"})); got == 0 {
		t.Error("the other group is empty")
	}
}

func TestFilesAreRotatedAndBounded(t *testing.T) {
	dir := t.TempDir()
	const limit, n = 20000, 3000
	s := open(t, dir, logs.Options{FileBytes: limit, Rotated: 2})
	streams := []*telemetry.Source{source("f", "s0"), source("f", "s1"), source("f", "s2")}
	for i := range n {
		s.Emit(print(streams[i%3], fmt.Sprint("r", i), fmt.Sprintf("line %05d", i)))
		if i%100 == 0 {
			read(t, s, logs.Query{Group: "/aws/lambda/f", Limit: 1}) // writes what is there
		}
	}
	records, err := s.Read(logs.Query{Scope: home, Group: "/aws/lambda/f", Limit: n})
	if err != nil {
		t.Fatal(err)
	}
	first := n - len(records)
	if len(records) < 2*limit/100 || first == 0 {
		t.Fatalf("%d records are left of %d", len(records), n)
	}
	for i, r := range records {
		at := first + i
		if r.Text != fmt.Sprintf("line %05d", at) || r.Stream != streams[at%3].Stream || r.RequestID != fmt.Sprint("r", at) {
			t.Fatalf("record %d is %+v", at, r)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	var size int64
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if len(files) != 3 || size > 3*limit+3*1000 {
		t.Errorf("%d files with %d bytes", len(files), size)
	}
	same(t, read(t, s, logs.Query{Group: "/aws/lambda/f", Limit: 2}), []string{"line 02998", "line 02999"})
	_ = s.Close()
	again := open(t, dir, logs.Options{FileBytes: limit, Rotated: 1})
	if files, _ := filepath.Glob(filepath.Join(dir, "*.log")); len(files) != 2 {
		t.Errorf("%v are left for one rotated file", files)
	}
	same(t, read(t, again, logs.Query{Group: "/aws/lambda/f", Limit: 1}), []string{"line 02999"})
}

func TestManyGroupsNeedFewOpenFiles(t *testing.T) {
	s := open(t, t.TempDir(), logs.Options{})
	const n = 300
	for round := range 2 {
		for i := range n {
			s.Emit(print(source(fmt.Sprint("f", i), "s"), "", fmt.Sprint(round)))
		}
		read(t, s, logs.Query{Group: "/aws/lambda/f0"})
		if got := openFiles(t); got > 150 {
			t.Errorf("%d files are open", got)
		}
	}
	for i := range n {
		same(t, read(t, s, logs.Query{Group: fmt.Sprint("/aws/lambda/f", i)}), []string{"0", "1"})
	}
}

// openFiles counts the descriptors of this process.
func openFiles(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	return len(fds)
}
