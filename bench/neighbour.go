package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"time"
)

// burning is a function that keeps n processes busy for s seconds.
const burning = `
import os, time
def burn(n, s):
    children = []
    for _ in range(n):
        pid = os.fork()
        if pid == 0:
            end = time.monotonic() + s
            while time.monotonic() < end:
                pass
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)

def handler(event, context):
    burn(event["n"], event["s"])
    return 1
`

// neighbour measures the slowest calls of a function alone, while another function of the
// same size burns all it is given, and, as the control, while the same processes burn
// outside of any box.
func (s *suite) neighbour(ctx context.Context) error {
	id, python, err := s.python(ctx)
	if err != nil {
		return err
	}
	calm, err := zipped("app.py", echo, 0o644)
	if err != nil {
		return err
	}
	wild, err := zipped("app.py", burning, 0o644)
	if err != nil {
		return err
	}
	const processes = 8
	for _, mode := range []string{"strict", "burst"} {
		srv, err := s.serve(ctx, "neighbour-"+mode, "--cpu-mode", mode)
		if err != nil {
			return err
		}
		err = func() error {
			if err := srv.deploy(ctx, "calm", id, "app.handler", 1769, calm); err != nil {
				return err
			}
			if err := srv.deploy(ctx, "wild", id, "app.handler", 1769, wild); err != nil {
				return err
			}
			request := invocation(srv.host, "calm", `{}`)
			slowest := func() (float64, error) {
				l, err := drive(ctx, srv.host, request, 1, s.window, srv.cmd.Process.Pid)
				return float64(l.p99.Microseconds()), err
			}
			seconds := s.window.Seconds() + 0.5
			inBox := row{name: "p99 beside a function that burns, 1769 MB, " + mode, unit: "µs"}
			if mode == "strict" {
				inBox.goal = "< 1.5x"
			}
			outside := row{name: "the same beside processes outside of boxes (control), " + mode, unit: "µs"}
			for range s.rounds {
				alone, err := slowest()
				if err != nil {
					return err
				}
				ended := make(chan error, 1)
				go func() {
					_, err := srv.call(ctx, http.MethodPost, "/2015-03-31/functions/wild/invocations", fmt.Appendf(nil, `{"n":%d,"s":%.1f}`, processes, seconds))
					ended <- err
				}()
				time.Sleep(400 * time.Millisecond) // it begins to burn
				beside, err := slowest()
				if err != nil {
					return err
				}
				if err := <-ended; err != nil {
					return err
				}
				cmd := exec.CommandContext(ctx, python, "-c", burning+fmt.Sprintf("\nburn(%d, %.1f)\n", processes, seconds))
				if err := cmd.Start(); err != nil {
					return err
				}
				time.Sleep(200 * time.Millisecond)
				bare, err := slowest()
				if err != nil {
					return err
				}
				if err := cmd.Wait(); err != nil {
					return err
				}
				inBox.kiln, inBox.floor = append(inBox.kiln, beside), append(inBox.floor, alone)
				outside.kiln, outside.floor = append(outside.kiln, bare), append(outside.floor, alone)
			}
			s.table.add(inBox)
			s.table.add(outside)
			return nil
		}()
		srv.stop()
		if err != nil {
			return err
		}
	}
	return nil
}
