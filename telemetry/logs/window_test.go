package logs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/telemetry/logs"
)

// look gives the texts of one page.
func look(t testing.TB, s *logs.Store, w logs.Window) ([]string, *logs.View) {
	t.Helper()
	w.Scope = home
	v, err := s.Look(w)
	if err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(v.Records))
	for i, r := range v.Records {
		texts[i] = r.Text
	}
	return texts, v
}

func TestPagesGiveEveryRecordOnceAcrossRotatedFilesAndARestart(t *testing.T) {
	dir := t.TempDir()
	o := logs.Options{FileBytes: 20000, Rotated: 5}
	s := open(t, dir, o)
	const n = 600
	for i := range n {
		s.Emit(print(source("f", "s"+fmt.Sprint(i%2)), "", fmt.Sprintf("line %04d", i)))
		if i%50 == 0 {
			read(t, s, logs.Query{Limit: 1}) // writes what is there
		}
	}
	w := logs.Window{Group: "/aws/lambda/f", Limit: 37}
	var got []string
	places := map[logs.Position]bool{}
	for page := 0; ; page++ {
		if page == 5 {
			_ = s.Close()
			s = open(t, dir, o)
		}
		texts, v := look(t, s, w)
		got = append(got, texts...)
		for _, r := range v.Records {
			if places[r.At] {
				t.Fatalf("place %v twice", r.At)
			}
			places[r.At] = true
		}
		w.After = v.Last
		if !v.More {
			break
		}
	}
	if len(got) != n || !slices.IsSorted(got) {
		t.Fatalf("%d records, sorted: %v", len(got), slices.IsSorted(got))
	}
	s.Emit(print(source("f", "s0"), "", "one more"))
	texts, v := look(t, s, w)
	same(t, texts, []string{"one more"})
	w.After = v.Last
	texts, v = look(t, s, w)
	same(t, texts, []string{})
	if v.Last != w.After {
		t.Errorf("the end moved from %v to %v", w.After, v.Last)
	}

	back := logs.Window{Group: "/aws/lambda/f", Newest: true, Limit: 100, Stream: func(name string) bool { return name == "s0" }}
	var all []string
	for {
		texts, v := look(t, s, back)
		if len(texts) == 0 {
			break
		}
		all = append(texts, all...)
		back.Before = v.Records[0].At
	}
	if len(all) != n/2+1 || all[0] != "line 0000" || all[n/2] != "one more" || !slices.IsSorted(all[:n/2]) {
		t.Errorf("backwards: %d records from %q to %q", len(all), all[0], all[len(all)-1])
	}
}

func TestAWindowSelects(t *testing.T) {
	s := open(t, t.TempDir(), logs.Options{})
	start := time.Now().Add(-time.Hour)
	for i := range 10 {
		e := print(source("f", "s"), "", fmt.Sprint("line ", i))
		e.Time = start.Add(time.Duration(i) * time.Second)
		s.Emit(e)
	}
	texts, _ := look(t, s, logs.Window{Group: "/aws/lambda/f", From: start.Add(3 * time.Second), Until: start.Add(6 * time.Second), Limit: 10})
	same(t, texts, []string{"line 3", "line 4", "line 5"})
	texts, v := look(t, s, logs.Window{Group: "/aws/lambda/f", Limit: 1, Match: func(text string) bool { return strings.HasSuffix(text, "8") }})
	same(t, texts, []string{"line 8"})
	if !v.More {
		t.Error("there is a record after the one that was found")
	}
	s.Emit(print(source("f", "s"), "", strings.Repeat("x", 200<<10)))
	for range 8 {
		s.Emit(print(source("f", "big"), "", strings.Repeat("y", 200<<10)))
	}
	if texts, v = look(t, s, logs.Window{Group: "/aws/lambda/f", Limit: 100}); len(texts) != 15 || !v.More {
		t.Errorf("a page has %d records, more: %v", len(texts), v.More)
	}
	if _, v = look(t, s, logs.Window{Group: "/aws/lambda/f", Limit: 100, Newest: true}); len(v.Records) != 5 {
		t.Errorf("the newest page has %d records", len(v.Records))
	}
	if _, err := s.Look(logs.Window{Scope: home, Group: "none", Limit: 1}); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("a group that is not there: %v", err)
	}
}

func TestClientsMakeGroupsAndStreamsAndPutRecords(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, logs.Options{})
	check := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	check(s.CreateGroup(home, "app", map[string]string{"a": "b"}), nil)
	check(s.CreateGroup(home, "app", nil), logs.ErrExists)
	check(s.CreateStream(home, "app", "one"), nil)
	check(s.CreateStream(home, "app", "one"), logs.ErrExists)
	if err := s.CreateStream(home, "other", "one"); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("a stream of no group: %v", err)
	}
	at := time.UnixMilli(1700000000123)
	check(s.Put(home, "app", "one", []logs.Entry{{at, "hello"}, {at, "{}"}}), nil)
	if err := s.Put(home, "app", "two", nil); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("a stream that is not there: %v", err)
	}
	s.Emit(print(source("f", "of a function"), "", "x"))
	check(s.Put(home, "/aws/lambda/f", "of a function", []logs.Entry{{at, "put"}}), nil)
	check(s.SetTags(home, "app", map[string]string{"c": "d"}, []string{"a"}), nil)
	check(s.SetRetention(home, "app", 3653), nil)
	_ = s.Close()

	s = open(t, dir, logs.Options{})
	texts, v := look(t, s, logs.Window{Group: "app", Limit: 10})
	same(t, texts, []string{"hello", "{}"})
	if r := v.Records[0]; !r.Time.Equal(at) || r.Stream != "one" || r.Type != logs.Put || time.Since(r.Ingested) > time.Minute {
		t.Errorf("got %+v", r)
	}
	streams, err := s.Streams(home, "app")
	if err != nil || len(streams) != 1 || streams[0].Name != "one" || !streams[0].First.Equal(at) || !streams[0].Last.Equal(at) ||
		time.Since(streams[0].Created) > time.Minute || time.Since(streams[0].Ingested) > time.Minute || streams[0].Bytes == 0 {
		t.Errorf("streams %+v, %v", streams, err)
	}
	groups, err := s.Groups(home)
	if err != nil || len(groups) != 2 || groups[1].Name != "app" || groups[1].Days != 3653 || len(groups[1].Tags) != 1 || groups[1].Tags["c"] != "d" || time.Since(groups[1].Created) > time.Minute {
		t.Errorf("groups %+v, %v", groups, err)
	}
	if streams, err = s.Streams(home, "/aws/lambda/f"); err != nil || len(streams) != 1 || streams[0].Ingested.Before(at.Add(time.Hour)) {
		t.Errorf("streams %+v, %v", streams, err)
	}
}

func TestClientsMakeABoundedNumberOfGroupsInEachScope(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, logs.Options{})
	for i := range 1000 {
		if err := s.CreateGroup(home, fmt.Sprint("g", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	s = open(t, dir, logs.Options{})
	if err := s.CreateGroup(home, "more", nil); !errors.Is(err, logs.ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
	if err := s.CreateGroup(kiln.Scope{Account: "222222222222", Region: "eu-west-1"}, "more", nil); err != nil {
		t.Errorf("in another account: %v", err)
	}
	s.Emit(print(source("f", "s"), "", "x"))
	same(t, read(t, s, logs.Query{Group: "/aws/lambda/f"}), []string{"x"})
	if err := s.DeleteGroup(home, "g1"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateGroup(home, "more", nil); err != nil {
		t.Errorf("after one was deleted: %v", err)
	}
}

func TestADeletedStreamIsNotShownAndBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, logs.Options{})
	a, b := source("f", "a"), source("f", "b")
	s.Emit(print(a, "", "old a"))
	s.Emit(print(b, "", "old b"))
	if err := s.DeleteStream(home, "/aws/lambda/f", "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteStream(home, "/aws/lambda/f", "a"); kiln.CodeOf(err) != kiln.NotFound {
		t.Errorf("deleting it again: %v", err)
	}
	s.Emit(print(a, "", "new a"))
	for range 2 {
		texts, _ := look(t, s, logs.Window{Group: "/aws/lambda/f", Limit: 10})
		same(t, texts, []string{"old b", "new a"})
		same(t, read(t, s, logs.Query{Group: "/aws/lambda/f"}), []string{"old b", "new a"})
		_ = s.Close()
		s = open(t, dir, logs.Options{})
	}
}

func TestRecordsAreKeptAsLongAsTheirGroupSays(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, logs.Options{FileBytes: 3000, Rotated: 2})
	old := print(source("f", "s"), "", "two days old")
	old.Time = time.Now().Add(-48 * time.Hour)
	s.Emit(old)
	s.Emit(print(source("f", "s"), "", "new"))
	s.Emit(print(source("g", "s"), "", "of another group"))
	if err := s.SetRetention(home, "/aws/lambda/f", 1); err != nil {
		t.Fatal(err)
	}
	same(t, read(t, s, logs.Query{Group: "/aws/lambda/f"}), []string{"new"})
	if err := s.SetRetention(home, "/aws/lambda/f", 0); err != nil {
		t.Fatal(err)
	}
	same(t, read(t, s, logs.Query{Group: "/aws/lambda/f"}), []string{"two days old", "new"})
	if err := s.SetRetention(home, "/aws/lambda/f", 1); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()

	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, f := range files {
		if err := os.Chtimes(f, time.Time{}, time.Now().Add(-25*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, logs.Options{})
	same(t, read(t, s, logs.Query{Group: "/aws/lambda/f"}), []string{})
	same(t, read(t, s, logs.Query{Group: "/aws/lambda/g"}), []string{"of another group"})
	if left, _ := filepath.Glob(filepath.Join(dir, "*.log")); len(left) != 1 {
		t.Errorf("files %v are left, want that of the other group", left)
	}
	if groups, err := s.Groups(home); err != nil || len(groups) != 2 || groups[0].Days != 1 {
		t.Errorf("groups %+v, %v", groups, err)
	}
}
