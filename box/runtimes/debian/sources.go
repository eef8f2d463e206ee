package debian

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// source is one place that the machine's apt takes packages from.
type source struct {
	addresses  []string
	suites     []string
	components []string
	// signedBy are files of keys, or fingerprints, that alone may sign; none is all
	// that the machine trusts.
	signedBy []string
	// keys are such keys themselves, in ASCII armour.
	keys string
	// ignoreAge is true when the machine does not mind how old the suite's index is.
	ignoreAge bool
}

// readSources reads the list of sources of apt in both of its forms. Sources that are
// switched off, of source code, or of other architectures are left out.
func readSources(host string) ([]source, error) {
	var all []source
	read := func(file string, parse func(string) ([]source, error)) error {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		found, err := parse(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, found...)
		return nil
	}
	dir := filepath.Join(host, "etc/apt")
	lines := append([]string{filepath.Join(dir, "sources.list")}, partsOf(filepath.Join(dir, "sources.list.d"), ".list")...)
	for _, file := range lines {
		if err := read(file, parseLines); err != nil {
			return nil, err
		}
	}
	for _, file := range partsOf(filepath.Join(dir, "sources.list.d"), ".sources") {
		if err := read(file, parseStanzas); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// parseLines reads the form of one line a source.
func parseLines(text string) ([]source, error) {
	var all []source
	for number, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "deb" {
			continue // nothing, or source code
		}
		s, options := source{}, ""
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			var closed bool
			if options, rest, closed = strings.Cut(rest[1:], "]"); !closed {
				return nil, fmt.Errorf("line %d: the options do not end", number+1)
			}
		}
		words := strings.Fields(rest)
		if len(words) < 2 {
			return nil, fmt.Errorf("line %d: address and suite are expected", number+1)
		}
		s.addresses, s.suites, s.components = words[:1], words[1:2], words[2:]
		ours := true
		for _, option := range strings.Fields(options) {
			name, value, _ := strings.Cut(option, "=")
			switch strings.ToLower(strings.TrimRight(name, "+-")) {
			case "arch":
				ours = slices.Contains(strings.Split(value, ","), architecture())
			case "signed-by":
				s.signedBy = strings.Split(value, ",")
			case "check-valid-until":
				s.ignoreAge = isNo(value)
			}
		}
		if ours {
			all = append(all, s)
		}
	}
	return all, nil
}

// parseStanzas reads the form of one paragraph a source.
func parseStanzas(text string) ([]source, error) {
	var all []source
	err := stanzas(strings.NewReader(text), nil, func(f stanza) error {
		architectures := f.words("architectures")
		switch {
		case isNo(f["enabled"]),
			!slices.Contains(f.words("types"), "deb"),
			len(architectures) > 0 && !slices.Contains(architectures, architecture()):
			return nil
		}
		s := source{addresses: f.words("uris"), suites: f.words("suites"), components: f.words("components")}
		s.ignoreAge = f["check-valid-until"] != "" && isNo(f["check-valid-until"])
		if by := f["signed-by"]; strings.Contains(by, "-----BEGIN PGP") {
			s.keys = unfold(by)
		} else {
			s.signedBy = strings.FieldsFunc(by, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
		}
		all = append(all, s)
		return nil
	})
	return all, err
}

// unfold gives a text of several lines as it was before it became a field, where a
// dot stands for an empty line.
func unfold(field string) string {
	lines := strings.Split(strings.TrimLeft(field, "\n"), "\n")
	for i, line := range lines {
		if line == "." {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
