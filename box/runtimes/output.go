package runtimes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// asSelf runs a program as the user of this process.
const asSelf = -1

// output runs a program as a user, without the variables that would change what an
// interpreter is, and gives what it printed. The error carries the last line of the
// program's complaint.
func output(ctx context.Context, uid int, p program, arguments ...string) ([]byte, error) {
	printed, _, err := outputs(ctx, uid, p, arguments...)
	return printed, err
}

// outputs is output with what the program printed on its standard error.
func outputs(ctx context.Context, uid int, p program, arguments ...string) (printed, said []byte, err error) {
	name, arguments, err := p.command(arguments)
	if err != nil {
		return nil, nil, err
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
		return nil, nil, fmt.Errorf("it gave no answer: %w", context.Cause(ctx))
	}
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			if line := lastLine(stderr.String()); line != "" {
				return nil, nil, errors.New(line)
			}
		}
		return nil, nil, err
	}
	return stdout.Bytes(), stderr.Bytes(), nil
}

// javaVariables change what a Java is or what it prints.
var javaVariables = []string{"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_OPTIONS", "CLASSPATH"}

// plainEnvironment is the process's environment without what bends interpreters.
func plainEnvironment() []string {
	var plain []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "PYTHON") || strings.HasPrefix(name, "LD_") ||
			strings.HasPrefix(name, "NODE_") || strings.HasPrefix(name, "RUBY") || strings.HasPrefix(name, "GEM_") ||
			strings.HasPrefix(name, "BUNDLE") || slices.Contains(javaVariables, name) || name == "VIRTUAL_ENV" || name == "ELECTRON_RUN_AS_NODE" {
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
