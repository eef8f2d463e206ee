package sqlite

import "context"

// OpenOver opens a file over a VFS of SQLite, with a mode of syncing and a small
// log.
func OpenOver(ctx context.Context, path, vfs, synchronous string) (*Store, error) {
	return open(ctx, path, settings{vfs: vfs, synchronous: synchronous, checkpointAt: 64 << 10})
}

// Revision gives the last revision that was given.
func (s *Store) Revision() uint64 { return s.write.state.revision }

// WriteMark writes the mark that a process leaves which came to a revision.
func WriteMark(path, id string, revision uint64) error {
	f, err := createMark(path, state{id: id, revision: revision})
	if err != nil {
		return err
	}
	return f.Close()
}

// ID gives the name of the file.
func (s *Store) ID() string { return s.write.state.id }
