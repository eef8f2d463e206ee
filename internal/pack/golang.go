package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// goArchitectures maps Lambda's architectures to those of the Go tool.
var goArchitectures = map[string]string{"x86_64": "amd64", "arm64": "arm64"}

// buildGo compiles the main package of a folder for Linux into dir as bootstrap. The Go
// tool's own cache makes a second build of unchanged sources quick.
func (s *Source) buildGo(ctx context.Context, dir string, o Options) error {
	arch, ok := goArchitectures[o.Architecture]
	if !ok {
		return fmt.Errorf("architecture %q is unknown; functions are x86_64 or arm64", o.Architecture)
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("%s is a Go program and the go tool is not on the PATH: install Go from https://go.dev/dl, or name a built program or a zip", s.Path)
	}
	program := filepath.Join(dir, "bootstrap.new")
	var talk bytes.Buffer
	cmd := exec.CommandContext(ctx, tool, "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", program, ".")
	cmd.Dir = s.Path
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = &talk, &talk
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("go build in %s: %s", s.Path, strings.TrimSpace(talk.String()))
		}
		return err
	}
	if o.Talk != nil {
		_, _ = io.Copy(o.Talk, &talk) // downloads that the go tool told of; losing them loses nothing
	}
	return os.Rename(program, filepath.Join(dir, "bootstrap"))
}
