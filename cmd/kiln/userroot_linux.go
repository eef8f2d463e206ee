package main

import (
	"context"
	"errors"
	"fmt"

	"kiln"
	"kiln/door/auth/accounts"
)

// resetRoot gives the root of the server's own account a new key and takes its old ones
// away, in a data directory that no server uses: for whoever has lost them and can read
// the disk anyway.
func resetRoot(ctx context.Context, w world, dir string) (err error) {
	lock, err := takeLock(dir)
	if err != nil {
		return heldByOther(err)
	}
	defer func() { err = errors.Join(err, lock.close()) }()
	book, shut, err := openBook(ctx, dir)
	if err != nil {
		return platformf("", "accounts in %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, shut()) }()
	if book.HasUser(kiln.DefaultAccount, accounts.RootName) {
		if err := book.DeleteUser(ctx, kiln.DefaultAccount, accounts.RootName); err != nil {
			return err
		}
	}
	_, key, err := book.CreateUser(ctx, kiln.DefaultAccount, accounts.RootName)
	if err != nil {
		return err
	}
	fmt.Fprintln(w.talk, "Every older root key is refused from now on.")
	showKey(w.out, userKey{ID: key.AccessKeyID, Secret: key.SecretAccessKey})
	return nil
}
