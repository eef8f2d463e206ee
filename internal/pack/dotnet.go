package pack

import (
	"bytes"
	"context"
	"debug/pe"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// toolDefaults is the file in which AWS's own tool keeps what a project does not say.
const toolDefaults = "aws-lambda-tools-defaults.json"

// dotnetProject gives the project file of a folder; "" when there is none. Two are an
// error: each is another function.
func dotnetProject(dir string) (string, error) {
	var found []string
	for _, pattern := range []string{"*.csproj", "*.fsproj", "*.vbproj"} {
		more, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		found = append(found, more...)
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s has %d projects, %s and %s among them; name the folder of one", dir, len(found), filepath.Base(found[0]), filepath.Base(found[1]))
}

var (
	targetFramework = regexp.MustCompile(`<TargetFramework>\s*([\w.]+)\s*</TargetFramework>`)
	assemblyName    = regexp.MustCompile(`<AssemblyName>\s*([\w.-]+)\s*</AssemblyName>`)
	outputExe       = regexp.MustCompile(`(?i)<OutputType>\s*exe\s*</OutputType>`)
)

// lookDotnet reads what a project says: the runtime by its framework, and the handler
// from AWS's own tool, or from the project when it is a program.
func (s *Source) lookDotnet(project string) error {
	text, err := os.ReadFile(project)
	if err != nil {
		return err
	}
	s.Language, s.Builds = Dotnet, true
	if m := targetFramework.FindSubmatch(text); m != nil {
		s.Runtime = runtimeOfFramework(string(m[1]))
	}
	if outputExe.Match(text) {
		s.Handler = strings.TrimSuffix(filepath.Base(project), filepath.Ext(project))
		if m := assemblyName.FindSubmatch(text); m != nil {
			s.Handler = string(m[1])
		}
	}
	kept, err := os.ReadFile(filepath.Join(s.Path, toolDefaults))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var defaults struct {
		Handler string `json:"function-handler"`
		Runtime string `json:"function-runtime"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(kept, []byte("\xef\xbb\xbf")), &defaults); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(s.Path, toolDefaults), err)
	}
	if defaults.Handler != "" {
		s.Handler = defaults.Handler
	}
	if defaults.Runtime != "" {
		s.Runtime = defaults.Runtime
	}
	return nil
}

// runtimeOfFramework gives the runtime that a target framework is for: dotnet8 of
// net8.0, dotnetcore3.1 of netcoreapp3.1; "" of any other.
func runtimeOfFramework(framework string) string {
	if version, ok := strings.CutPrefix(framework, "netcoreapp"); ok {
		return "dotnetcore" + version
	}
	version, ok := strings.CutPrefix(framework, "net")
	major, minor, dotted := strings.Cut(version, ".")
	if ok && dotted && minor == "0" && major != "" && strings.Trim(major, "0123456789") == "" {
		return "dotnet" + major
	}
	return ""
}

// buildDotnet publishes a project into dir.
func (s *Source) buildDotnet(ctx context.Context, dir string, o Options) error {
	project, err := dotnetProject(s.Path)
	if err != nil {
		return err
	}
	tool, err := exec.LookPath("dotnet")
	if err != nil {
		return fmt.Errorf("%s is a .NET project and dotnet is not on the PATH: install the SDK from https://dot.net, or name a folder or zip that was published", s.Path)
	}
	// Only what is asked for: a file that says the version is what the runtime goes by.
	return runTool(ctx, s.Path, o, tool, "publish", filepath.Base(project), "--configuration", "Release", "--output", dir,
		"-nologo", "-verbosity:quiet", "-p:GenerateRuntimeConfigurationFiles=true")
}

// findDotnet recognises what was published: an assembly with the file that says its
// version. A program is its own handler.
func findDotnet(fsys fs.FS) (language Language, handler, runtime string, err error) {
	found, err := fs.Glob(fsys, "*.runtimeconfig.json")
	if err != nil || len(found) != 1 {
		return "", "", "", err
	}
	name := strings.TrimSuffix(found[0], ".runtimeconfig.json")
	text, err := fs.ReadFile(fsys, found[0])
	if err != nil {
		return "", "", "", err
	}
	var config struct {
		RuntimeOptions struct {
			TFM       string
			Framework struct{ Name, Version string }
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return "", "", "", fmt.Errorf("%s: %w", found[0], err)
	}
	runtime = runtimeOfFramework(config.RuntimeOptions.TFM)
	if parts := strings.Split(config.RuntimeOptions.Framework.Version, "."); runtime == "" && len(parts) > 2 {
		framework := "net" + parts[0] + "." + parts[1]
		if slices.Contains([]string{"1", "2", "3"}, parts[0]) {
			framework = "netcoreapp" + parts[0] + "." + parts[1]
		}
		runtime = runtimeOfFramework(framework)
	}
	assembly, err := fs.ReadFile(fsys, path.Base(name)+".dll")
	if err == nil && isDotnetProgram(assembly) {
		handler = name
	}
	return Dotnet, handler, runtime, nil
}

// isDotnetProgram reports whether an assembly has a method that it begins with.
func isDotnetProgram(assembly []byte) bool {
	f, err := pe.NewFile(bytes.NewReader(assembly))
	if err != nil {
		return false
	}
	var directory pe.DataDirectory
	const runtimeHeader = 14 // of the optional header's directories
	switch head := f.OptionalHeader.(type) {
	case *pe.OptionalHeader32:
		directory = head.DataDirectory[runtimeHeader]
	case *pe.OptionalHeader64:
		directory = head.DataDirectory[runtimeHeader]
	}
	for _, section := range f.Sections {
		if directory.VirtualAddress < section.VirtualAddress || directory.VirtualAddress >= section.VirtualAddress+section.Size {
			continue
		}
		header := make([]byte, 24)
		at := io.NewSectionReader(section, int64(directory.VirtualAddress-section.VirtualAddress), int64(len(header)))
		if _, err := io.ReadFull(at, header); err != nil {
			return false
		}
		return binary.LittleEndian.Uint32(header[20:]) != 0 // the token of the entry point
	}
	return false
}
