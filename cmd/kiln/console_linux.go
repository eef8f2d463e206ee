package main

import (
	"context"
	"net"
)

// serveConsole begins to answer on the listener of the status page. The result ends
// it.
func (s *stack) serveConsole(l net.Listener, failed chan<- error) (end func(context.Context) error, err error) {
	return nil, platformf("use --console off", "the status page is not there")
}
