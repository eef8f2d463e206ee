package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

	"kiln"
	"kiln/engine/catalog"
)

const (
	// schema is what this program writes and the highest that it reads.
	schema = 1
	// application is "kiln": the file says whose it is.
	application = 0x6b696c6e
)

const tables = `
CREATE TABLE records (
	key      TEXT PRIMARY KEY,
	revision INTEGER NOT NULL,
	value    BLOB NOT NULL,
	sum      BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE state (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	id       TEXT NOT NULL,
	revision INTEGER NOT NULL,
	count    INTEGER NOT NULL,
	digest   BLOB NOT NULL,
	sum      BLOB NOT NULL
);`

// checksum is a half SHA-256: against damage and chance, not against an attacker
// who can write the file.
type checksum [16]byte

// mix adds a record's checksum to that of all, or takes it out: the order does not
// matter.
func (c *checksum) mix(one checksum) {
	for i := range c {
		c[i] ^= one[i]
	}
}

func recordSum(key string, revision uint64, value []byte) checksum {
	h := sha256.New()
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], revision)
	binary.BigEndian.PutUint64(n[8:], uint64(len(key)))
	h.Write(n[:])
	h.Write([]byte(key))
	h.Write(value)
	return checksum(h.Sum(nil))
}

func (s state) sum() checksum {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d %d %x", s.id, s.revision, s.count, s.digest)
	return checksum(h.Sum(nil))
}

// prepareFile makes the tables of a new file, or checks all of an old one against
// its checksums and its mark, and gives its state.
func prepareFile(ctx context.Context, conn *sql.Conn, known *mark) (state, error) {
	var version, app, objects int64
	for _, q := range []struct {
		text string
		to   *int64
	}{{"PRAGMA user_version", &version}, {"PRAGMA application_id", &app}, {"SELECT count(*) FROM sqlite_schema", &objects}} {
		if err := conn.QueryRowContext(ctx, q.text).Scan(q.to); err != nil {
			return state{}, err
		}
	}
	switch {
	case version == 0 && app == 0 && objects == 0 && known == nil:
		return create(ctx, conn)
	case app != application:
		return state{}, fmt.Errorf("%w: it is not a file of kiln", ErrDamaged)
	case version > schema:
		return state{}, fmt.Errorf("%w: it has schema %d and this program reads up to %d; start that kiln, or restore the backup made before the upgrade", ErrNewer, version, schema)
	case version != schema:
		return state{}, fmt.Errorf("%w: schema %d has never been", ErrDamaged, version)
	}
	s, err := verify(ctx, conn)
	if err != nil {
		return state{}, err
	}
	return s, known.agrees(s)
}

func create(ctx context.Context, conn *sql.Conn) (state, error) {
	s := state{id: kiln.NewID()}
	sum := s.sum()
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode(WAL)").Scan(&mode); err != nil {
		return state{}, err
	}
	if mode != "wal" {
		return state{}, fmt.Errorf("the file system does not support a write-ahead log (mode %s)", mode)
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return state{}, err
	}
	defer func() { _ = tx.Rollback() }() // has no effect after Commit
	for _, text := range []string{tables, fmt.Sprintf("PRAGMA application_id = %d", application), fmt.Sprintf("PRAGMA user_version = %d", schema)} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return state{}, err
		}
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO state VALUES (1, ?, 0, 0, ?, ?)`, s.id, s.digest[:], sum[:]); err != nil {
		return state{}, err
	}
	return s, tx.Commit()
}

// verify reads the whole file and compares it with what it says about itself.
func verify(ctx context.Context, conn *sql.Conn) (state, error) {
	var verdict string
	if err := conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return state{}, err
	}
	if verdict != "ok" {
		return state{}, fmt.Errorf("%w: %s", ErrDamaged, verdict)
	}
	var s state
	var revision int64
	var digest, sum []byte
	err := conn.QueryRowContext(ctx, `SELECT id, revision, count, digest, sum FROM state`).Scan(&s.id, &revision, &s.count, &digest, &sum)
	if errors.Is(err, sql.ErrNoRows) {
		return state{}, fmt.Errorf("%w: it does not say what it holds", ErrDamaged)
	}
	if err != nil {
		return state{}, err
	}
	s.revision = uint64(revision)
	copy(s.digest[:], digest)
	if want := s.sum(); string(want[:]) != string(sum) {
		return state{}, fmt.Errorf("%w: what it says about itself has a wrong checksum", ErrDamaged)
	}
	found := state{id: s.id, revision: s.revision}
	err = scan(ctx, conn, "", func(r catalog.Record, sum checksum) error {
		found.count++
		found.digest.mix(sum)
		return nil
	})
	if err != nil {
		return state{}, err
	}
	if found != s {
		return state{}, fmt.Errorf("%w: it holds %d records of %d, or other ones than were written", ErrDamaged, found.count, s.count)
	}
	return s, nil
}

// queryer is a connection or a pool of them.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// scan calls f for every record that begins with prefix, after it checked it.
func scan(ctx context.Context, from queryer, prefix string, f func(catalog.Record, checksum) error) error {
	rows, err := from.QueryContext(ctx, `SELECT key, revision, value, sum FROM records WHERE key >= ? ORDER BY key`, prefix)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r catalog.Record
		var revision int64
		var raw []byte
		if err := rows.Scan(&r.Key, &revision, &r.Value, &raw); err != nil {
			return err
		}
		if len(r.Key) < len(prefix) || r.Key[:len(prefix)] != prefix {
			break // the keys are in order: the rest comes after the prefix
		}
		r.Revision = uint64(revision)
		sum := recordSum(r.Key, r.Revision, r.Value)
		if string(sum[:]) != string(raw) {
			return fmt.Errorf("%w: record %q has a wrong checksum", ErrDamaged, r.Key)
		}
		if err := f(r, sum); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Scan calls f for every record whose key begins with prefix; see catalog.Store.
func (s *Store) Scan(ctx context.Context, prefix string, f func(catalog.Record) error) error {
	if err := scan(ctx, s.read, prefix, func(r catalog.Record, _ checksum) error { return f(r) }); err != nil {
		return fmt.Errorf("scan %s: %w", s.path, named(err))
	}
	return nil
}
