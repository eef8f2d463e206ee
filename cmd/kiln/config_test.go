package main

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeWorld is a world with an environment of its own.
func fakeWorld(env ...string) world {
	return world{
		environ: func() []string { return env },
		env: func(name string) (string, bool) {
			for _, v := range env {
				if k, value, _ := strings.Cut(v, "="); k == name {
					return value, true
				}
			}
			return "", false
		},
	}
}

// yamlFile writes a configuration file.
func yamlFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kiln.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagsWinOverVariablesWinOverTheFileWinsOverDefaults(t *testing.T) {
	file := yamlFile(t, "# my machine\nlisten: 127.0.0.1:1001\nconsole: \"127.0.0.1:1002\"\nidle-timeout: 5m\naccount-concurrency: 10\nallow-host: [a.example, \"*.b.example\"]\ninsecure-listen: false\n")
	env := []string{"KILN_CONSOLE=127.0.0.1:2002", "KILN_IDLE_TIMEOUT=6m", "KILN_ENDPOINT=http://x", "PATH=/bin", "KILN_PORT=tcp://10.0.0.1:80", "KILN_SERVICE_HOST=10.0.0.1"}
	c, choices, err := load(fakeWorld(env...), layers{file: file, environ: env, flags: map[string]string{"idle-timeout": "7m", "data-dir": "/x"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:1001" || c.Console != "127.0.0.1:2002" || c.IdleTimeout != 7*time.Minute || c.AccountConcurrency != 10 || c.Sandbox != "linux" {
		t.Errorf("got %+v", c)
	}
	if want := []string{"a.example", "*.b.example"}; !slices.Equal(c.AllowHost, want) {
		t.Errorf("got hosts %q, want %q", c.AllowHost, want)
	}
	sources := map[string]string{}
	for _, ch := range choices {
		sources[ch.Key] = ch.Source
	}
	want := map[string]string{"listen": file + ":2", "console": "KILN_CONSOLE", "idle-timeout": "--idle-timeout", "sandbox": "default", "allow-host": file + ":6"}
	for key, source := range want {
		if sources[key] != source {
			t.Errorf("%s comes from %q, want %q", key, sources[key], source)
		}
	}
	if len(choices) != len(settings(fakeWorld())) {
		t.Errorf("got %d choices of %d settings", len(choices), len(settings(fakeWorld())))
	}
}

func TestWrongConfigurationNamesThePlaceAndTheWayOut(t *testing.T) {
	tests := map[string]struct {
		file  string
		env   []string
		flags map[string]string
		want  []string
	}{
		"unknown key":                    {file: "listen: 127.0.0.1:1\nidle_timeout: 5m\n", want: []string{"kiln.yaml:2", `"idle_timeout"`, `nearest is "idle-timeout"`}},
		"key like nothing":               {file: "zzzzzzzz: 1\n", want: []string{"kiln.yaml:1", "known are listen, console"}},
		"key given twice":                {file: "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", want: []string{"kiln.yaml", "listen"}},
		"not a table":                    {file: "- a\n", want: []string{"kiln.yaml", "keys with values"}},
		"broken file":                    {file: "listen: [\n", want: []string{"kiln.yaml"}},
		"a table for a value":            {file: "listen:\n  a: b\n", want: []string{"kiln.yaml:1", "listen"}},
		"a list for a value":             {file: "listen: [a, b]\n", want: []string{"kiln.yaml:1", "a list"}},
		"unknown variable":               {env: []string{"KILN_LISTENN=x"}, want: []string{"KILN_LISTENN", `"KILN_LISTEN"`}},
		"wrong value in file":            {file: "\nlisten: nowhere\n", want: []string{"kiln.yaml:2", "listen", "nowhere", "127.0.0.1:4566"}},
		"wrong value in env":             {env: []string{"KILN_MAX_WAIT=soon"}, want: []string{"KILN_MAX_WAIT", "KILN_MAX_WAIT=soon", "30s"}},
		"wrong value in flag":            {flags: map[string]string{"sandbox": "docker"}, want: []string{"--sandbox", "--sandbox docker", "linux or process"}},
		"small budget":                   {flags: map[string]string{"memory-budget": "1MB"}, want: []string{"--memory-budget", "128MB"}},
		"no number":                      {flags: map[string]string{"account-concurrency": "0"}, want: []string{"at least 1"}},
		"no time to wait":                {flags: map[string]string{"max-wait": "0"}, want: []string{"--max-wait", "at least 1ms"}},
		"nobody may wait":                {flags: map[string]string{"max-waiting": "0"}, want: []string{"--max-waiting", "at least 1"}},
		"open to others":                 {flags: map[string]string{"listen": "0.0.0.0:4566"}, want: []string{"--listen", "0.0.0.0:4566", "--auth on", "--insecure-listen"}},
		"open without a host":            {flags: map[string]string{"listen": ":4566"}, want: []string{"--insecure-listen"}},
		"auth does not help the console": {flags: map[string]string{"console": "192.0.2.1:80", "auth": "on"}, want: []string{"console", "--insecure-listen"}},
		"an organization that is none":   {flags: map[string]string{"organization": "acme"}, want: []string{"--organization acme", "o-"}},
		"auth that is neither":           {flags: map[string]string{"auth": "maybe"}, want: []string{"--auth", "on", "off"}},
		"console open to others":         {flags: map[string]string{"console": "192.0.2.1:80"}, want: []string{"console", "--insecure-listen"}},
		"half of TLS":                    {flags: map[string]string{"tls-cert": "a.pem"}, want: []string{"tls-key"}},
		"one address for two":            {flags: map[string]string{"console": "127.0.0.1:4566"}, want: []string{"console: off"}},
		"a closed process":               {flags: map[string]string{"sandbox": "process", "network": "none"}, want: []string{"--network none", "--sandbox process"}},
		"a wrong network":                {flags: map[string]string{"network": "off"}, want: []string{"--network off", "outbound or none"}},
		"a range of one":                 {flags: map[string]string{"network-range": "10.9.8.7/32"}, want: []string{"--network-range", "10.99.0.0/16"}},
		"a range that is crooked":        {env: []string{"KILN_NETWORK_RANGE=10.9.8.7/16"}, want: []string{"KILN_NETWORK_RANGE", "10.99.0.0/16"}},
		"a host with a path":             {flags: map[string]string{"allow-host": "a.example/x"}, want: []string{"names of hosts"}},
		"no range to deny":               {file: "network-deny: [10.0.0.0/8, lan]\n", want: []string{"kiln.yaml:1", "network-deny", "2001:db8::/32"}},
		"a crooked one to deny":          {flags: map[string]string{"network-deny": "10.1.0.0/8"}, want: []string{"--network-deny", "ranges such as"}},
		"a process that is kept":         {flags: map[string]string{"sandbox": "process", "network-deny": "10.0.0.0/8"}, want: []string{"--network-deny 10.0.0.0/8", "--sandbox process"}},
		"a file system that is none":     {flags: map[string]string{"file-systems": "fs-1=/srv"}, want: []string{"--file-systems", "access-point/fsap-"}},
		"a file system without a place":  {flags: map[string]string{"file-systems": accessPointARN + "=srv"}, want: []string{"absolute directory"}},
		"a file system that is two":      {flags: map[string]string{"file-systems": accessPointARN + "=/a," + accessPointARN + "=/b"}, want: []string{"each name once"}},
		"a process with a file system":   {flags: map[string]string{"sandbox": "process", "file-systems": accessPointARN + "=/a"}, want: []string{"--file-systems", "--sandbox process"}},
		"a profile that is none":         {flags: map[string]string{"vpc": "subnet-1=deny"}, want: []string{"--vpc", "outbound or none"}},
		"a network that is none":         {flags: map[string]string{"vpc": "vpc-1=none"}, want: []string{"subnet or security group"}},
		"a process in a closed subnet":   {flags: map[string]string{"sandbox": "process", "vpc": "subnet-1=none"}, want: []string{"--vpc", "--sandbox process"}},
		"less than once":                 {flags: map[string]string{"memory-overcommit": "0.5"}, want: []string{"--memory-overcommit", "from 1 to 10"}},
		"a reserve of nothing":           {flags: map[string]string{"host-reserve": "much"}, want: []string{"--host-reserve", "64MB"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := layers{environ: tt.env, flags: tt.flags, file: yamlFile(t, tt.file)}
			_, _, err := load(fakeWorld(tt.env...), l)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %q, want it to say %q", err, part)
				}
			}
			var f *failure
			if !errors.As(err, &f) || f.code != exitUsage {
				t.Errorf("got %#v, want a failure of usage", err)
			}
		})
	}
}

const accessPointARN = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0"

func TestFileSystemsAndNetworksAreRead(t *testing.T) {
	file := yamlFile(t, "file-systems: [\""+accessPointARN+"=/srv/a/\"]\nvpc: [subnet-1=none, sg-1=outbound]\n")
	c, _, err := load(fakeWorld(), layers{file: file})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.FileSystems) != 1 || c.FileSystems[accessPointARN] != "/srv/a" || len(c.Networks) != 2 || c.Networks["subnet-1"] || !c.Networks["sg-1"] {
		t.Errorf("got %v and %v", c.FileSystems, c.Networks)
	}
}

func TestLimitsOfMemoryAndNetworkAreRead(t *testing.T) {
	file := yamlFile(t, "network-deny: [10.0.0.0/8, \"2001:db8::7\"]\nmemory-overcommit: 1.5\nhost-reserve: 2GB\n")
	c, _, err := load(fakeWorld(), layers{file: file})
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::7/128")}
	if !slices.Equal(c.NetworkDeny, want) || c.MemoryOvercommit != 1.5 || c.HostReserve != 2<<30 {
		t.Errorf("got %v, %v, %d", c.NetworkDeny, c.MemoryOvercommit, c.HostReserve)
	}
	if c, _, err = load(fakeWorld(), layers{file: yamlFile(t, "")}); err != nil || c.NetworkDeny != nil || c.MemoryOvercommit != 1 || c.HostReserve != 0 {
		t.Errorf("by default: got %v, %v, %d, %v", c.NetworkDeny, c.MemoryOvercommit, c.HostReserve, err)
	}
}

func TestAnAddressThatOthersReachNeedsTheFlag(t *testing.T) {
	for _, address := range []string{"127.0.0.1:1", "[::1]:1", "localhost:1", "127.8.8.8:1"} {
		if _, _, err := load(fakeWorld(), layers{flags: map[string]string{"listen": address}, file: yamlFile(t, "")}); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if c, _, err := load(fakeWorld(), layers{flags: map[string]string{"listen": "0.0.0.0:1", "auth": "on"}, file: yamlFile(t, "")}); err != nil || c.Auth != "on" {
		t.Errorf("with auth any address is fine: %v", err)
	}
	if _, _, err := load(fakeWorld(), layers{flags: map[string]string{"listen": "0.0.0.0:1", "insecure-listen": "true"}, file: yamlFile(t, "")}); err != nil {
		t.Error(err)
	}
}

func TestANamedConfigurationFileMustExist(t *testing.T) {
	_, _, err := load(fakeWorld(), layers{file: filepath.Join(t.TempDir(), "no.yaml")})
	if err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("got %v", err)
	}
	env := "KILN_CONFIG=" + yamlFile(t, "listen: 127.0.0.1:77\n")
	c, _, err := load(fakeWorld(env), layers{environ: []string{env}})
	if err != nil || c.Listen != "127.0.0.1:77" {
		t.Errorf("by KILN_CONFIG: got %+v, %v", c, err)
	}
}

func TestSizesAndDurations(t *testing.T) {
	for text, want := range map[string]int64{"64MB": 64 << 20, "2gb": 2 << 30, "1 KB": 1 << 10, "5B": 5, "0MB": 0, "-1MB": 0, "64": 0, "MB": 0, "9999999999TB": 0} {
		got, err := parseSize(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]time.Duration{"5": 5 * time.Second, "0": 0, "1m30s": 90 * time.Second} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-5s", "-1", "soon"} {
		if _, err := parseDuration(text); err == nil {
			t.Errorf("%q is taken for a duration", text)
		}
	}
}
