package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"kiln/client"
)

const (
	defaultEndpoint = "http://127.0.0.1:4566"
	defaultAccount  = "000000000000"
	defaultRegion   = "us-east-1"
)

// server is a running kiln as the client commands see it: one endpoint, as one
// account in one region.
type server struct {
	*client.Client
	endpoint, account, region string
	keyed                     bool // signs with a key of a user
}

// serverFlags gives a command the flags that say which server is meant. open makes
// the connection's settings; nothing is sent yet.
func serverFlags(w world, cmd *cobra.Command) (open func() (*server, error)) {
	endpoint := cmd.Flags().String("endpoint-url", "", "`URL` of the server (KILN_ENDPOINT, AWS_ENDPOINT_URL; default "+defaultEndpoint+")")
	account := cmd.Flags().String("account", "", "account of the function, `12 DIGITS` (KILN_ACCOUNT; default "+defaultAccount+")")
	region := cmd.Flags().String("region", "", "`REGION` of the function (KILN_REGION, AWS_REGION; default "+defaultRegion+")")
	return func() (*server, error) {
		return newServer(w, *endpoint, *account, *region)
	}
}

// newServer settles endpoint, account and region: what is given, then variables,
// then the defaults.
func newServer(w world, endpoint, account, region string) (*server, error) {
	s := &server{
		endpoint: first(w, endpoint, defaultEndpoint, "KILN_ENDPOINT", "AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"),
		account:  first(w, account, defaultAccount, "KILN_ACCOUNT"),
		region:   first(w, region, defaultRegion, "KILN_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
	}
	if len(s.account) != 12 || strings.Trim(s.account, "0123456789") != "" {
		return nil, usagef("account %q: 12 digits are expected", s.account)
	}
	keys, err := s.credentials(w, account)
	if err != nil {
		return nil, err
	}
	s.Client, err = client.New(s.endpoint,
		client.WithCredentials(keys),
		client.WithUserAgent("kiln/"+versionText()))
	if err != nil {
		return nil, &failure{code: exitUsage, err: err}
	}
	return s, nil
}

// credentials gives what requests are signed with: a key of a user of the server, when
// one is in the variables, else the account's number, which is enough where the server
// checks nothing. KILN_ variables come before those of AWS, whose key is taken as that of
// a user only when no account was named and it is none itself.
func (s *server) credentials(w world, account string) (client.Credentials, error) {
	c := client.Credentials{AccessKeyID: s.account, SecretAccessKey: "kiln", Region: s.region}
	named := account != ""
	if _, ok := w.env("KILN_ACCOUNT"); ok {
		named = true
	}
	for _, prefix := range []string{"KILN_", "AWS_"} {
		id, _ := w.env(prefix + "ACCESS_KEY_ID")
		secret, _ := w.env(prefix + "SECRET_ACCESS_KEY")
		isUser := strings.HasPrefix(id, "AKIA") || strings.HasPrefix(id, "ASIA")
		switch {
		case prefix == "AWS_" && (named || !isUser || secret == ""), id == "" && secret == "":
			continue
		case id == "" || secret == "":
			return c, usagef("KILN_ACCESS_KEY_ID and KILN_SECRET_ACCESS_KEY belong together: one of them is not set")
		}
		c.AccessKeyID, c.SecretAccessKey, s.keyed = id, secret, true
		c.SessionToken, _ = w.env(prefix + "SESSION_TOKEN")
		break
	}
	return c, nil
}

// resolve makes account that of the key that requests are signed with.
func (s *server) resolve(ctx context.Context) error {
	if !s.keyed {
		return nil
	}
	var about struct{ Account string }
	if err := s.get(ctx, nil, &about, "version"); err != nil {
		return err
	}
	s.account = about.Account
	return nil
}

// first gives the value, or that of the first variable that is set, or the default.
func first(w world, value, otherwise string, variables ...string) string {
	for _, name := range variables {
		if value == "" {
			value, _ = w.env(name)
		}
	}
	if value == "" {
		return otherwise
	}
	return value
}

// get reads one of kiln's own routes, below /_kiln/v1/, into out.
func (s *server) get(ctx context.Context, query url.Values, out any, path ...string) error {
	resp, err := s.Call(ctx, http.MethodGet, append([]string{"_kiln", "v1"}, path...), query)
	if err != nil {
		return s.explain(err, "")
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return platformf("is it kiln? --endpoint-url names another", "%s gave an answer that cannot be read: %w", s.endpoint, err)
	}
	return nil
}

// explain turns an error of the client into one that says what to do. function is
// the name that the command was about, "" when it was about none.
func (s *server) explain(err error, function string) error {
	var refusal *client.Error
	var dial *net.OpError
	var said *failure
	switch {
	case err == nil || errors.Is(err, context.Canceled) || errors.As(err, &said):
		return err
	case errors.As(err, &refusal):
		return s.refused(refusal, function)
	case errors.As(err, &dial) && dial.Op == "dial":
		return platformf("start one with `sudo kiln serve`, or name another with --endpoint-url or KILN_ENDPOINT", "no server answers at %s (%w)", s.endpoint, dial.Err)
	case strings.Contains(err.Error(), "certificate"):
		return platformf("name the certificate of its authority in SSL_CERT_FILE", "%s: %w", s.endpoint, err)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return platformf("its URL begins with http://", "%s does not speak TLS", s.endpoint)
	}
	return platformf("", "%s: %w", s.endpoint, err)
}

// refused explains an answer of the API that says no.
func (s *server) refused(e *client.Error, function string) error {
	where := fmt.Sprintf("account %s, region %s", s.account, s.region)
	todo := ""
	switch e.Code {
	case "ResourceNotFoundException":
		if function != "" {
			what := fmt.Sprintf("no function %s in %s", function, where)
			if strings.Contains(e.Message, ":function:"+function+":") {
				what += " with that version or alias"
			}
			return &failure{code: exitPlatform, what: what, todo: "kiln ls shows what is there", err: nil}
		}
	case "TooManyRequestsException":
		what := "the server is at a limit"
		if e.Reason != "" {
			what += " (" + e.Reason + ")"
		}
		return &failure{code: exitPlatform, what: what, err: errors.New(e.Message), todo: "try again in a moment"}
	case "MissingAuthenticationTokenException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException":
		todo = "set KILN_ACCESS_KEY_ID and KILN_SECRET_ACCESS_KEY to a key of this server; kiln user create makes one"
	case "HTTP400":
		if strings.Contains(e.Message, "to an HTTPS server") {
			return platformf("its URL begins with https://", "%s speaks TLS", s.endpoint)
		}
	case "HTTP404":
		todo = "is " + s.endpoint + " a kiln server?"
	}
	text := e.Message
	if text == "" {
		text = "no reason was given"
	}
	return platformf(todo, "%s (%s, HTTP %d)", printable(text), e.Code, e.Status)
}

// value gives what a member holds, or its zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// orNil gives a pointer to v, or nil for the zero value, which is not sent.
func orNil[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
