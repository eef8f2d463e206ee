package runtimes

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Directories, relative to a home, where version managers keep interpreters.
var homePlaces = map[string][]string{
	"python": {
		".pyenv/versions/*/bin",
		".asdf/installs/python/*/bin",
		".local/share/mise/installs/python/*/bin",
		".local/share/uv/python/*/bin",
		".local/share/rtx/installs/python/*/bin",
		".rye/py/*/bin",
		".local/bin",
		"miniconda3/bin", "miniconda3/envs/*/bin",
		"anaconda3/bin", "anaconda3/envs/*/bin",
		"miniforge3/bin", "miniforge3/envs/*/bin",
	},
	"nodejs": {
		".nvm/versions/node/*/bin",
		".volta/tools/image/node/*/bin",
		".asdf/installs/nodejs/*/bin",
		".local/share/mise/installs/node/*/bin",
		".local/share/fnm/node-versions/*/installation/bin",
		".fnm/node-versions/*/installation/bin",
		".nodenv/versions/*/bin",
		".nodebrew/node/*/bin",
		"n/n/versions/node/*/bin",
		".local/bin",
	},
	"java": {
		".sdkman/candidates/java/*/bin",
		".jdks/*/bin",
		".jenv/versions/*/bin",
		".jabba/jdk/*/bin",
		".asdf/installs/java/*/bin",
		".local/share/mise/installs/java/*/bin",
	},
	"dotnet": {
		".dotnet",
		".asdf/installs/dotnet-core/*", ".asdf/installs/dotnet/*",
		".local/share/mise/dotnet-root", ".local/share/mise/installs/dotnet/*",
	},
	"ruby": {
		".rbenv/versions/*/bin",
		".rvm/rubies/*/bin",
		".rubies/*/bin",
		".asdf/installs/ruby/*/bin",
		".local/share/mise/installs/ruby/*/bin",
	},
}

// Directories of the whole system where interpreters are found.
var systemPlaces = map[string][]string{
	"python": {
		"/usr/bin", "/usr/local/bin", "/opt/*/bin",
		"/opt/python/*/bin", "/usr/local/python*/bin",
		"/opt/pyenv/versions/*/bin", "/usr/local/pyenv/versions/*/bin",
		"/opt/hostedtoolcache/Python/*/*/bin",
		"/home/linuxbrew/.linuxbrew/bin",
	},
	"nodejs": {
		"/usr/bin", "/usr/local/bin", "/opt/*/bin",
		"/usr/local/n/versions/node/*/bin", "/usr/local/nvm/versions/node/*/bin",
		"/usr/local/node*/bin", "/opt/node/*/bin",
		"/opt/hostedtoolcache/node/*/*/bin",
		"/home/linuxbrew/.linuxbrew/bin",
	},
	"java": {
		"/usr/bin", "/usr/lib/jvm/*/bin", "/usr/lib/jvm/*/jre/bin", "/usr/java/*/bin",
		"/opt/*/bin", "/opt/java/*/bin", "/usr/local/*/bin", "/usr/local/sdkman/candidates/java/*/bin",
		"/opt/hostedtoolcache/Java_*/*/*/bin",
		"/home/linuxbrew/.linuxbrew/opt/openjdk*/bin",
	},
	"dotnet": {
		"/usr/bin", "/usr/local/bin", "/usr/share/dotnet", "/usr/lib/dotnet", "/usr/lib64/dotnet", "/usr/local/share/dotnet",
		"/opt/dotnet", "/opt/*/bin",
		"/home/linuxbrew/.linuxbrew/opt/dotnet*/libexec",
	},
	"ruby": {
		"/usr/bin", "/usr/local/bin", "/opt/*/bin",
		"/opt/rubies/*/bin", "/usr/local/rvm/rubies/*/bin", "/usr/local/rbenv/versions/*/bin",
		"/opt/hostedtoolcache/Ruby/*/*/bin",
		"/home/linuxbrew/.linuxbrew/opt/ruby*/bin",
	},
}

// candidate is a file that may be an interpreter.
type candidate struct {
	path string
	// hint is true when the name of the file or of its directory says the version
	// that is wanted.
	hint bool
	// script is true for a shim: it is asked only when no binary serves.
	script bool
	// root is the root directory that it belongs to, "" is the host's.
	root string
}

// candidates lists what may be an interpreter of the family, the likely ones for
// this version first. A file that several names lead to is listed once.
func (b *Book) candidates(family, version string) []candidate {
	names := families[family].programs(version)
	var found []candidate
	seen := make(map[string]bool)
	for _, dir := range b.directories(family) {
		for _, name := range names {
			file := filepath.Join(dir, name)
			info, err := os.Stat(file)
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
				continue
			}
			script := isScript(file)
			key := file
			if real, err := filepath.EvalSymlinks(file); err == nil && !script {
				key = real
			}
			if seen[key] {
				continue
			}
			seen[key] = true
			c := candidate{path: file, script: script}
			c.hint = strings.HasSuffix(name, version) || namesVersion(dir, version)
			found = append(found, c)
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return rank(found[i]) < rank(found[j]) })
	return found
}

func rank(c candidate) int {
	r := 0
	if c.script {
		r += 2
	}
	if !c.hint {
		r++
	}
	return r
}

// namesVersion reports whether a part of the path is this version or begins with
// it: ".../versions/3.11.7/bin", ".../node/v20.1.0/bin", ".../cpython-3.11.9-linux/bin".
func namesVersion(dir, version string) bool {
	for _, part := range strings.Split(dir, "/") {
		part = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(part, "cpython-"), "python"), "v")
		if part == version || strings.HasPrefix(part, version+".") || strings.HasPrefix(part, version+"-") {
			return true
		}
	}
	return false
}

// directories lists where the family's interpreters are sought: the search path
// first, then places that are known.
func (b *Book) directories(family string) []string {
	if b.options.Places != nil {
		return b.options.Places
	}
	dirs := filepath.SplitList(b.options.Getenv("PATH"))
	patterns := append([]string(nil), systemPlaces[family]...)
	for _, home := range b.homes() {
		for _, place := range homePlaces[family] {
			patterns = append(patterns, filepath.Join(home, place))
		}
	}
	for _, root := range []struct{ name, below string }{
		{"PYENV_ROOT", "versions/*/bin"},
		{"NVM_DIR", "versions/node/*/bin"},
		{"FNM_DIR", "node-versions/*/installation/bin"},
		{"VOLTA_HOME", "tools/image/node/*/bin"},
		{"ASDF_DATA_DIR", "installs/" + family + "/*/bin"},
		{"N_PREFIX", "n/versions/node/*/bin"},
		{"JAVA_HOME", "bin"},
		{"SDKMAN_DIR", "candidates/java/*/bin"},
		{"RBENV_ROOT", "versions/*/bin"},
		{"DOTNET_ROOT", "."},
	} {
		if dir := b.options.Getenv(root.name); filepath.IsAbs(dir) {
			patterns = append(patterns, filepath.Join(dir, root.below))
		}
	}
	for _, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue // the pattern holds what a variable held
		}
		// Of several patch versions the newest is asked first.
		sort.Slice(matches, func(i, j int) bool { return naturalLess(matches[j], matches[i]) })
		dirs = append(dirs, matches...)
	}
	var unique []string
	seen := make(map[string]bool)
	for _, dir := range dirs {
		if filepath.IsAbs(dir) && !seen[dir] {
			seen[dir] = true
			unique = append(unique, dir)
		}
	}
	return unique
}

// homes lists the home of the user and, under sudo, of the user who asked for it.
func (b *Book) homes() []string {
	var homes []string
	if home := b.options.Getenv("HOME"); filepath.IsAbs(home) {
		homes = append(homes, home)
	}
	if name := b.options.Getenv("SUDO_USER"); name != "" && !strings.Contains(name, "/") {
		homes = append(homes, filepath.Join("/home", name))
	}
	return homes
}

// naturalLess orders texts with their numbers as numbers: 3.9 comes before 3.10.
func naturalLess(a, b string) bool {
	for a != "" && b != "" {
		i, j := digits(a), digits(b)
		if i > 0 && j > 0 {
			x, y := strings.TrimLeft(a[:i], "0"), strings.TrimLeft(b[:j], "0")
			if len(x) != len(y) {
				return len(x) < len(y)
			}
			if x != y {
				return x < y
			}
			a, b = a[i:], b[j:]
			continue
		}
		if a[0] != b[0] {
			return a[0] < b[0]
		}
		a, b = a[1:], b[1:]
	}
	return a == "" && b != ""
}

func digits(text string) int {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}

// isScript reports whether a file begins as a script does.
func isScript(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 2)
	n, _ := f.Read(head) // too short to be a script is not one
	return n == 2 && string(head) == "#!"
}
