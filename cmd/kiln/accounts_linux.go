package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"kiln"
	"kiln/back/sealed"
	"kiln/back/sqlite"
	"kiln/door/api"
	"kiln/door/auth"
	"kiln/door/auth/accounts"
	"kiln/door/services/iam"
	cloudwatch "kiln/door/services/logs"
	"kiln/door/services/sqs"
	"kiln/door/services/sts"
	"kiln/engine/async"
	"kiln/engine/catalog"
)

// ledger is a store in the words of the accounts.
type ledger struct{ *sqlite.Store }

var _ accounts.Store = ledger{}

// Scan is accounts.Store.
func (l ledger) Scan(ctx context.Context, prefix string, f func(accounts.Record) error) error {
	return l.Store.Scan(ctx, prefix, func(r catalog.Record) error { return f(accounts.Record(r)) })
}

// Commit is accounts.Store.
func (l ledger) Commit(ctx context.Context, writes []accounts.Write) ([]uint64, error) {
	out := make([]catalog.Write, len(writes))
	for i, w := range writes {
		out[i] = catalog.Write(w)
	}
	return l.Store.Commit(ctx, out)
}

// openBook opens the accounts of a data directory. The result closes their store.
func openBook(ctx context.Context, dir string) (*accounts.Book, func() error, error) {
	key, err := accounts.OpenKey(filepath.Join(dir, "auth.key"))
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlite.Open(ctx, filepath.Join(dir, "accounts.db"))
	if err != nil {
		return nil, nil, err
	}
	book, err := accounts.Open(ctx, accounts.Options{Store: ledger{store}, Key: key})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return book, store.Close, nil
}

// records gives the store of functions, with what is said of versions encrypted: their
// variables are among it. One invocation without a server keeps nothing.
func (s *stack) records(o stackOptions) (catalog.Store, error) {
	if o.sink != nil {
		return s.store, nil
	}
	key, err := accounts.OpenKey(filepath.Join(o.dataDir, "auth.key"))
	if err != nil {
		return nil, err
	}
	return sealed.New(s.store, key, "v/")
}

// openAccounts opens the accounts of a server, and the gate that asks them when it is
// to. One invocation without a server has neither.
func (s *stack) openAccounts(ctx context.Context, o stackOptions) error {
	options := auth.Options{Organization: s.config.Organization}
	if o.sink == nil {
		book, shut, err := openBook(ctx, o.dataDir)
		if err != nil {
			return err
		}
		s.accounts = book
		s.addCloser("accounts", shut)
		if s.config.Auth == "on" {
			options.Keys = book
		}
	}
	var err error
	s.gate, err = auth.New(options)
	return err
}

// functionCredentials gives what environments sign with: sessions of their roles, where
// signatures are checked.
func (s *stack) functionCredentials() func(kiln.FunctionID, string) (string, string, string, bool) {
	if !s.gate.Verifies() {
		return nil
	}
	return func(f kiln.FunctionID, role string) (keyID, secret, token string, ok bool) {
		c, ok := s.accounts.Function(f, role)
		return c.AccessKeyID, c.SecretAccessKey, c.SessionToken, ok
	}
}

// greetRoot gives a server that checks signatures its first key, and shows it this once.
func (s *stack) greetRoot(ctx context.Context, w world) error {
	account := s.gate.Home().Account
	if !s.gate.Verifies() || s.accounts.HasUser(account, accounts.RootName) {
		return nil
	}
	_, key, err := s.accounts.CreateUser(ctx, account, accounts.RootName)
	if err != nil {
		return fmt.Errorf("make the first key: %w", err)
	}
	showRoot(w.talk, account, key)
	return nil
}

// showRoot writes the credentials of an account's root.
func showRoot(out io.Writer, account string, c accounts.Credentials) {
	fmt.Fprintf(out, "The root credentials of account %s, shown this once and kept nowhere in the clear:\n  AWS_ACCESS_KEY_ID=%s\n  AWS_SECRET_ACCESS_KEY=%s\n",
		account, c.AccessKeyID, c.SecretAccessKey)
}

// neighbours are the services on the port beside Lambda.
func (s *stack) neighbours() map[string]api.Service {
	if s.accounts == nil {
		return nil
	}
	return map[string]api.Service{
		"iam":  iam.New(s.accounts, s.gate, s.log),
		"logs": cloudwatch.New(cloudwatch.Options{Store: eventStore{s.logs}, Gate: s.gate, Log: s.log}),
		"sqs":  sqs.New(sqs.Options{Book: s.messages, Gate: s.gate, Log: s.log}),
		"sts":  sts.New(s.accounts, s.gate, s.log),
	}
}

// mayDeliver says whether the role of a function lets it call another, to which what
// became of its event is to be given: nil, or why not. Between accounts the other's
// policy must let it in, too.
func (s *stack) mayDeliver(from *async.Event, to kiln.Reference) error {
	if !s.gate.Verifies() {
		return nil
	}
	v, err := s.catalog.Version(from.Function, from.Qualifier)
	if err != nil {
		return err
	}
	caller := s.accounts.Session(from.Function, v.Config.Role)
	if caller == nil {
		return kiln.Errorf(kiln.Invalid, "the role %s of the function is not there, so that it may call nothing", v.Config.Role)
	}
	policy, err := auth.NewResources(s.catalog.Policy).Of(to.ID, to.Qualifier)
	if err != nil {
		return err
	}
	if err := s.gate.Judge(auth.Identity{Scope: from.Function.Scope, Principal: caller.ARN, Caller: caller}, nil, auth.Act{
		Action: "lambda:InvokeFunction", Resource: to.ID.QualifiedARN(to.Qualifier), Owner: to.ID.Account, Policy: policy,
	}); err != nil {
		return kiln.Errorf(kiln.Invalid, "%w", err)
	}
	return nil
}
