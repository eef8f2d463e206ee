package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// yamlEntry is one key of a settings file with its place. Exactly one of text,
// list and table is meant, as form says.
type yamlEntry struct {
	key   string
	line  int
	form  yamlForm
	text  string
	list  []string
	table map[string]string
}

type yamlForm string

const (
	formText  yamlForm = "a single value"
	formList  yamlForm = "a list"
	formTable yamlForm = "a table of names and values"
)

// readYAML reads a file that is one flat table: every key once, in the order of
// the file. Values are kept as the text that the user wrote.
func readYAML(path string) ([]yamlEntry, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, fmt.Errorf("%s: %s", path, first)
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, nil
	}
	if len(file.Docs) > 1 {
		return nil, fmt.Errorf("%s: one document is expected, there are %d", path, len(file.Docs))
	}
	pairs, ok := mapping(file.Docs[0].Body)
	if !ok {
		if file.Docs[0].Body.Type() == ast.CommentType {
			return nil, nil
		}
		return nil, fmt.Errorf("%s: keys with values are expected, such as \"memory: 128\"", path)
	}
	var out []yamlEntry
	for _, p := range pairs {
		e, err := entryOf(p)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, lineOf(p.Key), err)
		}
		out = append(out, e)
	}
	return out, nil
}

func entryOf(p *ast.MappingValueNode) (yamlEntry, error) {
	e := yamlEntry{key: p.Key.GetToken().Value, line: lineOf(p.Key), form: formText}
	if list, ok := p.Value.(*ast.SequenceNode); ok {
		e.form, e.list = formList, []string{}
		for _, v := range list.Values {
			text, ok := scalar(v)
			if !ok {
				return e, fmt.Errorf("%s: each item of the list must be a single value", e.key)
			}
			e.list = append(e.list, text)
		}
		return e, nil
	}
	if pairs, ok := mapping(p.Value); ok {
		e.form, e.table = formTable, map[string]string{}
		for _, v := range pairs {
			text, ok := scalar(v.Value)
			if !ok {
				return e, fmt.Errorf("%s.%s: a single value is expected", e.key, v.Key.GetToken().Value)
			}
			e.table[v.Key.GetToken().Value] = text
		}
		return e, nil
	}
	text, ok := scalar(p.Value)
	if !ok {
		return e, fmt.Errorf("%s: a value of this form is not understood", e.key)
	}
	e.text = text
	return e, nil
}

// mapping gives the pairs of a table.
func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// scalar gives the text of a single value: what stands in the file, without
// quotes.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.NullNode:
		return "", true
	}
	return "", false
}

func lineOf(n ast.Node) int { return n.GetToken().Position.Line }
