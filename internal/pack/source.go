package pack

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Kind is the form in which a user hands over code.
type Kind string

// The kinds.
const (
	Folder  Kind = "folder"
	Zip     Kind = "zip"
	Program Kind = "program" // an ELF program or a script with #!, which becomes bootstrap
	Script  Kind = "script"  // one file in the language of a managed runtime
)

// Source is code as the user named it, looked at but not packed.
type Source struct {
	Path     string
	Kind     Kind
	Language Language
	Handler  string // "" when nothing in there says it
	// Runtime is the identifier that the code says it is for; "" leaves it open.
	Runtime string
	// Architecture is that of the program ("x86_64", "arm64"); "" when the code
	// does not depend on it or is yet to be built.
	Architecture string
	// Builds is true when Pack compiles: a program is for the architecture asked for.
	Builds bool
}

// Look says what lies at path. A folder or zip without anything that looks like a
// function is no error: Language is then empty, since the user may name runtime
// and handler.
func Look(path string) (*Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return lookFolder(path)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is neither a folder nor a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var head [4]byte
	if _, err := io.ReadFull(f, head[:]); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%s is empty", path)
	}
	switch {
	case bytes.HasPrefix(head[:], []byte("PK")):
		return lookZip(path, f, info.Size())
	case bytes.Equal(head[:], []byte(elf.ELFMAG)):
		return lookProgram(path, f)
	case isForeignProgram(head[:]):
		return nil, fmt.Errorf("%s is a program for another system; functions run on Linux: build it with GOOS=linux, or name its folder and let kiln build it", path)
	}
	if lang, ok := languageOfFile(path); ok {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s := &Source{Path: path, Kind: Script, Language: lang}
		if name, ok := exportedHandler(lang, text); ok {
			s.Handler = moduleName(filepath.Base(path)) + "." + name
		}
		return s, nil
	}
	if bytes.HasPrefix(head[:], []byte("#!")) {
		return &Source{Path: path, Kind: Program, Language: Provided, Handler: "bootstrap"}, nil
	}
	return nil, fmt.Errorf("%s is neither a zip, nor a Linux program, nor a script: kiln takes a folder, a zip, a program or one source file", path)
}

// Name proposes a function name from the path: its base, without what names may
// not contain.
func (s *Source) Name() string {
	abs, err := filepath.Abs(s.Path)
	if err != nil {
		abs = s.Path
	}
	base := filepath.Base(abs)
	if s.Kind != Folder {
		base = strings.TrimSuffix(base, filepath.Ext(base))
	}
	var b strings.Builder
	for _, r := range base {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			b.WriteRune(r)
		default:
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if len(name) > 64 {
		name = name[:64]
	}
	return name
}

func lookFolder(path string) (*Source, error) {
	s := &Source{Path: path, Kind: Folder}
	isGo, err := isGoMain(path)
	if err != nil {
		return nil, err
	}
	if isGo {
		s.Language, s.Handler, s.Builds = Go, "bootstrap", true
		return s, nil
	}
	project, err := dotnetProject(path)
	if err != nil {
		return nil, err
	}
	if project != "" {
		return s, s.lookDotnet(project)
	}
	if javaSourceOf(path) != "" {
		s.Language, s.Builds = Java, true
		s.Handler, err = handlerOfSources(path)
		return s, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	return s, s.find(root.FS())
}

func lookZip(path string, r io.ReaderAt, size int64) (*Source, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read as a zip: %w", path, err)
	}
	s := &Source{Path: path, Kind: Zip}
	if err := s.find(z); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Language == Provided {
		s.Architecture = architectureIn(z)
	}
	return s, nil
}

func lookProgram(path string, r io.ReaderAt) (*Source, error) {
	arch, err := architecture(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Source{Path: path, Kind: Program, Language: Provided, Handler: "bootstrap", Architecture: arch}, nil
}

// architecture gives the architecture of an ELF program in Lambda's words.
func architecture(r io.ReaderAt) (string, error) {
	f, err := elf.NewFile(r) // which owns nothing that has to be closed
	if err != nil {
		return "", fmt.Errorf("not a program that can be read: %w", err)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return "", errors.New("an ELF file, but not a program")
	}
	switch f.Machine {
	case elf.EM_X86_64:
		return "x86_64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("a program for %s; functions are x86_64 or arm64", f.Machine)
}

// architectureIn gives the architecture of the bootstrap in a package, or "" when
// it is a script.
func architectureIn(fsys fs.FS) string {
	text, err := fs.ReadFile(fsys, "bootstrap")
	if err != nil || !bytes.HasPrefix(text, []byte(elf.ELFMAG)) {
		return ""
	}
	arch, err := architecture(bytes.NewReader(text))
	if err != nil {
		return ""
	}
	return arch
}

// isForeignProgram recognises Mach-O and PE files by their first bytes.
func isForeignProgram(head []byte) bool {
	for _, magic := range []string{"\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe", "MZ"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}
