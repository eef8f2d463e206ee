package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"kiln"
	"kiln/box/sandbox"
)

// Limits of the box in which an interpreter is tried.
const (
	checkMemory = 512 << 20
	checkFiles  = 1024
	checkPIDs   = 256
	checkDisk   = 64 << 20
)

// checkRuntime gives the check of an interpreter in a real box; nil where boxes do
// not isolate, since the host then says as much.
func (s *stack) checkRuntime() func(context.Context, kiln.Runtime, []string) error {
	if !s.driver.Capabilities().PrivateFilesystem {
		return nil
	}
	return func(ctx context.Context, rt kiln.Runtime, command []string) (err error) {
		empty, err := os.MkdirTemp("", "kiln-check-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(empty)) }()
		if err := os.Chmod(empty, 0o755); err != nil {
			return err
		}
		root, err := s.rootfs.Compose(empty, rt)
		if err != nil {
			return err
		}
		box, err := s.driver.Create(ctx, checkSpec(root))
		if err != nil {
			return err
		}
		return errors.Join(tryIn(ctx, box, rt, command), box.Destroy())
	}
}

// checkSpec says what the box of a check is.
func checkSpec(root kiln.Rootfs) sandbox.Spec {
	spec := sandbox.Spec{ID: kiln.NewID(), MemoryBytes: checkMemory, PIDs: checkPIDs, OpenFiles: checkFiles, ScratchBytes: checkDisk, Hostname: "kiln"}
	for _, m := range root.Mounts {
		spec.Mounts = append(spec.Mounts, sandbox.Mount(m))
	}
	for _, f := range root.Files {
		spec.Files = append(spec.Files, sandbox.File{Path: f.Path, Contents: f.Contents, Mode: 0o644})
	}
	return spec
}

// tryIn runs a command in a box and gives its words when it fails.
func tryIn(ctx context.Context, box sandbox.Sandbox, rt kiln.Runtime, command []string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	env := []string{"PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin", "LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib", "HOME=/tmp"}
	for name, value := range rt.Env {
		env = append(env, name+"="+value)
	}
	p, err := box.Start(ctx, sandbox.Program{Path: command[0], Args: command, Env: env, Dir: "/", Stdout: w, Stderr: w})
	if closeErr := w.Close(); err != nil || closeErr != nil {
		return errors.Join(err, closeErr)
	}
	words := make(chan []byte, 1)
	go func() { // ends when the box is destroyed at the latest
		text, _ := io.ReadAll(io.LimitReader(r, 4096)) // what there is will do
		words <- text
	}()
	select {
	case <-p.Exited():
	case <-ctx.Done():
		return ctx.Err()
	}
	if st := p.Status(); st.Code == 0 && st.Signal == 0 {
		return nil
	}
	if err := box.KillAll(); err != nil { // so that the pipe ends
		return err
	}
	text := bytes.TrimSpace(<-words)
	lines := strings.Split(string(text), "\n")
	return fmt.Errorf("it does not work in a sandbox: %s", lines[len(lines)-1])
}
