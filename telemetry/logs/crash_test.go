package logs_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/telemetry"
	"kiln/telemetry/logs"
)

// file gives the one log file in dir.
func file(t testing.TB, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v; want one", files, err)
	}
	return files[0]
}

// written makes a directory with one group of three lines and gives its file.
func written(t testing.TB) (dir, name string, raw []byte) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir, logs.Options{})
	src := source("f", "s")
	for _, text := range []string{"one", "two", "three"} {
		s.Emit(print(src, "r", text))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	name = file(t, dir)
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return dir, name, raw
}

func TestATornTailIsSkippedAndWritingGoesOnBehindIt(t *testing.T) {
	_, _, whole := written(t)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	beforeThree := len(whole) - len(lines[len(lines)-2])
	for cut := 0; cut < len(whole); cut++ {
		dir, name, _ := written(t)
		if err := os.Truncate(name, int64(cut)); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, logs.Options{})
		s.Emit(print(source("f", "s2"), "r", "after"))
		got := read(t, s, logs.Query{Group: "/aws/lambda/f"})
		want := []string{}
		for at, i := 0, 0; i < len(lines); i++ {
			at += len(lines[i])
			if text := []string{"", "", "one", "two", "three"}; i >= 2 && i < 5 && at-1 <= cut { // but for its newline
				want = append(want, text[i])
			}
		}
		want = append(want, "after")
		if !slices.Equal(got, want) {
			t.Fatalf("cut at %d of %d (the last line begins at %d): got %q, want %q", cut, len(whole), beforeThree, got, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := open(t, dir, logs.Options{})
		same(t, read(t, again, logs.Query{Group: "/aws/lambda/f", Stream: "s2"}), []string{"after"})
		groups, err := again.Groups(home)
		if err != nil || len(groups) != 1 || groups[0].Name != "/aws/lambda/f" {
			t.Fatalf("cut at %d: the groups are %+v, %v", cut, groups, err)
		}
		_ = again.Close()
	}
}

func TestAFlippedBitCostsTheRecordsOfItsLineAtMost(t *testing.T) {
	_, _, whole := written(t)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	texts := []string{"one", "two", "three"}
	for at := range whole {
		if at < len(lines[0])+len(lines[1]) {
			continue // head and source are spoken of below
		}
		dir, name, raw := written(t)
		raw[at] ^= 0x10
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		got := read(t, open(t, dir, logs.Options{}), logs.Query{Group: "/aws/lambda/f"})
		kept := 0
		for _, text := range texts {
			if slices.Contains(got, text) {
				kept++
			}
		}
		// A newline that is no more joins two lines.
		if lost := len(texts) - kept; lost > 2 || lost == 2 && raw[at] != '\n'^0x10 {
			t.Errorf("a bit at %d cost %d records: %q", at, lost, got)
		}
	}
}

func TestAFileThatIsNotALogIsNeverTrusted(t *testing.T) {
	dir, name, raw := written(t)
	other := filepath.Join(dir, strings.Repeat("ab", 20)+".log")
	for path, text := range map[string]string{
		other:                                 string(raw), // another group's content under this name
		filepath.Join(dir, "notes.log"):       "hello",
		filepath.Join(dir, "x.0.log"):         "hello",
		strings.Replace(other, "ab", "cd", 1): `{"head":99}` + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, logs.Options{})
	groups, err := s.Groups(home)
	if err != nil || len(groups) != 1 {
		t.Errorf("the groups are %+v, %v", groups, err)
	}
	same(t, read(t, s, logs.Query{Group: "/aws/lambda/f"}), []string{"one", "two", "three"})
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
}

func FuzzReadingWhatADiskMayGive(f *testing.F) {
	_, _, raw := written(f)
	f.Add(raw)
	f.Add([]byte("{\"t\":1,\"s\":1,\"k\":\"function\",\"x\":\"a\"}\n{\"t\":,\"s\":}\n{\"src\":}\n"))
	f.Add([]byte("{\"t\":"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir, name, _ := written(t)
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, logs.Options{})
		s.Emit(print(source("f", "new"), "r", "after"))
		records, err := s.Read(logs.Query{Scope: home, Group: "/aws/lambda/f", Limit: 100000})
		if err != nil || len(records) == 0 || records[len(records)-1].Text != "after" || records[len(records)-1].Stream != "new" {
			t.Errorf("got %+v, %v; want the new record last", records, err)
		}
		_ = s.Close()
	})
}

// TestMain lets the test binary be a process that logs until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("KILN_TEST_LOG_UNTIL_KILLED"); dir != "" {
		logUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// logUntilKilled writes numbered lines and says on stdout which of them are sure to
// be in the file.
func logUntilKilled(dir string) {
	s, err := logs.Open(dir, logs.Options{FileBytes: 100000, Rotated: 2})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	src := source("f", fmt.Sprint("pid-", os.Getpid()))
	for i := 0; ; i++ {
		s.Emit(telemetry.Event{Time: time.Now(), Type: telemetry.Line, Source: src, Line: fmt.Appendf(nil, "%s %d", src.Stream, i)})
		if i%50 == 49 {
			if _, err := s.Groups(home); err != nil { // writes what was emitted
				fmt.Println("error", err)
			}
			fmt.Println(i)
		}
	}
}

func TestAKilledServerLosesNothingThatWasWritten(t *testing.T) {
	dir := t.TempDir()
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "KILN_TEST_LOG_UNTIL_KILLED="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sure := -1
		lines := bufio.NewScanner(out)
		for n := 0; n < 3+round && lines.Scan(); n++ {
			if _, err := fmt.Sscan(lines.Text(), &sure); err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it had said before it died
			_, _ = fmt.Sscan(lines.Text(), &sure)
		}
		_ = cmd.Wait() // it was killed
		if sure < 0 {
			t.Fatal("the child wrote nothing before it was killed")
		}
		s := open(t, dir, logs.Options{FileBytes: 100000, Rotated: 2})
		stream := fmt.Sprint("pid-", cmd.Process.Pid)
		got := read(t, s, logs.Query{Group: "/aws/lambda/f", Stream: stream, Limit: 100000})
		_ = s.Close()
		if len(got) == 0 {
			t.Fatalf("nothing is left of %d lines", sure+1)
		}
		first := 0
		_, _ = fmt.Sscanf(got[0], stream+" %d", &first)
		for i, text := range got {
			if want := fmt.Sprintf("%s %d", stream, first+i); text != want {
				t.Fatalf("got %q, want %q: a record is missing", text, want)
			}
		}
		if last := first + len(got) - 1; last < sure {
			t.Errorf("the last record is %d, but %d was written", last, sure)
		}
	}
}
