package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// shelf is where runtimes are kept: behind a server, or in a data directory that no
// server uses now.
type shelf interface {
	list(ctx context.Context) ([]runtimeEntry, error)
	// add fetches a runtime, from a container image if one is named, and tells how far it is in bytes; total 0 is not known.
	add(ctx context.Context, identifier, image string, progress func(done, total int64)) error
	remove(ctx context.Context, identifier string) error
	close() error
}

// runtimeCommand is `kiln runtime`.
func runtimeCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runtime",
		Short: "Look at the interpreters that run functions, and fetch more",
		Long: `Look at the interpreters that run functions, and fetch more. provided runtimes (Go,
Rust, shell scripts) need none. With a server running the commands ask it; without one
they work on its data directory.`,
		RunE: needSubcommand,
	}
	add := &cobra.Command{
		Use: "add RUNTIME", Short: "Fetch what serves a runtime, or the AWS SDK of a language",
		Example: "  kiln runtime add nodejs22.x\n  kiln runtime add python3.13\n  kiln runtime add python-sdk\n  kiln runtime add python3.8 --image public.ecr.aws/lambda/python:3.8", Args: exactly("a runtime such as nodejs22.x"),
		Long: `Fetch what serves a runtime, or the AWS SDK of a language. Node.js comes through npm.
Python, Java and Ruby come as roots of Debian packages, with a C library of their own,
from where this machine's apt has Debian, or from --debian-mirror; signatures are checked.
.NET Core 2.1 and 3.1 come through npm into such a root. python-sdk
and nodejs-sdk are the AWS SDKs that AWS has in its runtimes: once added, they are in
all runtimes of the language. What is here already is not fetched again.

With --image the root of a container image is the base of the runtime: one of AWS's base
images runs its own client, any other one kiln's on the interpreter that it has.`,
	}
	image := add.Flags().String("image", "", "take the root of this container image: `REF` is REGISTRY/NAME:TAG, oci:DIR, oci-archive:FILE or docker-archive:FILE")
	cmd.AddCommand(
		runtimeSubcommand(w, &cobra.Command{
			Use: "ls", Aliases: []string{"list"}, Short: "List the runtimes and which are ready", Example: "  kiln runtime ls\n  kiln runtime ls -o json", Args: exactly(),
			Long: `List all runtimes of AWS Lambda: which are ready and what serves them, which can be
fetched and how, which an image has to bring, and since when AWS has deprecated them.
A deprecated runtime runs like any other. -o json says more of what is missing.`,
		}, runtimeLs),
		runtimeSubcommand(w, add, func(ctx context.Context, w world, sh shelf, args []string, _ string) error {
			return runtimeAdd(ctx, w, sh, args[0], *image)
		}),
		runtimeSubcommand(w, &cobra.Command{Use: "rm RUNTIME", Aliases: []string{"remove"}, Short: "Remove a runtime that was fetched", Example: "  kiln runtime rm nodejs22.x", Args: exactly("a runtime such as nodejs22.x")}, runtimeRm),
	)
	return cmd
}

// runtimeSubcommand completes a subcommand: it finds the shelf and hands it over.
func runtimeSubcommand(w world, cmd *cobra.Command, do func(context.Context, world, shelf, []string, string) error) *cobra.Command {
	open := serverFlags(w, cmd)
	names := []string{"data-dir"}
	if cmd.Name() != "rm" {
		names = append(names, "debian-mirror", "debian-keyring")
	}
	given := settingFlags(w, cmd, names...)
	format := outputFlag(w, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := format()
		if err != nil {
			return err
		}
		s, err := open()
		if err != nil {
			return err
		}
		sh, err := s.findShelf(cmd.Context(), w, given(), cmd.Flags().Changed("endpoint-url"))
		if err != nil {
			return err
		}
		return errors.Join(do(cmd.Context(), w, sh, args, form), sh.close())
	}
	return cmd
}

// findShelf takes the server's shelf; when no server answers, and none was named,
// that of the data directory.
func (s *server) findShelf(ctx context.Context, w world, l layers, named bool) (shelf, error) {
	if _, ok := l.flags["data-dir"]; !ok {
		var about struct{}
		err := s.get(ctx, nil, &about, "version")
		var dial *net.OpError
		if err == nil || named || !errors.As(err, &dial) {
			for _, key := range []string{"debian-mirror", "debian-keyring"} {
				if _, ok := l.flags[key]; ok && err == nil {
					return nil, usagef("--%s: a server runs and fetches by its own configuration: set %s there", key, key)
				}
			}
			return serverShelf{s}, err
		}
	}
	c, _, err := load(w, l)
	if err != nil {
		return nil, err
	}
	return openShelf(w, c)
}

func runtimeLs(ctx context.Context, w world, sh shelf, _ []string, form string) error {
	list, err := sh.list(ctx)
	if err != nil {
		return err
	}
	if form == "json" {
		return printJSON(w.out, list)
	}
	return printTable(w.out, runtimeTable(list, time.Now()))
}

func runtimeAdd(ctx context.Context, w world, sh shelf, identifier, reference string) error {
	bar := &progressBar{out: w.talk, name: identifier, live: isTerminal(w.talk)}
	if reference != "" {
		i := imageChoice{reference: reference}
		if err := i.absolute(); err != nil {
			return err
		}
		reference = i.reference
	}
	err := sh.add(ctx, identifier, reference, bar.show)
	bar.end()
	if err != nil {
		return err
	}
	fmt.Fprintln(w.out, identifier)
	return nil
}

func runtimeRm(ctx context.Context, w world, sh shelf, args []string, _ string) error {
	if err := sh.remove(ctx, args[0]); err != nil {
		return err
	}
	fmt.Fprintln(w.out, args[0])
	return nil
}

// progressBar shows how far a fetch is.
type progressBar struct {
	out   io.Writer
	name  string
	doing string // what happens to it; "" is that what serves it is fetched
	live  bool
	shown bool
}

// show draws the bar anew; without a person it only says once that something comes.
func (b *progressBar) show(done, total int64) {
	first := !b.shown
	b.shown = true
	if !b.live {
		if first {
			fmt.Fprintf(b.out, "%s %s …\n", cmp.Or(b.doing, "Fetching what serves"), b.name)
		}
		return
	}
	if total <= 0 {
		fmt.Fprintf(b.out, "\r%s  %s ", b.name, bytesText(done))
		return
	}
	const width = 30
	n := int(min(done, total) * width / total)
	fmt.Fprintf(b.out, "\r%s  [%s%s]  %s of %s ", b.name, strings.Repeat("#", n), strings.Repeat(".", width-n), bytesText(done), bytesText(total))
}

// end leaves the bar as it is and goes to the next line.
func (b *progressBar) end() {
	if b.shown && b.live {
		fmt.Fprintln(b.out)
	}
}

// serverShelf is the shelf of a running server.
type serverShelf struct{ s *server }

func (r serverShelf) list(ctx context.Context) ([]runtimeEntry, error) { return r.s.runtimes(ctx, nil) }

// runtimes lists what the server knows; a query narrows it.
func (s *server) runtimes(ctx context.Context, query url.Values) ([]runtimeEntry, error) {
	var list []runtimeEntry
	err := s.get(ctx, query, &list, "runtimes")
	return list, err
}

func (r serverShelf) add(ctx context.Context, identifier, image string, progress func(done, total int64)) error {
	var query url.Values
	if image != "" {
		query = url.Values{"image": {image}}
	}
	resp, err := r.s.Call(ctx, http.MethodPost, []string{"_kiln", "v1", "runtimes", identifier}, query)
	if err != nil {
		return r.s.explain(err, "")
	}
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); ; {
		var line struct {
			Done, Total int64
			Ready       bool
			Problem     *struct{ Message string }
		}
		if err := lines.Decode(&line); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return platformf("try again", "the server ended the fetch half-way: %w", err)
		}
		switch {
		case line.Problem != nil:
			return platformf("", "%s", printable(line.Problem.Message))
		case line.Ready:
			return nil
		}
		progress(line.Done, line.Total)
	}
}

func (r serverShelf) remove(ctx context.Context, identifier string) error {
	resp, err := r.s.Call(ctx, http.MethodDelete, []string{"_kiln", "v1", "runtimes", identifier}, nil)
	if err != nil {
		return r.s.explain(err, "")
	}
	return resp.Body.Close()
}

func (r serverShelf) close() error { return nil }
