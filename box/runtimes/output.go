package runtimes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// asSelf runs a program as the user of this process.
const asSelf = -1

// output runs a program as a user, without the variables that would change what an
// interpreter is, and gives what it printed. The error carries the last line of the
// program's complaint.
func output(ctx context.Context, uid int, p program, arguments ...string) ([]byte, error) {
	name, arguments, err := p.command(arguments)
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, name, arguments...)
	command.Env = append(plainEnvironment(), p.env...)
	command.Dir = "/"
	command.WaitDelay = time.Second
	together(command, uid)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err = command.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("it gave no answer: %w", context.Cause(ctx))
	}
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			if line := lastLine(stderr.String()); line != "" {
				return nil, errors.New(line)
			}
		}
		return nil, err
	}
	return stdout.Bytes(), nil
}

// plainEnvironment is the process's environment without what bends interpreters.
func plainEnvironment() []string {
	var plain []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "PYTHON") || strings.HasPrefix(name, "LD_") ||
			strings.HasPrefix(name, "NODE_") || name == "VIRTUAL_ENV" || name == "ELECTRON_RUN_AS_NODE" {
			continue
		}
		plain = append(plain, entry)
	}
	return plain
}

// lastLine gives the last line of a text that is not blank, shortened.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	line := strings.TrimSpace(lines[len(lines)-1])
	if len(line) > 300 {
		line = line[:300] + "…"
	}
	return line
}
