package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kiln/box/sandbox/linux"
)

// youngRun is the age below which the folder of a run is left alone: its process
// may just be about to lock it.
const youngRun = 10 * time.Second

// enterRun makes the folder of one kiln run, below the data directory so that it is
// on a disk and nobody else's, and removes what killed runs left. leave removes it.
func enterRun(c *config, log *slog.Logger) (dir string, leave func() error, err error) {
	runs := filepath.Join(c.DataDir, "run")
	if err := os.MkdirAll(runs, 0o700); err != nil {
		return "", nil, platformf("choose another with --data-dir", "data directory: %w", err)
	}
	sweepRuns(runs, time.Now(), log)
	if dir, err = os.MkdirTemp(runs, ""); err != nil {
		return "", nil, err
	}
	l, err := takeLock(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), l.close()) }, nil
}

// sweepRuns removes the folders of runs whose process is gone, with every kernel
// object that carries their owner id. What cannot be removed is tried again by the
// next run.
func sweepRuns(runs string, now time.Time, log *slog.Logger) {
	entries, err := os.ReadDir(runs)
	if err != nil {
		log.Warn("folders of earlier runs cannot be listed", "error", err)
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || now.Sub(info.ModTime()) < youngRun {
			continue
		}
		if err := sweepRun(filepath.Join(runs, e.Name()), log); err != nil {
			log.Warn("an earlier run cannot be removed", "error", err)
		}
	}
}

// sweepRun removes one folder unless its process lives.
func sweepRun(dir string, log *slog.Logger) error {
	l, err := takeLock(dir)
	var held *heldError
	if errors.As(err, &held) {
		return nil
	}
	if err != nil {
		return err
	}
	owner, err := os.ReadFile(filepath.Join(dir, "owner"))
	switch {
	case err == nil:
		// A driver removes at its start what is left of its owner.
		var d *linux.Driver
		d, err = linux.New(linux.Options{Owner: strings.TrimSpace(string(owner)), StateDir: filepath.Join(dir, "sandbox"), PoolSize: -1, Logger: log})
		if err == nil {
			err = errors.Join(d.Close(), sweepNetwork(strings.TrimSpace(string(owner))))
		}
	case errors.Is(err, fs.ErrNotExist): // it had made nothing
		err = nil
	}
	if err != nil {
		return errors.Join(err, l.close())
	}
	return errors.Join(os.RemoveAll(dir), l.close())
}
