package debian

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// stanza is one paragraph of a control file: its fields by their names in lower
// case. Lines that continue a field are joined by newlines.
type stanza map[string]string

// maxLine bounds a line of a control file: some packages have thousands of provides.
const maxLine = 4 << 20

// stanzas reads a control file, one paragraph at a time, and hands over those of its
// fields that are wanted; nil wants all. Comments are left out.
func stanzas(r io.Reader, wanted map[string]bool, take func(stanza) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	current, last := stanza{}, ""
	flush := func() error {
		if len(current) == 0 {
			return nil
		}
		full := current
		current, last = stanza{}, ""
		return take(full)
	}
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		switch {
		case strings.TrimSpace(line) == "":
			if err := flush(); err != nil {
				return err
			}
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				current[last] += "\n" + strings.TrimSpace(line)
			}
		default:
			name, value, found := strings.Cut(line, ":")
			if !found {
				return fmt.Errorf("line %d is no field: %.60q", number, line)
			}
			last = strings.ToLower(strings.TrimSpace(name))
			if wanted != nil && !wanted[last] {
				last = ""
				continue
			}
			current[last] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return flush()
}

// firstStanza reads a control file that has one paragraph.
func firstStanza(text string) (stanza, error) {
	var first stanza
	err := stanzas(strings.NewReader(text), nil, func(s stanza) error {
		if first == nil {
			first = s
		}
		return nil
	})
	if err == nil && first == nil {
		err = errors.New("it is empty")
	}
	return first, err
}

// words gives the words of a field that spaces or newlines part.
func (s stanza) words(name string) []string { return strings.Fields(s[name]) }
