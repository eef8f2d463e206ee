package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Language is what the code is written in: it decides the family of runtimes.
type Language string

// The languages that Look recognises.
const (
	Go       Language = "go"
	Python   Language = "python"
	Node     Language = "node"
	Ruby     Language = "ruby"
	Java     Language = "java"
	Dotnet   Language = "dotnet"
	Provided Language = "provided" // brings its own bootstrap
)

// Family gives the family of runtime identifiers that serves the language:
// "python", "nodejs", "ruby", "java", "dotnet", "provided".
func (l Language) Family() string {
	switch l {
	case Go, Provided:
		return "provided"
	case Node:
		return "nodejs"
	}
	return string(l)
}

// conventional are the files that are taken for the one with the handler, in the
// order in which they are tried.
var conventional = map[Language][]string{
	Python: {"lambda_function.py", "handler.py", "app.py", "main.py", "index.py"},
	Ruby:   {"lambda_function.rb", "function.rb", "handler.rb", "app.rb", "main.rb", "index.rb"},
	Node: {
		"index.mjs", "index.js", "index.cjs", "handler.mjs", "handler.js", "handler.cjs",
		"app.mjs", "app.js", "app.cjs", "main.mjs", "main.js", "main.cjs",
	},
}

// handlers match the definition of a function that is a handler by its name.
var handlers = map[Language][]*regexp.Regexp{
	Python: {
		regexp.MustCompile(`(?m)^(?:async[ \t]+)?def[ \t]+(lambda_handler|handler)[ \t]*\(`),
		regexp.MustCompile(`(?m)^(lambda_handler|handler)[ \t]*=[^=]`),
	},
	Ruby: {
		regexp.MustCompile(`(?m)^def[ \t]+(lambda_handler|handler)\b`),
	},
	Node: {
		regexp.MustCompile(`(?m)^[ \t]*export[ \t]+(?:async[ \t]+)?function\*?[ \t]+(handler|lambdaHandler)\b`),
		regexp.MustCompile(`(?m)^[ \t]*export[ \t]+(?:const|let|var)[ \t]+(handler|lambdaHandler)\b`),
		regexp.MustCompile(`(?m)^[ \t]*export[ \t]*\{[^}]*\b(handler|lambdaHandler)\b`),
		regexp.MustCompile(`\bexports[ \t]*\.[ \t]*(handler|lambdaHandler)[ \t]*=[^=]`),
		regexp.MustCompile(`\bmodule[ \t]*\.[ \t]*exports[ \t]*=[ \t]*\{[^}]*\b(handler|lambdaHandler)\b`),
	},
}

// find recognises a package by what is at its top: a bootstrap or a conventional file
// that defines a handler, then what a compiler of .NET makes, then any file whose name
// says its language, then classes of Java. Nothing found is an empty language.
func (s *Source) find(fsys fs.FS) (err error) {
	s.Language, s.Handler, err = findConventional(fsys)
	if s.Language == "" && err == nil {
		s.Language, s.Handler, s.Runtime, err = findDotnet(fsys)
	}
	if s.Language == "" && err == nil {
		s.Language, s.Handler, err = findByExtension(fsys)
	}
	if s.Language == "" && err == nil {
		s.Language, s.Handler, err = findJava(fsys)
	}
	return err
}

// findConventional looks for a bootstrap, then for the conventional files of each
// language that define a handler.
func findConventional(fsys fs.FS) (Language, string, error) {
	if info, err := fs.Stat(fsys, "bootstrap"); err == nil && !info.IsDir() {
		return Provided, "bootstrap", nil
	}
	for _, lang := range []Language{Python, Node, Ruby} {
		for _, name := range conventional[lang] {
			text, err := fs.ReadFile(fsys, name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return "", "", err
			}
			if function, ok := exportedHandler(lang, text); ok {
				return lang, moduleName(name) + "." + function, nil
			}
		}
	}
	return "", "", nil
}

// findByExtension recognises at least the language when no conventional file has
// a handler; the handler is then known only if exactly one file defines one.
func findByExtension(fsys fs.FS) (Language, string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return "", "", err
	}
	var found Language
	var names []string
	for _, e := range entries {
		lang, ok := languageOfFile(e.Name())
		if e.IsDir() || !ok {
			continue
		}
		if found != "" && found != lang {
			return "", "", nil // two languages: the user must say which
		}
		found = lang
		text, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return "", "", err
		}
		if function, ok := exportedHandler(lang, text); ok {
			names = append(names, moduleName(e.Name())+"."+function)
		}
	}
	if len(names) == 1 {
		return found, names[0], nil
	}
	return found, "", nil
}

// exportedHandler gives the name of the function in a source text that a runtime
// would call.
func exportedHandler(lang Language, text []byte) (string, bool) {
	for _, re := range handlers[lang] {
		if m := re.FindSubmatch(text); m != nil {
			return string(m[1]), true
		}
	}
	return "", false
}

func languageOfFile(name string) (Language, bool) {
	switch filepath.Ext(name) {
	case ".py":
		return Python, true
	case ".js", ".mjs", ".cjs":
		return Node, true
	case ".rb":
		return Ruby, true
	}
	return "", false
}

func moduleName(file string) string { return strings.TrimSuffix(file, filepath.Ext(file)) }

var packageMain = regexp.MustCompile(`(?m)^package[ \t]+main\b`)

// isGoMain reports whether a folder is the main package of a Go module. A module
// whose main package is elsewhere is an error that names where.
func isGoMain(dir string) (bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return false, err
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return false, err
		}
		if packageMain.Match(text) {
			return true, nil
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return false, nil
	}
	if other := mainBelow(dir); other != "" {
		return false, fmt.Errorf("%s is a Go module without a main package at its top; name the folder of the program, for example %s", dir, other)
	}
	return false, fmt.Errorf("%s is a Go module without a main package", dir)
}

// mainBelow finds one folder of a module that has a main package, or "".
func mainBelow(dir string) string {
	for _, pattern := range []string{"cmd/*/*.go", "*/*.go"} {
		files, _ := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern))) // the pattern is well-formed
		for _, f := range files {
			if text, err := os.ReadFile(f); err == nil && packageMain.Match(text) {
				return filepath.Dir(f)
			}
		}
	}
	return ""
}
