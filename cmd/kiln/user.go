package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// userEntry is a user as the server tells of it.
type userEntry struct {
	Account  string            `json:"account"`
	Name     string            `json:"name"`
	ARN      string            `json:"arn"`
	Created  time.Time         `json:"created"`
	Keys     []userKey         `json:"keys"`
	Policies map[string]string `json:"policies,omitempty"`
	Attached []string          `json:"attached,omitempty"`
}

// userKey is an access key; the secret is there once, when it was made.
type userKey struct {
	ID      string    `json:"accessKeyId"`
	Secret  string    `json:"secretAccessKey,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

// userCommand is `kiln user`.
func userCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Manage who may use a server: users, access keys, policies",
		Long: `Manage who may use a server that was started with --auth on: users, their access keys
and their policies, which are those of IAM. The commands sign with KILN_ACCESS_KEY_ID
and KILN_SECRET_ACCESS_KEY (else AWS_…); the first ones are shown when such a server
starts for the first time. A secret is shown once, when it is made.

The name root is the account itself: it may do everything in it. A user without
policies may do nothing.`,
		Example: "  kiln user create ann --attach AWSLambda_FullAccess\n  kiln user policy put ann invoke policy.json",
		RunE:    needSubcommand,
	}
	cmd.AddCommand(userCreateCommand(w), userListCommand(w), userRemoveCommand(w), userKeyCommand(w), userPolicyCommand(w), userResetCommand(w))
	return cmd
}

// userFlags gives a command the flags of a server and the account whose users are meant.
func userFlags(w world, cmd *cobra.Command) (open func() (*server, url.Values, error)) {
	endpoint := cmd.Flags().String("endpoint-url", "", "`URL` of the server (KILN_ENDPOINT, AWS_ENDPOINT_URL; default "+defaultEndpoint+")")
	account := cmd.Flags().String("account", "", "account of the user, `12 DIGITS` (default that of the key you sign with)")
	return func() (*server, url.Values, error) {
		s, err := newServer(w, *endpoint, "", "")
		query := url.Values{}
		if *account != "" {
			query.Set("account", *account)
		}
		return s, query, err
	}
}

// send makes one request about users and reads its answer into out, when it is not nil.
func (s *server) send(ctx context.Context, method string, query url.Values, body []byte, out any, path ...string) error {
	resp, err := s.SendTo(ctx, method, append([]string{"_kiln", "v1", "users"}, path...), query, body)
	if err != nil {
		return s.explain(err, "")
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return platformf("is it kiln? --endpoint-url names another", "%s gave an answer that cannot be read: %w", s.endpoint, err)
	}
	return nil
}

func userCreateCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a user with an access key, and show its secret this once",
		Example: "  kiln user create ann --attach AWSLambda_FullAccess\n  kiln user create ci --policy deploy=policy.json\n  kiln user create root --account 111122223333",
		Args:    exactly("the name of a user"),
	}
	open := userFlags(w, cmd)
	format := outputFlag(w, cmd)
	attach := cmd.Flags().StringSlice("attach", nil, "managed policy, by `NAME` (AdministratorAccess, AWSLambda_FullAccess, …) or ARN; may be repeated")
	inline := cmd.Flags().StringSlice("policy", nil, "inline policy `NAME=FILE`; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := format()
		if err != nil {
			return err
		}
		s, query, err := open()
		if err != nil {
			return err
		}
		in := struct {
			Name     string            `json:"name"`
			Policies map[string]string `json:"policies,omitempty"`
			Attached []string          `json:"attached,omitempty"`
		}{Name: args[0], Policies: map[string]string{}}
		for _, p := range *inline {
			name, file, ok := strings.Cut(p, "=")
			if !ok {
				return usagef("--policy %s: NAME=FILE is expected", p)
			}
			text, err := readPolicyFile(w, file)
			if err != nil {
				return err
			}
			in.Policies[name] = string(text)
		}
		for _, a := range *attach {
			in.Attached = append(in.Attached, policyARN(a))
		}
		body, err := json.Marshal(in)
		if err != nil {
			return err
		}
		var u userEntry
		if err := s.send(cmd.Context(), http.MethodPost, query, body, &u); err != nil {
			return err
		}
		if form == "json" {
			return printJSON(w.out, u)
		}
		fmt.Fprintf(w.talk, "%s may sign now; the secret is shown this once:\n", u.ARN)
		for _, k := range u.Keys {
			showKey(w.out, k)
		}
		if len(u.Policies)+len(u.Attached) == 0 && u.Name != "root" {
			fmt.Fprintf(w.talk, "It has no policies, and may do nothing: kiln user policy attach %s AWSLambda_FullAccess\n", u.Name)
		}
		return nil
	}
	return cmd
}

// showKey writes an access key as variables that a shell reads.
func showKey(out io.Writer, k userKey) {
	fmt.Fprintf(out, "AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", k.ID, k.Secret)
}

// policyARN gives the ARN of a managed policy; a name alone is one of AWS's.
func policyARN(name string) string {
	switch {
	case strings.HasPrefix(name, "arn:"):
		return name
	case strings.HasSuffix(name, "Role") && strings.HasPrefix(name, "AWSLambda"), strings.HasSuffix(name, "RolePolicy"):
		return "arn:aws:iam::aws:policy/service-role/" + name
	}
	return "arn:aws:iam::aws:policy/" + name
}

// readPolicyFile reads a policy; - is the standard input.
func readPolicyFile(w world, file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if file == "-" {
		text, err = io.ReadAll(w.in)
	}
	if err != nil {
		return nil, usagef("policy: %w", err)
	}
	return text, nil
}

func userListCommand(w world) *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "List users with their keys and policies", Example: "  kiln user ls\n  kiln user ls --account 111122223333", Args: exactly()}
	open := userFlags(w, cmd)
	format := outputFlag(w, cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		form, err := format()
		if err != nil {
			return err
		}
		s, query, err := open()
		if err != nil {
			return err
		}
		list := []userEntry{}
		if err := s.get(cmd.Context(), query, &list, "users"); err != nil {
			return err
		}
		if form == "json" {
			return printJSON(w.out, list)
		}
		rows := [][]string{{"USER", "KEYS", "POLICIES", "CREATED"}}
		for _, u := range list {
			var keys, policies []string
			for _, k := range u.Keys {
				keys = append(keys, k.ID)
			}
			for n := range u.Policies {
				policies = append(policies, n)
			}
			for _, arn := range u.Attached {
				policies = append(policies, arn[strings.LastIndexByte(arn, '/')+1:])
			}
			sort.Strings(policies)
			if u.Name == "root" {
				policies = []string{"(everything)"}
			}
			rows = append(rows, []string{printable(u.Name), strings.Join(keys, ","), printable(strings.Join(policies, ",")), u.Created.Format(time.DateOnly)})
		}
		return printTable(w.out, rows)
	}
	return cmd
}

func userRemoveCommand(w world) *cobra.Command {
	return userChange(w, "rm NAME", "Remove a user with its keys and policies", "  kiln user rm ann", []string{"the name of a user"},
		func(ctx context.Context, s *server, query url.Values, args []string) error {
			return s.send(ctx, http.MethodDelete, query, nil, nil, args[0])
		})
}

// userChange makes a command that changes something of a user and says nothing.
func userChange(w world, use, short, example string, names []string, run func(context.Context, *server, url.Values, []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: exactly(names...)}
	open := userFlags(w, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, query, err := open()
		if err != nil {
			return err
		}
		return run(cmd.Context(), s, query, args)
	}
	return cmd
}

// userResetCommand is `kiln user reset-root`.
func userResetCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "reset-root", Short: "Replace lost root keys, in a data directory that no server uses",
		Long: `Give the root of account 000000000000 a new key and take its older ones away. The server
must be stopped: this works on its data directory, for whoever may read that.`,
		Example: "  sudo kiln user reset-root\n  kiln user reset-root --data-dir /srv/kiln", Args: exactly(),
	}
	given := settingFlags(w, cmd, "data-dir")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, _, err := load(w, given())
		if err != nil {
			return err
		}
		return resetRoot(cmd.Context(), w, c.DataDir)
	}
	return cmd
}

// userKeyCommand is `kiln user key`.
func userKeyCommand(w world) *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Make and remove access keys", RunE: needSubcommand}
	cmd.AddCommand(
		userChange(w, "create NAME", "Make one more access key, and show its secret this once", "  kiln user key create ann", []string{"the name of a user"},
			func(ctx context.Context, s *server, query url.Values, args []string) error {
				var k userKey
				if err := s.send(ctx, http.MethodPost, query, nil, &k, args[0], "keys"); err != nil {
					return err
				}
				showKey(w.out, k)
				return nil
			}),
		userChange(w, "rm NAME KEY", "Remove an access key: it is refused from then on", "  kiln user key rm ann AKIA0123456789ABCDEF", []string{"the name of a user", "the id of a key"},
			func(ctx context.Context, s *server, query url.Values, args []string) error {
				return s.send(ctx, http.MethodDelete, query, nil, nil, args[0], "keys", args[1])
			}),
	)
	return cmd
}

// userPolicyCommand is `kiln user policy`.
func userPolicyCommand(w world) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Set what users may do", RunE: needSubcommand}
	attached := func(method string) func(context.Context, *server, url.Values, []string) error {
		return func(ctx context.Context, s *server, query url.Values, args []string) error {
			query.Set("arn", policyARN(args[1]))
			return s.send(ctx, method, query, nil, nil, args[0], "attached")
		}
	}
	user, policy := "the name of a user", "the name of a policy"
	cmd.AddCommand(
		userChange(w, "put NAME POLICY FILE", "Set an inline policy from a file; - is the standard input", "  kiln user policy put ann invoke policy.json", []string{user, policy, "a file"},
			func(ctx context.Context, s *server, query url.Values, args []string) error {
				text, err := readPolicyFile(w, args[2])
				if err != nil {
					return err
				}
				return s.send(ctx, http.MethodPut, query, text, nil, args[0], "policies", args[1])
			}),
		userChange(w, "rm NAME POLICY", "Remove an inline policy", "  kiln user policy rm ann invoke", []string{user, policy},
			func(ctx context.Context, s *server, query url.Values, args []string) error {
				return s.send(ctx, http.MethodDelete, query, nil, nil, args[0], "policies", args[1])
			}),
		userChange(w, "attach NAME POLICY", "Attach a managed policy, by name or ARN", "  kiln user policy attach ann AWSLambda_FullAccess", []string{user, policy}, attached(http.MethodPut)),
		userChange(w, "detach NAME POLICY", "Detach a managed policy", "  kiln user policy detach ann AWSLambda_FullAccess", []string{user, policy}, attached(http.MethodDelete)),
	)
	return cmd
}
