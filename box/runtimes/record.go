package runtimes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// record is what is known of one candidate, as long as the file stays what it was.
type record struct {
	Stamp stamp
	// Interpreter is nil when the candidate is none; Problem says why.
	Interpreter *interpreter
	Problem     string
	// Passed names the checks that the interpreter has passed. A failure is not
	// remembered: its cause may have been elsewhere.
	Passed []string
}

// records is the memory of discovery, on disk, so that a start need not ask again.
// Losing it costs time and nothing else.
type records struct {
	file string

	mu     sync.Mutex
	byPath map[string]*record
}

// recordsFormat is part of the file; a file of another format is as good as none.
const recordsFormat = "kiln-runtimes-1"

type recordsFile struct {
	Format  string
	Records map[string]*record
}

// openRecords reads the file; what cannot be read is left out.
func openRecords(file string) *records {
	r := &records{file: file, byPath: make(map[string]*record)}
	text, err := os.ReadFile(file)
	if err != nil {
		return r
	}
	var kept recordsFile
	if json.Unmarshal(text, &kept) == nil && kept.Format == recordsFormat {
		for path, known := range kept.Records {
			if known != nil {
				r.byPath[path] = known
			}
		}
	}
	return r
}

// get gives what is known of a file that looks like s; nil when nothing is.
func (r *records) get(path string, s stamp) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.byPath[path]
	if known == nil || known.Stamp != s {
		return nil
	}
	return known
}

// put remembers a candidate. Records are never changed once they are in.
func (r *records) put(path string, known *record) error {
	r.mu.Lock()
	r.byPath[path] = known
	text, err := json.MarshalIndent(recordsFile{Format: recordsFormat, Records: r.byPath}, "", " ")
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return replaceFile(r.file, text)
}

// passed reports whether the interpreter has passed a check.
func (k *record) passed(check string) bool { return slices.Contains(k.Passed, check) }

// withPass gives a copy of the record with one more check that was passed, without
// those of other releases: they are of no use any more.
func (k *record) withPass(kind, release string) *record {
	more := *k
	more.Passed = []string{kind + " " + release}
	for _, check := range k.Passed {
		if strings.HasSuffix(check, " "+release) && check != more.Passed[0] {
			more.Passed = append(more.Passed, check)
		}
	}
	return &more
}

// replaceFile writes a file so that readers see the old text or the new.
func replaceFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error that is returned says more
	}
	return err
}
