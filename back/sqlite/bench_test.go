package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"kiln/back/sqlite"
	"kiln/engine/catalog"
)

// Durable commits of 1 KiB by 64 writers.
func BenchmarkCommit(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "catalog.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var n atomic.Int64
	value := make([]byte, 1024)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Commit(b.Context(), []catalog.Write{{Key: fmt.Sprint(n.Add(1)), Value: value}}); err != nil {
				b.Error(err)
			}
		}
	})
}
