package runtimes

import (
	"context"
	"encoding/json"
)

// family is what the book has to know of a language whose runtimes need an
// interpreter of the machine.
type family struct {
	// language is its name as people write it.
	language string
	// implementation is the one interpreter that AWS has of it.
	implementation string
	// parts is how many parts of a version a runtime identifier names.
	parts int
	// programs are the file names of interpreters of a version, the likely one first.
	programs func(version string) []string
	// ask makes a candidate say what it is.
	ask func(ctx context.Context, p program) (*answer, error)
	// probe loads in a box what functions expect; hostProbe does what of that can be
	// done without the bootstrap's files.
	probe, hostProbe []string
	// places says where an interpreter is found, after "install it so that".
	places func(version string) string
}

var families = map[string]*family{
	"python": {
		language:       "Python",
		implementation: "cpython",
		parts:          2,
		programs: func(version string) []string {
			if version != "" && version[0] == '2' {
				return []string{"python" + version, "python2", "python"}
			}
			return []string{"python" + version, "python3", "python"}
		},
		ask:       asking(pythonQuestion),
		probe:     pythonProbe,
		hostProbe: pythonProbe,
		places: func(version string) string {
			return "python" + version + " is on the PATH or below pyenv, asdf, mise, uv, conda, /opt or /usr/local"
		},
	},
	"nodejs": {
		language:       "Node.js",
		implementation: "node",
		parts:          1,
		programs:       func(string) []string { return []string{"node", "nodejs"} },
		ask:            asking(nodeQuestion),
		probe:          nodeProbe,
		hostProbe:      nodeProbe,
		places: func(string) string {
			return "node is on the PATH or below nvm, fnm, volta, asdf, mise, n, /opt or /usr/local"
		},
	},
	"java": {
		language:       "Java",
		implementation: "hotspot",
		parts:          1,
		programs:       func(string) []string { return []string{"java"} },
		ask:            askJava,
		probe:          javaProbe,
		hostProbe:      []string{"-version"},
		places: func(string) string {
			return "java is on the PATH, in JAVA_HOME, or below /usr/lib/jvm, sdkman, jenv, asdf, mise, /opt or /usr/local"
		},
	},
	"dotnet": {
		language:       ".NET",
		implementation: "coreclr",
		programs:       func(string) []string { return []string{"dotnet"} },
		ask:            askDotnet,
		probe:          dotnetProbe,
		hostProbe:      []string{"--list-runtimes"},
		places: func(version string) string {
			return "dotnet is on the PATH, in DOTNET_ROOT, or below ~/.dotnet, /usr/share/dotnet, /usr/lib/dotnet, asdf, mise or /opt, with a shared runtime of version " + version
		},
	},
	"ruby": {
		language:       "Ruby",
		implementation: "ruby",
		parts:          2,
		programs:       func(version string) []string { return []string{"ruby" + version, "ruby"} },
		ask:            askRuby,
		probe:          rubyProbe,
		hostProbe:      rubyProbe,
		places: func(version string) string {
			return "ruby is on the PATH or below rbenv, rvm, chruby, asdf, mise, /opt or /usr/local"
		},
	},
}

// asking gives the way to ask an interpreter that answers a program of its own
// language with a line of JSON.
func asking(question []string) func(ctx context.Context, p program) (*answer, error) {
	return func(ctx context.Context, p program) (*answer, error) {
		out, err := output(ctx, asSelf, p, question...)
		if err != nil {
			return nil, err
		}
		said := new(answer)
		if err := json.Unmarshal(out, said); err != nil {
			return nil, refusal("it did not answer as an interpreter does")
		}
		return said, nil
	}
}
