package debian

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// settings are those of apt, by their full names in lower case, such as
// "acquire::http::proxy". Of one that is set twice the last counts, as for apt.
type settings map[string]string

// partName is how files must be called for apt to read them in a directory of parts.
var partName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// readSettings reads apt's configuration below host, and before it the file that the
// variable APT_CONFIG names. What is not there sets nothing.
func readSettings(host, named string) (settings, error) {
	all := settings{}
	var files []string
	if named != "" {
		files = append(files, named)
	}
	files = append(files, partsOf(filepath.Join(host, "etc/apt/apt.conf.d"), "", ".conf")...)
	files = append(files, filepath.Join(host, "etc/apt/apt.conf"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := all.parse(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return all, nil
}

// partsOf lists the files of a directory that apt would read there, in its order:
// those with one of the extensions, "" being none. What cannot be listed is empty.
func partsOf(dir string, extensions ...string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var files []string
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || !partName.MatchString(name) {
			continue
		}
		for _, extension := range extensions {
			if filepath.Ext(name) == extension {
				files = append(files, filepath.Join(dir, name))
			}
		}
	}
	return files
}

// get gives a setting, "" when it is not set.
func (s settings) get(name string) string { return s[strings.ToLower(name)] }

// no reports whether a setting is set to one of apt's words for no.
func (s settings) no(name string) bool { return isNo(s.get(name)) }

// isNo reports whether a text is one of apt's words for no.
func isNo(text string) bool {
	switch strings.ToLower(text) {
	case "no", "false", "without", "off", "disable", "0":
		return true
	}
	return false
}

// seconds gives a setting that is a number of seconds, or other when it is none.
func (s settings) seconds(name string, other time.Duration) time.Duration {
	n, err := strconv.Atoi(s.get(name))
	if err != nil || n <= 0 {
		return other
	}
	return time.Duration(n) * time.Second
}

// parse adds what a file of apt's configuration sets.
func (s settings) parse(text string) error {
	tokens, err := aptTokens(text)
	if err != nil {
		return err
	}
	var scopes []string // names of the braces that are open
	var names []string  // what was read since the last ; or brace
	set := func() {
		if len(names) > 1 { // a name and its value; a list's value has no name
			s[strings.ToLower(strings.Join(append(append([]string{}, scopes...), names[0]), "::"))] = names[1]
		}
		names = nil
	}
	for _, token := range tokens {
		switch {
		case token.quoted || token.text != "{" && token.text != "}" && token.text != ";":
			names = append(names, token.text)
		case token.text == "{":
			if len(names) == 0 {
				return errors.New("a block has no name")
			}
			scopes, names = append(scopes, names[0]), nil
		case token.text == "}":
			set()
			if len(scopes) == 0 {
				return errors.New("a block ends that did not begin")
			}
			scopes = scopes[:len(scopes)-1]
		default:
			set()
		}
	}
	set()
	if len(scopes) > 0 {
		return fmt.Errorf("the block %s does not end", scopes[0])
	}
	return nil
}

// aptToken is a word, a quoted text or one of { } ;.
type aptToken struct {
	text   string
	quoted bool
}

// aptTokens takes a configuration file apart, without its comments.
func aptTokens(text string) ([]aptToken, error) {
	var tokens []aptToken
	for text != "" {
		switch c := text[0]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			text = text[1:]
		case c == '#' || strings.HasPrefix(text, "//"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, rest, closed := strings.Cut(text, "*/")
			if !closed {
				return nil, errors.New("a comment does not end")
			}
			text = rest
		case c == '"':
			value, rest, closed := strings.Cut(text[1:], `"`)
			if !closed || strings.Contains(value, "\n") {
				return nil, errors.New("a quotation does not end")
			}
			tokens = append(tokens, aptToken{value, true})
			text = rest
		case c == '{' || c == '}' || c == ';':
			tokens = append(tokens, aptToken{string(c), false})
			text = text[1:]
		default:
			end := strings.IndexAny(text, " \t\r\n{};\"")
			if end < 0 {
				end = len(text)
			}
			tokens = append(tokens, aptToken{text[:end], false})
			text = text[end:]
		}
	}
	return tokens, nil
}
