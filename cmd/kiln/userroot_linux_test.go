package main

import (
	"strings"
	"testing"

	"kiln"
)

func TestALostRootKeyIsReplacedWhereNoServerRuns(t *testing.T) {
	dir := t.TempDir()
	read := func() (id, secret string) {
		t.Helper()
		got := runKiln(t, nil, "", "user", "reset-root", "--data-dir", dir)
		lines := strings.Fields(got.out)
		if got.code != 0 || len(lines) != 2 {
			t.Fatalf("got %+v", got)
		}
		return strings.TrimPrefix(lines[0], "AWS_ACCESS_KEY_ID="), strings.TrimPrefix(lines[1], "AWS_SECRET_ACCESS_KEY=")
	}
	old, _ := read()
	id, secret := read()
	book, shut, err := openBook(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := book.Key(id, ""); err != nil || k.Secret != secret || !k.Caller.IsRoot() || k.Caller.Account != kiln.DefaultAccount {
		t.Errorf("got %+v, %v", k, err)
	}
	if _, err := book.Key(old, ""); err == nil {
		t.Error("the older key is still good")
	}
	if book.RoleByARN("arn:aws:iam::"+kiln.DefaultAccount+":role/kiln") == nil {
		t.Error("the account has no role for functions")
	}
	if err := shut(); err != nil {
		t.Fatal(err)
	}
	lock, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.close()
	if got := runKiln(t, nil, "", "user", "reset-root", "--data-dir", dir); got.code != exitPlatform || !strings.Contains(got.talk, "in use") {
		t.Errorf("where a server runs: %+v", got)
	}
}
