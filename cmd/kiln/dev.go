package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/internal/pack"
	"kiln/internal/watch"
)

// devCommand is `kiln dev`.
func devCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev DIR",
		Short: "Work on a function: each save is live at the next call",
		Long: `Deploy a folder and show it to the function as it is: what is saved there runs at the
next call, in a new environment, while calls that run end in theirs. The log of the
function goes to stdout until Ctrl-C; from then on the function has the code of the
deploy again.

A Go main package is built anew on each save. Other compiled languages name a command
that writes into DIR, and the folder with the sources. Settings in function.yaml are
brought up to date too.

The server must run on this machine.`,
		Example: `  kiln dev hello-python --event hello-python/event.json
  kiln dev dist --watch src --build 'npx tsc --outDir dist'`,
		Args: exactly("a folder"),
	}
	open := serverFlags(w, cmd)
	read := functionFlags(cmd)
	build := cmd.Flags().String("build", "", "shell `COMMAND` that makes DIR from the sources; runs in the current folder at the start and after each change")
	source := cmd.Flags().String("watch", "", "`FOLDER` whose changes count (default DIR; with --build the current folder)")
	ignore := cmd.Flags().StringArray("ignore", nil, "`PATTERN` of names or paths whose changes do not count; may be repeated")
	poll := cmd.Flags().Duration("poll", 0, "look at all files every `DURATION` instead of asking the kernel, for network file systems")
	event := cmd.Flags().StringP("event", "e", "", "call the function with this event after each save: `JSON` or @FILE")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := pack.CheckPatterns(*ignore); err != nil {
			return usagef("--ignore: %w", err)
		}
		if *poll < 0 || *poll > 0 && *poll < 10*time.Millisecond {
			return usagef("--poll %s: at least 10ms is expected", *poll)
		}
		s, err := open()
		if err != nil {
			return err
		}
		d := &development{w: w, server: s, dir: args[0], watched: *source, build: *build, ignore: *ignore, poll: *poll, event: *event,
			read: func() (*function, error) { return read(args[0]) }}
		return s.explain(d.run(cmd.Context()), "")
	}
	return cmd
}

// development is a function that somebody works on.
type development struct {
	*server
	w            world
	dir, watched string
	build        string
	ignore       []string
	poll         time.Duration
	event        string
	read         func() (*function, error)

	function *function
	shown    string // the directory that the function sees
	live     *live
}

// run deploys, binds and then follows changes until ctx ends.
func (d *development) run(ctx context.Context) (err error) {
	if d.watched == "" {
		d.watched = d.dir
		if d.build != "" {
			d.watched = "."
		}
	}
	if err := d.command(ctx); err != nil {
		return err
	}
	if d.function, err = d.read(); err != nil {
		return err
	}
	if d.function.source.Kind != pack.Folder {
		return usagef("%s is not a folder: kiln dev shows a whole folder to the function", d.dir)
	}
	if _, err := readEvent(d.w, d.event); err != nil {
		return err
	}
	one := &deployment{server: d.server, function: d.function, w: d.w}
	if _, err := one.run(ctx); err != nil {
		return err
	}
	if d.shown, err = filepath.Abs(d.dir); err != nil {
		return err
	}
	if d.function.source.Builds {
		tmp, err := os.MkdirTemp("", "kiln-dev-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
		if err := os.Chmod(tmp, 0o755); err != nil { // the function's user has to see it
			return err
		}
		d.shown = tmp
		if err := d.compile(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, err := watch.Start(ctx, d.watched, watch.Options{Poll: d.poll, Skip: d.skip()})
	if err != nil {
		return err
	}
	if d.live, err = d.bind(ctx, d.function.Name, d.shown); err != nil {
		return err
	}
	defer d.live.close()
	fmt.Fprintf(d.w.talk, "%s shows %s: save a file, and the next call runs it. Ctrl-C ends this.\n", d.function.Name, d.dir)
	if because := changes.Polling(); because != nil {
		fmt.Fprintf(d.w.talk, "The kernel does not tell of changes (%v); looking every second.\n", because)
	}
	logs := d.logs(ctx)
	d.call(ctx)
	err = d.follow(ctx, changes)
	cancel()
	<-logs
	return err
}

// follow takes one change after the other.
func (d *development) follow(ctx context.Context, changes *watch.Watcher) error {
	for {
		select {
		case c, ok := <-changes.Changes():
			if !ok {
				return d.goodbye()
			}
			if err := d.reload(ctx, c); err != nil && ctx.Err() == nil {
				fmt.Fprintf(d.w.talk, "kiln: %v; the code before it still serves\n", d.explain(err, d.function.Name))
			}
		case <-d.live.over:
			if ctx.Err() != nil {
				return d.goodbye()
			}
			return platformf("start it again and run this command again", "the server at %s went away", d.endpoint)
		case <-ctx.Done():
			return d.goodbye()
		}
	}
}

// goodbye says what becomes of the function.
func (d *development) goodbye() error {
	fmt.Fprintf(d.w.talk, "%s has the code of its last deploy again; `%s deploy %s` brings what was saved since.\n", d.function.Name, d.w.program, d.dir)
	return nil
}

// reload makes a change live.
func (d *development) reload(ctx context.Context, c watch.Change) error {
	began := c.Seen
	if err := d.command(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(c.Files, isSettings) {
		if err := d.settings(ctx); err != nil {
			return err
		}
	}
	if d.function.source.Builds {
		if err := d.compile(ctx); err != nil {
			return err
		}
	}
	generation, err := d.live.changed(ctx, d.shown)
	if err != nil {
		return err
	}
	took := time.Since(began)
	fmt.Fprintf(d.w.talk, "%s reloaded in %d ms: %s (generation %d)\n", d.function.Name, took.Milliseconds(), fileList(c.Files), generation)
	d.call(ctx)
	return nil
}

// isSettings reports whether a file is the function's own settings.
func isSettings(name string) bool { return path.Base(name) == "function.yaml" }

// settings brings what function.yaml says to the server.
func (d *development) settings(ctx context.Context) error {
	f, err := d.read()
	if err != nil {
		return err
	}
	if f.Name != d.function.Name {
		return usagef("the function has another name now: %s; end this and run it again", f.Name)
	}
	one := &deployment{server: d.server, function: f, w: d.w}
	if _, err := one.run(ctx); err != nil {
		return err
	}
	d.function = f
	return nil
}

// command runs the user's build command, if there is one.
func (d *development) command(ctx context.Context) error {
	if d.build == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", d.build)
	cmd.Stdout, cmd.Stderr = d.w.talk, d.w.talk
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &failure{code: exitPlatform, what: "the build command failed", err: err}
	}
	return nil
}

// compile builds what kiln itself compiles.
func (d *development) compile(ctx context.Context) error {
	err := d.function.source.Build(ctx, d.shown, pack.Options{Architecture: d.function.Architecture, Runtime: d.function.Runtime, Talk: d.w.talk})
	if err != nil && ctx.Err() == nil {
		return &failure{code: exitPlatform, err: err}
	}
	return err
}

// call calls the function with the event that was asked for, and prints what it said.
func (d *development) call(ctx context.Context) {
	if d.event == "" {
		return
	}
	event, err := readEvent(d.w, d.event) // its file may have been saved, too
	if err == nil {
		err = d.invoke(ctx, event)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(d.w.talk, "kiln: %v\n", d.explain(err, d.function.Name))
	}
}

// skip gives what of the watched folder does not count: what is never packed, the proof
// for the server, what the user excluded, and what the build command makes.
func (d *development) skip() func(string) bool {
	made := ""
	if d.build != "" {
		top, err := filepath.EvalSymlinks(d.watched)
		if dir, err2 := filepath.EvalSymlinks(d.dir); err == nil && err2 == nil {
			top, err = filepath.Abs(top)
			dir, err2 = filepath.Abs(dir)
			if rel, err3 := filepath.Rel(top, dir); errors.Join(err, err2, err3) == nil && rel != "." {
				made = filepath.ToSlash(rel)
			}
		}
	}
	exclude := append(slices.Clone(d.function.Exclude), d.ignore...)
	exclude = append(exclude, d.function.source.Products()...)
	return func(p string) bool {
		base := path.Base(p)
		if base == proofFile || p == made || strings.HasSuffix(base, "~") || strings.HasSuffix(base, ".swp") || strings.HasSuffix(base, ".swx") || strings.HasPrefix(base, ".#") || base == "4913" {
			return true
		}
		return base != "function.yaml" && pack.LeftOut(p, exclude)
	}
}

// fileList names a few files.
func fileList(files []string) string {
	const most = 3
	shown := make([]string, 0, most)
	for _, f := range files[:min(len(files), most)] {
		shown = append(shown, printable(f))
	}
	list := strings.Join(shown, ", ")
	if len(files) > most {
		list += fmt.Sprintf(" and %d more", len(files)-most)
	}
	return list
}
