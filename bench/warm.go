package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const echo = "def handler(event, context):\n    return event\n"

// warm measures calls of a function whose environments are there: how many a
// second, what the server's CPU time is for each, beside the two-hop proxy.
func (s *suite) warm(ctx context.Context) error {
	id, _, err := s.python(ctx)
	if err != nil {
		return err
	}
	code, err := zipped("app.py", echo, 0o644)
	if err != nil {
		return err
	}
	back, backAddr, err := s.floor(ctx, "floor-backend")
	if err != nil {
		return err
	}
	defer end(back)
	front, frontAddr, err := s.floor(ctx, "floor-proxy", backAddr)
	if err != nil {
		return err
	}
	defer end(front)
	for _, mode := range []string{"burst", "strict"} {
		srv, err := s.serve(ctx, "warm-"+mode, "--cpu-mode", mode)
		if err != nil {
			return err
		}
		for _, memory := range []int{1769, 128} {
			name := fmt.Sprintf("echo%d", memory)
			if err = srv.deploy(ctx, name, id, "app.handler", memory, code); err == nil {
				err = s.warmRounds(ctx, srv, name, memory, mode, front, frontAddr)
			}
			if err != nil {
				srv.stop()
				return err
			}
		}
		srv.stop()
	}
	return nil
}

func (s *suite) warmRounds(ctx context.Context, srv *server, name string, memory int, mode string, front *exec.Cmd, frontAddr string) error {
	request := invocation(srv.host, name, `{"hello":"world"}`)
	bare := invocation(frontAddr, name, `{"hello":"world"}`)
	if _, err := drive(ctx, srv.host, request, s.clients, s.window/2, srv.cmd.Process.Pid); err != nil {
		return err
	}
	rate := row{name: fmt.Sprintf("warm calls, %d clients, %d MB, %s", s.clients, memory, mode), unit: "1/s"}
	cpu := row{name: fmt.Sprintf("server CPU per warm call, %d MB, %s", memory, mode), unit: "µs"}
	single := row{name: fmt.Sprintf("warm p50, 1 client, %d MB, %s", memory, mode), unit: "µs"}
	if memory == 1769 && mode == "burst" {
		rate.goal, cpu.goal = "≥ 5,000/s", "≤ 4x"
	}
	for range s.rounds {
		a, err := drive(ctx, srv.host, request, s.clients, s.window, srv.cmd.Process.Pid)
		if err != nil {
			return err
		}
		b, err := drive(ctx, frontAddr, bare, s.clients, s.window, front.Process.Pid)
		if err != nil {
			return err
		}
		one, err := drive(ctx, srv.host, request, 1, s.window/4, srv.cmd.Process.Pid)
		if err != nil {
			return err
		}
		oneBare, err := drive(ctx, frontAddr, bare, 1, s.window/4, front.Process.Pid)
		if err != nil {
			return err
		}
		rate.kiln, rate.floor = append(rate.kiln, a.perSecond()), append(rate.floor, b.perSecond())
		cpu.kiln, cpu.floor = append(cpu.kiln, a.cpuPerCall()), append(cpu.floor, b.cpuPerCall())
		single.kiln, single.floor = append(single.kiln, float64(one.p50.Microseconds())), append(single.floor, float64(oneBare.p50.Microseconds()))
	}
	s.table.add(rate)
	s.table.add(cpu)
	s.table.add(single)
	return nil
}

// floor starts this program again as one of the bare floors; its first line says
// where it listens.
func (s *suite) floor(ctx context.Context, args ...string) (*exec.Cmd, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		end(cmd)
		return nil, "", err
	}
	return cmd, strings.TrimSpace(line), nil
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may have ended by itself
	_ = cmd.Wait()         // killed on purpose
}
