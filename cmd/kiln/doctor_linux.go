package main

import (
	"context"
	"log/slog"
	"runtime"

	"kiln/box/sandbox/linux"
	"kiln/box/sandbox/network"
	"kiln/box/sandbox/uplink"
)

// examine tries what this machine can do; inside says that this is root of a user
// namespace and not of its network.
func examine(_ context.Context, inside bool) (*checkup, error) {
	r := linux.Probe()
	c := &checkup{Architecture: hostArchitecture(), Kernel: r.System, Works: r.Usable(), Isolation: r.Tier}
	for _, a := range r.Abilities {
		f := finding{Name: a.Name, State: stateOK, Found: a.Detail, Cost: a.Cost}
		switch {
		case !a.OK && a.Required:
			f.State = stateRequired
		case !a.OK:
			f.State = stateMissing
		}
		c.Findings = append(c.Findings, f)
	}
	if inside {
		c.Findings = append(c.Findings, tryUplink())
		return c, nil
	}
	for _, a := range network.Probe() {
		f := finding{Name: "outbound network: " + a.Name, State: stateOK, Found: a.Detail, Cost: a.Cost}
		if !a.OK {
			f.State = stateMissing
		}
		c.Findings = append(c.Findings, f)
	}
	return c, nil
}

// tryUplink looks for a program that gives functions a way out.
func tryUplink() finding {
	f := finding{Name: "outbound network", State: stateOK}
	u, err := uplink.Open(slog.New(slog.DiscardHandler))
	if err == nil {
		f.Found = "through " + u.Program
		err = u.Close()
	}
	if err != nil {
		f.State, f.Found, f.Cost = stateMissing, oneLine(err), "functions open no connections to the outside"
	}
	return f
}

// doctor gives what answers the server's own route.
func (s *stack) doctor() func() any {
	return func() any {
		c, err := examine(context.Background(), s.inside)
		if err != nil {
			return map[string]string{"problem": err.Error()}
		}
		c.Sandbox = s.driver.Name()
		if s.network.off != "" {
			c.Findings = append(c.Findings, finding{Name: "outbound network of this server", State: stateMissing, Found: s.network.off, Cost: "functions open no connections to the outside"})
		} else if s.driver.Capabilities().OutboundNetwork {
			c.Findings = append(c.Findings, finding{Name: "outbound network of this server", State: stateOK, Found: "on"})
		}
		return c
	}
}

// hostArchitecture is this machine's architecture in Lambda's words.
func hostArchitecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}
