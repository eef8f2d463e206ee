package network_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kiln/box/sandbox/network"
)

// snapshot is everything of the host that a network could change: interfaces,
// addresses, routes, neighbours, rules and settings.
func snapshot(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, args := range [][]string{
		{"-d", "-o", "link"}, {"-o", "addr"}, {"-o", "route", "show", "table", "all"}, {"-6", "-o", "route", "show", "table", "all"},
		{"rule"}, {"-6", "rule"}, {"-o", "neigh", "show", "nud", "permanent"},
	} {
		all = append(all, strings.Split(moving.ReplaceAllString(host.run(t, "ip", args...), ""), "\n")...)
	}
	f, err := network.OpenFirewall()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rules, err := f.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, strings.Split(rules, "\n")...)
	for _, pattern := range []string{"ipv4/ip_forward", "ipv4/conf/*/*", "ipv6/conf/*/*"} {
		names, err := filepath.Glob("/proc/sys/net/" + pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("settings %s: %v", pattern, err)
		}
		for _, n := range names {
			text, err := os.ReadFile(n)
			if err == nil { // a few cannot be read
				all = append(all, n+" = "+strings.TrimSpace(string(text)))
			}
		}
	}
	return all
}

// moving is what changes by itself.
var moving = regexp.MustCompile(`expires \d+sec|(valid|preferred)_lft \d+sec`)

// same compares two snapshots and says what differs.
func same(t testing.TB, when string, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%s there is more: %s", when, line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s there is less: %s", when, line)
		}
	}
}
