// Command kiln runs Lambda functions on your own machine. This package is the roof
// of the house: flags, configuration, the explicit list of what is wired to what,
// and the group of things that run and end together. It decides nothing about
// functions: that is the work of the rooms below.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(start()) }

// start runs the program with the world as it is.
func start() int {
	if code, ok := bridged(); ok {
		return code
	}
	w := world{
		program: os.Args[0], args: os.Args[1:], in: os.Stdin, out: os.Stdout, talk: os.Stderr,
		env: os.LookupEnv, environ: os.Environ, pid: os.Getpid(),
	}
	if err := settle(&w); err != nil {
		fmt.Fprintln(w.talk, "kiln: "+err.Error())
		return exitPlatform
	}
	ctx, again, stop := signals()
	defer stop()
	w.again = again
	return run(ctx, w)
}

// signals turns what the user asks for into two steps: the first signal ends ctx,
// so that commands finish in order; the second closes again, and what still waits
// gives up. A third ends the process where it stands.
func signals() (ctx context.Context, again <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	second := make(chan struct{})
	incoming := make(chan os.Signal, 3)
	signal.Notify(incoming, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			if _, ok := <-incoming; !ok {
				return
			}
			switch n {
			case 0:
				cancel()
			case 1:
				close(second)
			default:
				os.Exit(exitInterrupted)
			}
		}
	}()
	return ctx, second, func() { signal.Stop(incoming); close(incoming); <-done; cancel() }
}

// world is what the program sees of its surroundings; tests bring their own.
type world struct {
	program   string // as the user called it
	args      []string
	in        io.Reader
	out, talk io.Writer // data; everything else
	env       func(string) (string, bool)
	environ   func() []string
	again     <-chan struct{} // closed when the user asked to stop a second time
	inside    bool            // root of a user namespace that an ordinary user's kiln made
	pid       int             // the process that the user sees, to which signals go
}

// run executes one command line and gives the exit code.
func run(ctx context.Context, w world) int {
	root := newRoot(w)
	root.SetArgs(w.args)
	err := root.ExecuteContext(ctx)
	var f *failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &f):
		if !f.silent {
			fmt.Fprintln(w.talk, "kiln: "+f.Error())
		}
		return f.code
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitInterrupted
	}
	fmt.Fprintln(w.talk, "kiln: "+err.Error())
	return exitPlatform
}
