package main

import "kiln/box/sandbox"

// checkFileSystems refuses a directory that functions cannot have, before one is called.
func (s *stack) checkFileSystems() error {
	for arn, dir := range s.config.FileSystems {
		if err := sandbox.CheckShare(s.driver, dir); err != nil {
			return platformf("name another directory in file-systems", "the file system %s: %w", arn, err)
		}
	}
	return nil
}
