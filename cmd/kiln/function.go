package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln"
	"kiln/internal/pack"
)

// function is what deploy and run know of a function: from the code itself, from
// function.yaml beside it, and from flags; each wins over the one before.
type function struct {
	Name, Description, Runtime, Handler, Role, Architecture string
	Memory, Storage                                         int // MB; 0 is not said
	Timeout                                                 time.Duration
	Environment                                             map[string]string // nil is not said
	Exclude                                                 []string
	CPU, Network, SigTERM, Debug                            string // "" is not said
	URL                                                     string // "" is not said
	Log                                                     logSettings
	Layers                                                  []string // as the user wrote them; nil is not said

	source *pack.Source // nil for an image
	image  *imageChoice // nil for code
}

// functionKey is one setting of a function: a line of function.yaml and a flag.
type functionKey struct {
	key, kind, usage string
	set              func(*function, string) error
}

// functionKeys is the table of settings with one value. environment is a table in the
// file, exclude and layers are lists.
func functionKeys() []functionKey {
	return []functionKey{
		{"name", "NAME", "name of the function (default: that of the folder or file)", func(f *function, s string) error { f.Name = s; return nil }},
		{"description", "TEXT", "a line about it", func(f *function, s string) error { f.Description = s; return nil }},
		{"runtime", "RUNTIME", "such as python3.12; python, nodejs, ruby, java or dotnet alone is the newest that the server has (default: from the code)", func(f *function, s string) error { f.Runtime = s; return nil }},
		{"handler", "HANDLER", "such as index.handler (default: from the code)", func(f *function, s string) error { f.Handler = s; return nil }},
		{"memory", "MB", "memory, 128 to 10240 (default 128)", func(f *function, s string) error { return megabytes(&f.Memory, s) }},
		{"timeout", "DURATION", "longest time of one invocation, to 900s (default 3s)", wholeSeconds},
		{"storage", "MB", "size of /tmp, 512 to 10240 (default 512)", func(f *function, s string) error { return megabytes(&f.Storage, s) }},
		{"architecture", "x86_64|arm64", "of the program (default: from the code, or the server's)", func(f *function, s string) error { f.Architecture = s; return nil }},
		{"cpu", "strict|burst", "how it shares the processor (default: as the server says)", cpuMode},
		{"network", "outbound|none", "none lets it open no connections to the outside (default outbound)", networkMode},
		{"sigterm", "on|off", "on has it told of its end by SIGTERM, without an extension that asks for it (default off)", onOff(func(f *function) *string { return &f.SigTERM })},
		{"debug", "on|off", "on gives each environment an address for a debugger, and lets the timeout stand still while one is attached (default off)", onOff(func(f *function) *string { return &f.Debug })},
		{"log-format", "text|json", "form of the log; json has levels (default text)", logFormat},
		{"log-level", "LEVEL", "with json, the lowest level that is kept of what the function writes: trace, debug, info, warn, error or fatal (default info)",
			logLevel(func(f *function) *string { return &f.Log.Application }, kiln.LevelTrace, kiln.LevelDebug, kiln.LevelInfo, kiln.LevelWarn, kiln.LevelError, kiln.LevelFatal)},
		{"system-log-level", "LEVEL", "with json, the lowest level that is kept of what the platform says: debug, info or warn (default info)",
			logLevel(func(f *function) *string { return &f.Log.System }, kiln.LevelDebug, kiln.LevelInfo, kiln.LevelWarn)},
		{"url", "buffered|stream|off", "web address of the function: buffered sends its answer whole, stream while it is written, off takes it away", urlWish},
		{"role", "ARN", "execution role that the function is told of (default: one named kiln)", func(f *function, s string) error { f.Role = s; return nil }},
	}
}

func megabytes(to *int, s string) error {
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(s, "MB")))
	if err != nil || n <= 0 {
		return errors.New("a number of MB is expected")
	}
	*to = n
	return nil
}

func wholeSeconds(f *function, s string) error {
	d, err := parseDuration(s)
	if err != nil {
		return err
	}
	if d < time.Second || d%time.Second != 0 {
		return errors.New("whole seconds are expected, such as 30s")
	}
	f.Timeout = d
	return nil
}

func networkMode(f *function, s string) error {
	if s != "outbound" && s != "none" {
		return errors.New("outbound or none is expected")
	}
	f.Network = s
	return nil
}

func onOff(of func(*function) *string) func(*function, string) error {
	return func(f *function, s string) error {
		if s != "on" && s != "off" {
			return errors.New("on or off is expected")
		}
		*of(f) = s
		return nil
	}
}

func cpuMode(f *function, s string) error {
	if s != kiln.CPUStrict && s != kiln.CPUBurst {
		return errors.New("strict or burst is expected")
	}
	f.CPU = s
	return nil
}

// functionFlags gives a command the settings of a function as flags. read gives
// the function at path with file and flags applied, for "" with flags alone.
func functionFlags(cmd *cobra.Command, except ...string) (read func(path string) (*function, error)) {
	values := map[string]*flagText{}
	for _, k := range functionKeys() {
		if contains(except, k.key) {
			continue
		}
		v := &flagText{kind: k.kind}
		values[k.key] = v
		cmd.Flags().Var(v, k.key, k.usage)
	}
	env := cmd.Flags().StringArray("env", nil, "environment variable of the function, `NAME=VALUE`; may be repeated")
	layers := cmd.Flags().StringArray("layer", nil, "layer of the function, as `NAME:VERSION`, name (its newest version) or ARN; may be repeated, later ones over earlier ones")
	return func(path string) (*function, error) {
		f, err := &function{}, error(nil)
		if path != "" {
			f, err = readFunction(path)
		}
		if err != nil {
			return nil, err
		}
		for _, k := range functionKeys() {
			if !cmd.Flags().Changed(k.key) {
				continue
			}
			if err := k.set(f, values[k.key].text); err != nil {
				return nil, usagef("--%s %q: %w", k.key, values[k.key].text, err)
			}
		}
		for _, pair := range *env {
			name, value, ok := strings.Cut(pair, "=")
			if !ok || name == "" {
				return nil, usagef("--env %q: NAME=VALUE is expected", pair)
			}
			if f.Environment == nil {
				f.Environment = map[string]string{}
			}
			f.Environment[name] = value
		}
		if *layers != nil {
			f.Layers = *layers
		}
		if f.source == nil {
			return f, nil
		}
		return f, f.settle()
	}
}

// readFunction looks at the code and reads the function.yaml beside it, if there
// is one.
func readFunction(path string) (*function, error) {
	source, err := pack.Look(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("%s does not exist: name a folder, a zip, a program or one source file", path)
	}
	if err != nil {
		return nil, &failure{code: exitUsage, err: err}
	}
	f := &function{source: source}
	if source.Kind != pack.Folder {
		return f, nil
	}
	file := filepath.Join(path, "function.yaml")
	entries, err := readYAML(file)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, &failure{code: exitUsage, err: err}
	}
	for _, e := range entries {
		if err := f.apply(e); err != nil {
			return nil, usagef("%s:%d: %w", file, e.line, err)
		}
	}
	return f, nil
}

// apply takes one line of function.yaml.
func (f *function) apply(e yamlEntry) error {
	switch {
	case e.key == "environment" && e.form == formTable:
		f.Environment = maps.Clone(e.table)
		return nil
	case e.key == "exclude" && e.form == formList:
		f.Exclude = slices.Clone(e.list)
		return pack.CheckPatterns(e.list)
	case e.key == "layers" && e.form == formList:
		f.Layers = append([]string{}, e.list...)
		return nil
	case e.key == "layers":
		return errors.New("layers: a list of names with versions or ARNs is expected, such as [tools:2]")
	case e.key == "environment":
		return errors.New("environment: a table of names and values is expected")
	case e.key == "exclude":
		return errors.New("exclude: a list of names or patterns is expected")
	}
	known := []string{"environment", "exclude", "layers"}
	for _, k := range functionKeys() {
		if k.key != e.key {
			known = append(known, k.key)
			continue
		}
		if e.form != formText {
			return fmt.Errorf("%s: a single value is expected", e.key)
		}
		if err := k.set(f, e.text); err != nil {
			return fmt.Errorf("%s %q: %w", e.key, e.text, err)
		}
		return nil
	}
	return fmt.Errorf("unknown key %q%s", e.key, suggestion(e.key, known))
}

// settle fills in what the code itself says, and refuses a function of which too
// little is known to run it.
func (f *function) settle() error {
	s := f.source
	if f.Name == "" {
		f.Name = s.Name()
	}
	if f.Handler == "" {
		f.Handler = s.Handler
	}
	if f.Runtime == "" {
		switch family := s.Language.Family(); {
		case s.Runtime != "":
			f.Runtime = s.Runtime
		case family == "provided":
			f.Runtime = "provided.al2023"
		case family != "":
			f.Runtime = family
		default:
			return usagef("%s has nothing that looks like a function: a bootstrap, a Go main package, a .py, .js or .rb file at its top, Java sources or classes, or a .NET project or what it published; name --runtime and --handler if it is one", s.Path)
		}
	}
	if f.Handler == "" {
		if strings.HasPrefix(f.Runtime, "provided") {
			f.Handler = "bootstrap"
			return nil
		}
		return usagef("%s: %s; say which one to call, such as --handler %s", s.Path, noHandler(s.Language), exampleHandler(s.Language))
	}
	return nil
}

// noHandler says what would have named the handler.
func noHandler(l pack.Language) string {
	switch l {
	case pack.Java:
		return "not exactly one class implements AWS's RequestHandler or RequestStreamHandler"
	case pack.Dotnet:
		return "neither a program nor aws-lambda-tools-defaults.json names the handler"
	}
	return "no file at its top defines a function named handler or lambda_handler"
}

func exampleHandler(l pack.Language) string {
	switch l {
	case pack.Node:
		return "index.handler"
	case pack.Java:
		return "example.Hello::handle"
	case pack.Dotnet:
		return "Hello::Hello.Function::Handle"
	}
	return "app.handler"
}
