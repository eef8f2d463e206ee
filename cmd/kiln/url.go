package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"kiln/client"
)

// urlCommand is `kiln url`.
func urlCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "url",
		Short: "Give functions web addresses",
		Long: `Give functions web addresses. A function with an address is called by any HTTP request
that is sent there; it gets the request as an event and its answer becomes that of HTTP.`,
		RunE: needSubcommand,
	}
	cmd.AddCommand(urlCreateCommand(w), urlLsCommand(w), urlRmCommand(w))
	return cmd
}

// The permissions that let everybody call an address without authorization, as AWS's own
// console names them. They are statements of the policy of the function.
var publicAccess = []client.AddPermissionRequest{
	{StatementId: orNil("FunctionURLAllowPublicAccess"), Action: orNil("lambda:InvokeFunctionUrl"), Principal: orNil("*"), FunctionUrlAuthType: orNil("NONE")},
	{StatementId: orNil("FunctionURLInvokeAllowPublicAccess"), Action: orNil("lambda:InvokeFunction"), Principal: orNil("*"), InvokedViaFunctionUrl: orNil(true)},
}

// urlCreateCommand is `kiln url create`.
func urlCreateCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Give a function or an alias an address",
		Long: `Give a function or an alias an address, and print it. Everybody who can reach the server
may call it: the permissions for that are added to the function's policy. With --auth AWS_IAM
only signed requests are answered, and no permission is added.`,
		Example: "  kiln url create hello\n  kiln url create chat --stream\n  kiln url create api --qualifier live --allow-origin https://example.com",
		Args:    exactly("the name of a function"),
	}
	open := serverFlags(w, cmd)
	qualifier := cmd.Flags().String("qualifier", "", "`ALIAS` that the address leads to (default the function itself)")
	stream := cmd.Flags().Bool("stream", false, "send the answer while the function writes it")
	auth := cmd.Flags().String("auth", "NONE", "who may call it: `NONE|AWS_IAM`; NONE is everybody")
	origins := cmd.Flags().StringArray("allow-origin", nil, "`ORIGIN` whose pages may call it, * for all; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *auth != "NONE" && *auth != "AWS_IAM" {
			return usagef("--auth %q: NONE or AWS_IAM is expected", *auth)
		}
		s, err := open()
		if err != nil {
			return err
		}
		in := &client.CreateFunctionUrlConfigRequest{FunctionName: args[0], Qualifier: orNil(*qualifier), AuthType: auth, InvokeMode: orNil(invokeMode(*stream))}
		if *origins != nil {
			in.Cors = &client.Cors{AllowOrigins: *origins, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}}
		}
		made, err := s.CreateFunctionUrlConfig(cmd.Context(), in)
		if err == nil && *auth == "NONE" {
			err = s.letEverybodyIn(cmd.Context(), args[0], *qualifier)
		}
		if err != nil {
			return s.explain(err, args[0])
		}
		_, err = fmt.Fprintln(w.out, printable(value(made.FunctionUrl)))
		return err
	}
	return cmd
}

// invokeMode names how an address answers.
func invokeMode(stream bool) string {
	if stream {
		return "RESPONSE_STREAM"
	}
	return "BUFFERED"
}

// letEverybodyIn adds the permissions of an address without authorization, where they are
// not yet.
func (s *server) letEverybodyIn(ctx context.Context, name, qualifier string) error {
	for _, p := range publicAccess {
		p.FunctionName, p.Qualifier = name, orNil(qualifier)
		if _, err := s.AddPermission(ctx, &p); err != nil && !isRefusal(err, http.StatusConflict) {
			return err
		}
	}
	return nil
}

// keepEverybodyOut takes those permissions away, where they are.
func (s *server) keepEverybodyOut(ctx context.Context, name, qualifier string) error {
	for _, p := range publicAccess {
		err := s.RemovePermission(ctx, &client.RemovePermissionRequest{FunctionName: name, Qualifier: orNil(qualifier), StatementId: *p.StatementId})
		if err != nil && !isRefusal(err, http.StatusNotFound) {
			return err
		}
	}
	return nil
}

// isRefusal reports whether the API answered with a status.
func isRefusal(err error, status int) bool {
	var refusal *client.Error
	return errors.As(err, &refusal) && refusal.Status == status
}

// urlLsCommand is `kiln url ls`.
func urlLsCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls NAME",
		Aliases: []string{"list"},
		Short:   "List the addresses of a function and its aliases",
		Example: "  kiln url ls hello",
		Args:    exactly("the name of a function"),
	}
	open := serverFlags(w, cmd)
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
		list := []client.FunctionUrlConfig{}
		in := &client.ListFunctionUrlConfigsRequest{FunctionName: args[0]}
		for more := true; more; more = value(in.Marker) != "" {
			page, err := s.ListFunctionUrlConfigs(cmd.Context(), in)
			if err != nil {
				return s.explain(err, args[0])
			}
			list = append(list, page.FunctionUrlConfigs...)
			in.Marker = page.NextMarker
		}
		if form == "json" {
			return printJSON(w.out, list)
		}
		if len(list) == 0 {
			fmt.Fprintf(w.talk, "%s has no address; kiln url create %s gives it one.\n", args[0], args[0])
			return nil
		}
		rows := [][]string{{"URL", "FOR", "AUTH", "MODE"}}
		for _, u := range list {
			rows = append(rows, []string{printable(value(u.FunctionUrl)), printable(value(u.FunctionArn)), value(u.AuthType), value(u.InvokeMode)})
		}
		return printTable(w.out, rows)
	}
	return cmd
}

// urlRmCommand is `kiln url rm`.
func urlRmCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rm NAME",
		Aliases: []string{"remove", "delete"},
		Short:   "Take the address of a function or an alias away, with the permissions that everybody had",
		Example: "  kiln url rm hello",
		Args:    exactly("the name of a function"),
	}
	open := serverFlags(w, cmd)
	qualifier := cmd.Flags().String("qualifier", "", "`ALIAS` that the address leads to (default the function itself)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := open()
		if err != nil {
			return err
		}
		err = s.DeleteFunctionUrlConfig(cmd.Context(), &client.DeleteFunctionUrlConfigRequest{FunctionName: args[0], Qualifier: orNil(*qualifier)})
		if err == nil {
			err = s.keepEverybodyOut(cmd.Context(), args[0], *qualifier)
		}
		return s.explain(err, args[0])
	}
	return cmd
}

// The values of the setting url of a function.
const (
	urlBuffered = "buffered"
	urlStream   = "stream"
	urlOff      = "off"
)

// urlWish reads the setting url.
func urlWish(f *function, s string) error {
	switch s {
	case urlBuffered, urlStream, urlOff:
		f.URL = s
		return nil
	}
	return errors.New("buffered, stream or off is expected")
}

// settleURL gives a function the address that its settings say, changes how it answers, or
// takes it away. What else was set of an address stays. It returns the address, "" for none.
func (d *deployment) settleURL(ctx context.Context) (string, error) {
	f := d.function
	if f.URL == "" {
		return "", nil
	}
	have, err := d.GetFunctionUrlConfig(ctx, &client.GetFunctionUrlConfigRequest{FunctionName: f.Name})
	switch {
	case isRefusal(err, http.StatusNotFound):
		have = nil
	case err != nil:
		return "", err
	}
	mode := invokeMode(f.URL == urlStream)
	switch {
	case f.URL == urlOff && have == nil:
		return "", nil
	case f.URL == urlOff:
		if err := d.DeleteFunctionUrlConfig(ctx, &client.DeleteFunctionUrlConfigRequest{FunctionName: f.Name}); err != nil {
			return "", err
		}
		return "", d.keepEverybodyOut(ctx, f.Name, "")
	case have == nil:
		made, err := d.CreateFunctionUrlConfig(ctx, &client.CreateFunctionUrlConfigRequest{FunctionName: f.Name, AuthType: orNil("NONE"), InvokeMode: &mode})
		if err != nil {
			return "", err
		}
		return value(made.FunctionUrl), d.letEverybodyIn(ctx, f.Name, "")
	case value(have.InvokeMode) != mode:
		if _, err := d.UpdateFunctionUrlConfig(ctx, &client.UpdateFunctionUrlConfigRequest{FunctionName: f.Name, InvokeMode: &mode}); err != nil {
			return "", err
		}
	}
	return value(have.FunctionUrl), nil
}
