// Command gen writes the Lambda API in Go from the API model: the server side
// (door/lambda) and a thin client (client). It reads files and writes files; it
// never looks at the network, and the same input always gives the same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

// main exits with 1 and one line when nothing could be generated.
func main() {
	modelDir := flag.String("model", "../../model", "folder with the API model")
	serverDir := flag.String("server", ".", "folder of the generated server side")
	clientDir := flag.String("client", "../../client", "folder of the generated client")
	flag.Parse()
	if err := run(*modelDir, *serverDir, *clientDir); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run generates both packages, or writes nothing when the model has something
// the generator does not understand.
func run(modelDir, serverDir, clientDir string) error {
	api, err := load(modelDir)
	if err != nil {
		return err
	}
	server, err := serverFiles(api)
	if err != nil {
		return err
	}
	client, err := clientFiles(api)
	if err != nil {
		return err
	}
	if err := write(serverDir, server); err != nil {
		return err
	}
	return write(clientDir, client)
}

// serverFiles returns the generated files of door/lambda by name.
func serverFiles(m *api) (map[string][]byte, error) {
	return render("lambda", map[string]func(*api, *file) error{
		"enums.gen.go":      emitEnums,
		"shapes.gen.go":     emitServerShapes,
		"service.gen.go":    emitService,
		"operations.gen.go": emitOperations,
		"routes.gen.go":     emitRoutes,
		"decode.gen.go":     emitDecoders,
		"encode.gen.go":     emitEncoders,
		"validate.gen.go":   emitValidation,
		"rules.gen.go":      emitRules,
		"errors.gen.go":     emitErrors,
	}, m)
}

// clientFiles returns the generated files of client by name.
func clientFiles(m *api) (map[string][]byte, error) {
	return render("client", map[string]func(*api, *file) error{
		"enums.gen.go":      emitEnums,
		"shapes.gen.go":     emitClientShapes,
		"operations.gen.go": emitClientOperations,
	}, m)
}

// render runs every emitter into its own formatted file.
func render(pkg string, emitters map[string]func(*api, *file) error, m *api) (map[string][]byte, error) {
	out := map[string][]byte{}
	for name, emit := range emitters {
		f := newFile(pkg)
		if err := emit(m, f); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		text, err := f.format()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = text
	}
	return out, nil
}

// write replaces the generated files of dir and removes generated files that no
// longer belong there.
func write(dir string, files map[string][]byte) error {
	old, err := filepath.Glob(filepath.Join(dir, "*.gen.go"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if _, keep := files[filepath.Base(path)]; keep {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}
