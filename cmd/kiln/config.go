package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"kiln"
	"kiln/door/auth"
)

// config is every setting of a server, parsed and checked.
type config struct {
	Listen, Console    string
	DataDir            string
	Sandbox            string
	Network            string
	NetworkRange       netip.Prefix // not valid is one that kiln picks
	NetworkDeny        []netip.Prefix
	FileSystems        kiln.FileSystems
	Networks           kiln.Networks
	CPUMode            string
	IdleTimeout        time.Duration
	MemoryBudget       int64 // bytes; 0 is what the machine has, less a reserve
	MemoryOvercommit   float64
	HostReserve        int64 // bytes; 0 is what the worker takes by itself
	AccountConcurrency int
	MaxWaiting         int
	MaxWait            time.Duration
	DrainTimeout       time.Duration
	LogSize            int64 // bytes a log group may take on disk
	Stream             kiln.StreamLimits
	URLDomain          string
	TLSCert, TLSKey    string
	AllowHost          []string
	Auth               string
	Organization       string
	InsecureListen     bool
	LogLevel           string
	RegistryMirrors    map[string]string // by the registry's name
	RegistryStall      time.Duration
	LocalImages        bool
	DebianMirror       string // "" is what this machine's apt is set up with
	DebianKeyring      string
	SQSEndpoint        string // "" is this server, "aws" AWS's own
	S3Endpoint         string // "" is AWS's own
	S3Region           string // "" is what AWS's own tools would take
	S3PathStyle        string // auto, true, false
}

// setting is one key of the configuration. It is a flag --key, a variable
// KILN_KEY and a line of kiln.yaml, always by the same word and in the same form.
type setting struct {
	key      string
	value    string // what it is when nobody sets it
	kind     string // what help shows as the form of the value
	usage    string
	set      func(*config, string) error
	isList   bool
	isSwitch bool
}

// settings is the table of all keys, in the order in which help shows them.
func settings(w world) []setting {
	return []setting{
		{key: "listen", value: "127.0.0.1:4566", kind: "ADDRESS", usage: "address of the API", set: text(func(c *config) *string { return &c.Listen }, isAddress)},
		{key: "console", value: "127.0.0.1:4567", kind: "ADDRESS|off", usage: "address of the status page", set: text(func(c *config) *string { return &c.Console }, isAddressOrOff)},
		{key: "data-dir", value: defaultDataDir(w), kind: "DIR", usage: "where functions, their code and logs are kept", set: dataDir},
		{key: "sandbox", value: "linux", kind: "linux|process", usage: "isolation of functions; process has none and is for development only", set: text(func(c *config) *string { return &c.Sandbox }, oneOf("linux", "process"))},
		{key: "network", value: "outbound", kind: "outbound|none", usage: "outbound lets functions open connections to the outside, never to this machine; none lets them open none", set: text(func(c *config) *string { return &c.Network }, oneOf("outbound", "none"))},
		{key: "network-range", value: "auto", kind: "RANGE|auto", usage: "addresses that environments have on their way out; auto is a range that this machine has no route to", set: networkRange},
		{key: "network-deny", value: "", kind: "RANGE,…", usage: "more destinations that functions do not reach, such as 10.0.0.0/8,2001:db8::/32", isList: true, set: networkDeny},
		{key: "vpc", value: "", kind: "ID=PROFILE,…", usage: "subnets and security groups that functions may be in, each with outbound or none", isList: true, set: networks},
		{key: "file-systems", value: "", kind: "ARN=DIR,…", usage: "directories of this machine that functions may read and write at /mnt, each with the access point that stands for it", isList: true, set: fileSystems},
		{key: "cpu-mode", value: "burst", kind: "burst|strict", usage: "strict holds a function to its share of processor (1 at 1769 MB); burst lets it use what is idle", set: text(func(c *config) *string { return &c.CPUMode }, oneOf("burst", "strict"))},
		{key: "idle-timeout", value: "10m", kind: "DURATION", usage: "how long an unused environment is kept; 0 makes every call a cold start", set: duration(func(c *config) *time.Duration { return &c.IdleTimeout }, 0)},
		{key: "memory-budget", value: "auto", kind: "SIZE|auto", usage: "memory for all environments together; auto is the machine's, less a reserve", set: budget},
		{key: "memory-overcommit", value: "1", kind: "N", usage: "how many times that memory may be promised, 1 to 10: more than 1 trusts that environments do not grow at once", set: overcommit},
		{key: "host-reserve", value: "auto", kind: "SIZE|auto", usage: "memory that this machine keeps: with less available idle environments end and none starts; auto is a sixteenth, 128MB to 1GB", set: reserve},
		{key: "account-concurrency", value: "1000", kind: "N", usage: "invocations of one account and region at a time; more are answered 429", set: number(func(c *config) *int { return &c.AccountConcurrency }, 1)},
		{key: "max-waiting", value: "10000", kind: "N", usage: "callers that may wait for a free environment when the memory is used up", set: number(func(c *config) *int { return &c.MaxWaiting }, 1)},
		{key: "max-wait", value: "30s", kind: "DURATION", usage: "how long such a caller waits before it is answered 429", set: duration(func(c *config) *time.Duration { return &c.MaxWait }, time.Millisecond)},
		{key: "drain-timeout", value: "20s", kind: "DURATION", usage: "how long running invocations may take after the signal to stop", set: duration(func(c *config) *time.Duration { return &c.DrainTimeout }, 0)},
		{key: "log-size", value: "64MB", kind: "SIZE", usage: "disk that the log of one function may take; the oldest lines go first", set: size(func(c *config) *int64 { return &c.LogSize })},
		{key: "stream-size", value: "200MB", kind: "SIZE|off", usage: "how long a streamed answer may be", set: sizeOrOff(func(c *config) *int64 { return &c.Stream.Bytes })},
		{key: "stream-burst", value: "6MB", kind: "SIZE", usage: "how much of a streamed answer leaves as fast as it is written", set: size(func(c *config) *int64 { return &c.Stream.Burst })},
		{key: "stream-rate", value: "2MB", kind: "SIZE|off", usage: "how much of what is beyond that leaves in a second", set: sizeOrOff(func(c *config) *int64 { return &c.Stream.Rate })},
		{key: "url-domain", value: "localhost", kind: "NAME", usage: "domain of function URLs, which are <id>.lambda-url.<region>.NAME; names below it are answered", set: text(func(c *config) *string { return &c.URLDomain }, isDomain)},
		{key: "tls-cert", value: "", kind: "FILE", usage: "certificate (PEM) for the API; read again when it changes", set: text(func(c *config) *string { return &c.TLSCert }, nil)},
		{key: "tls-key", value: "", kind: "FILE", usage: "its private key (PEM)", set: text(func(c *config) *string { return &c.TLSKey }, nil)},
		{key: "allow-host", value: "", kind: "NAME,…", usage: "more names in the Host header that are answered; localhost and addresses always are", isList: true, set: hosts},
		{key: "auth", value: "off", kind: "on|off", usage: "on lets in only who signs with a key of this server, and asks the policies; off believes everybody", set: text(func(c *config) *string { return &c.Auth }, oneOf("on", "off"))},
		{key: "organization", value: "", kind: "ID", usage: "organization that all accounts of this server are in, o-…: what policies know as aws:PrincipalOrgID", set: text(func(c *config) *string { return &c.Organization }, isOrganization)},
		{key: "insecure-listen", value: "false", kind: "true|false", usage: "allow an address that others can reach although nobody has to prove who they are (auth off)", isSwitch: true, set: boolean(func(c *config) *bool { return &c.InsecureListen })},
		{key: "log-level", value: "info", kind: "debug|info|warn|error", usage: "how much the server itself says on stderr", set: text(func(c *config) *string { return &c.LogLevel }, oneOf("debug", "info", "warn", "error"))},
		{key: "sqs-endpoint", value: "", kind: "URL|aws", usage: "server whose queues the event source mappings read; not set, this one; aws is AWS's own. Credentials come from where AWS's tools have them, as for s3-endpoint", set: text(func(c *config) *string { return &c.SQSEndpoint }, isSQSEndpoint)},
		{key: "s3-endpoint", value: "", kind: "URL", usage: "server that speaks S3 and has the code that requests name by S3Bucket and S3Key; not set, AWS's own. Credentials come from where AWS's tools have them (AWS_ACCESS_KEY_ID, AWS_PROFILE, …)", set: text(func(c *config) *string { return &c.S3Endpoint }, isS3Endpoint)},
		{key: "s3-region", value: "", kind: "REGION", usage: "its region; not set, that of AWS_REGION or the profile, else us-east-1", set: text(func(c *config) *string { return &c.S3Region }, nil)},
		{key: "s3-path-style", value: "auto", kind: "auto|true|false", usage: "true names buckets in the path, false in the host name; auto is true where s3-endpoint is set", set: text(func(c *config) *string { return &c.S3PathStyle }, oneOf("auto", "true", "false"))},
		{key: "registry-mirror", value: "", kind: "REGISTRY=HOST,…", usage: "hosts asked for images before a registry is; http:// before a host allows it no TLS", isList: true, set: mirrors},
		{key: "registry-stall", value: "30s", kind: "DURATION", usage: "how long a registry may send next to nothing before a pull fails", set: duration(func(c *config) *time.Duration { return &c.RegistryStall }, time.Second)},
		{key: "local-images", value: "true", kind: "true|false", usage: "let requests name images on this server's own disk (oci:, oci-archive:, docker-archive:)", isSwitch: true, set: boolean(func(c *config) *bool { return &c.LocalImages })},
		{key: "debian-mirror", value: "", kind: "URL", usage: "where kiln runtime add fetches Debian packages from; not set, this machine's apt says where", set: text(func(c *config) *string { return &c.DebianMirror }, isMirror)},
		{key: "debian-keyring", value: "", kind: "FILE", usage: "keys that Debian's index must be signed by; not set, those that this machine has", set: text(func(c *config) *string { return &c.DebianKeyring }, nil)},
	}
}

// variable gives the name of the environment variable of a key.
func variable(key string) string { return "KILN_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_")) }

// choice is the effective value of one setting and who chose it.
type choice struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // "default", "kiln.yaml:3", "KILN_LISTEN", "--listen"
}

// String gives the setting as it stands where it was chosen.
func (c choice) String() string {
	switch {
	case strings.HasPrefix(c.Source, "--"):
		return c.Source + " " + c.Value
	case strings.HasPrefix(c.Source, "KILN_"):
		return c.Source + "=" + c.Value
	}
	return c.Source + ": " + c.Key + ": " + c.Value
}

// clientVariables are KILN_ variables that are not settings of the server.
var clientVariables = []string{"KILN_CONFIG", "KILN_ENDPOINT", "KILN_ACCOUNT", "KILN_REGION", "KILN_OUTPUT", "KILN_ACCESS_KEY_ID", "KILN_SECRET_ACCESS_KEY", "KILN_SESSION_TOKEN"}

// layers is where settings come from: file, then variables, then flags, the last
// one wins. flags holds only what was given.
type layers struct {
	file    string // the file named by --config or KILN_CONFIG, "" to look in the usual places
	environ []string
	flags   map[string]string
}

// load puts the layers together and checks the result. The choices are complete
// even when the configuration is refused for what it asks.
func load(w world, l layers) (*config, []choice, error) {
	table := settings(w)
	chosen := map[string]choice{}
	for _, s := range table {
		chosen[s.key] = choice{s.key, s.value, "default"}
	}
	if err := fromFile(w, l.file, table, chosen); err != nil {
		return nil, nil, err
	}
	if err := fromEnvironment(l.environ, table, chosen); err != nil {
		return nil, nil, err
	}
	for key, value := range l.flags {
		chosen[key] = choice{key, value, "--" + key}
	}
	c := &config{}
	var choices []choice
	for _, s := range table {
		ch := chosen[s.key]
		choices = append(choices, ch)
		if err := s.set(c, ch.Value); err != nil {
			return nil, nil, usagef("%s: %w", ch, err)
		}
	}
	return c, choices, c.check(chosen)
}

// fromFile adds what the configuration file says.
func fromFile(w world, named string, table []setting, chosen map[string]choice) error {
	path := named
	if path == "" {
		if path, _ = w.env("KILN_CONFIG"); path == "" {
			path = usualFile()
		}
	}
	if path == "" {
		return nil
	}
	entries, err := readYAML(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return usagef("the configuration file %s does not exist", path)
		}
		return usagef("configuration: %w", err)
	}
	for _, e := range entries {
		place := fmt.Sprintf("%s:%d", path, e.line)
		i := slices.IndexFunc(table, func(s setting) bool { return s.key == e.key })
		if i < 0 {
			return usagef("%s: unknown key %q%s", place, e.key, suggestion(e.key, keys(table)))
		}
		value := e.text
		switch {
		case e.form == formList && table[i].isList:
			value = strings.Join(e.list, ",")
		case e.form != formText:
			return usagef("%s: %s is %s; %s is expected", place, e.key, e.form, table[i].kind)
		}
		chosen[e.key] = choice{e.key, value, place}
	}
	return nil
}

// fromEnvironment adds what KILN_ variables say.
func fromEnvironment(environ []string, table []setting, chosen map[string]choice) error {
	var known []string
	for _, s := range table {
		known = append(known, variable(s.key))
	}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "KILN_") || slices.Contains(clientVariables, name) || isForeign(name) {
			continue
		}
		i := slices.Index(known, name)
		if i < 0 {
			return usagef("unknown variable %s%s", name, suggestion(name, append(known, clientVariables...)))
		}
		chosen[table[i].key] = choice{table[i].key, value, name}
	}
	return nil
}

// isForeign recognises variables that are set for others: by Kubernetes in every
// pod beside a service named kiln, and for kiln's own tests.
func isForeign(name string) bool {
	return strings.HasPrefix(name, "KILN_SERVICE_") || name == "KILN_PORT" || strings.HasPrefix(name, "KILN_PORT_") || strings.HasPrefix(name, "KILN_TEST_")
}

// check refuses combinations that cannot work or that would open the door to
// strangers by accident.
func (c *config) check(chosen map[string]choice) error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return usagef("tls-cert and tls-key belong together: one of them is not set")
	}
	if c.Console == c.Listen && !strings.HasSuffix(c.Listen, ":0") { // port 0 is a free one for each
		return usagef("listen and console are both %s: the status page needs an address of its own, or console: off", c.Listen)
	}
	if c.Sandbox == "process" && c.Network == "none" {
		return usagef("%s: --sandbox process uses this machine's network and cannot keep functions from it", chosen["network"])
	}
	if c.Sandbox == "process" && len(c.NetworkDeny) > 0 {
		return usagef("%s: --sandbox process uses this machine's network and keeps functions from nothing in it", chosen["network-deny"])
	}
	if err := c.checkSurroundings(chosen); err != nil {
		return err
	}
	if c.InsecureListen {
		return nil
	}
	for _, key := range []string{"listen", "console"} {
		address := chosen[key].Value
		if address == "off" || isLoopback(address) || key == "listen" && c.Auth == "on" {
			continue
		}
		if key == "console" {
			return usagef("%s: this address can be reached from other machines, and the status page asks nobody who he is. "+
				"Use 127.0.0.1 and a tunnel or a proxy that asks for a password, or add --insecure-listen if the network is yours alone", chosen[key])
		}
		return usagef("%s: this address can be reached from other machines, and with auth off nobody has to prove who they are: "+
			"whoever reaches it can run code here. Add --auth on, or --insecure-listen if the network is yours alone", chosen[key])
	}
	return nil
}

// isLoopback reports whether only this machine can connect to address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// usualFile gives the configuration file that is read without being named, or "".
func usualFile() string {
	for _, path := range []string{"kiln.yaml", "/etc/kiln/kiln.yaml"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// defaultDataDir is /var/lib/kiln for root, and the user's own data folder else.
func defaultDataDir(w world) string {
	if os.Geteuid() == 0 && !w.inside {
		return "/var/lib/kiln"
	}
	if dir, ok := w.env("XDG_DATA_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "kiln")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "kiln-data"
	}
	return filepath.Join(home, ".local", "share", "kiln")
}

func keys(table []setting) []string {
	var out []string
	for _, s := range table {
		out = append(out, s.key)
	}
	return out
}

// suggestion names the nearest known word, or all of them when none is near.
func suggestion(word string, known []string) string {
	if n := nearest(word, known); n != "" {
		return fmt.Sprintf("; the nearest is %q", n)
	}
	return "; known are " + strings.Join(known, ", ")
}

// text makes the setter of a string that must pass valid; nil takes all.
func text(field func(*config) *string, valid func(string) error) func(*config, string) error {
	return func(c *config, s string) error {
		if valid != nil {
			if err := valid(s); err != nil {
				return err
			}
		}
		*field(c) = s
		return nil
	}
}

// isOrganization accepts the id of an organization, or none.
func isOrganization(s string) error {
	if s == "" || auth.IsOrganization(s) {
		return nil
	}
	return errors.New("o- and 10 to 32 lower-case letters and digits are expected")
}

// isMirror accepts an address of packages, or none.
func isMirror(s string) error {
	u, err := url.Parse(s)
	if s == "" || err == nil && (u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") || u.Scheme == "file" && filepath.IsAbs(u.Path)) {
		return nil
	}
	return errors.New("an http, https or file URL is expected")
}

func duration(field func(*config) *time.Duration, least time.Duration) func(*config, string) error {
	return func(c *config, s string) (err error) {
		*field(c), err = parseDuration(s)
		if err == nil && *field(c) < least {
			err = fmt.Errorf("at least %v is expected", least)
		}
		return err
	}
}

// parseDuration reads "90s", "10m" or a plain number of seconds.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, numberErr := strconv.Atoi(s); numberErr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < 0 {
		return 0, errors.New("a duration such as 30s or 10m is expected")
	}
	return d, nil
}

func number(field func(*config) *int, least int) func(*config, string) error {
	return func(c *config, s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < least {
			return fmt.Errorf("a whole number of at least %d is expected", least)
		}
		*field(c) = n
		return nil
	}
}

func boolean(field func(*config) *bool) func(*config, string) error {
	return func(c *config, s string) error {
		switch s {
		case "true":
			*field(c) = true
		case "false":
			*field(c) = false
		default:
			return errors.New("true or false is expected")
		}
		return nil
	}
}

func size(field func(*config) *int64) func(*config, string) error {
	return func(c *config, s string) (err error) {
		*field(c), err = parseSize(s)
		return err
	}
}

// sizeOrOff is size, with a word for no limit.
func sizeOrOff(field func(*config) *int64) func(*config, string) error {
	return func(c *config, s string) error {
		if s == "off" {
			*field(c) = -1
			return nil
		}
		return size(field)(c, s)
	}
}

// units of size: as everywhere in Lambda, 1 MB is 1024 KB.
var units = []struct {
	suffix string
	factor int64
}{{"TB", 1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}}

// parseSize reads "64MB" or "2GB".
func parseSize(s string) (int64, error) {
	for _, u := range units {
		if rest, ok := strings.CutSuffix(strings.ToUpper(s), u.suffix); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			if err == nil && n > 0 && n <= (1<<62)/u.factor {
				return n * u.factor, nil
			}
			break
		}
	}
	return 0, errors.New("a size such as 64MB or 2GB is expected")
}

func hosts(c *config, s string) error {
	c.AllowHost = nil
	for _, h := range strings.Split(s, ",") {
		if h = strings.TrimSpace(h); h != "" {
			if strings.ContainsAny(h, "/ ") {
				return errors.New("names of hosts are expected, separated by commas")
			}
			c.AllowHost = append(c.AllowHost, h)
		}
	}
	return nil
}

func isAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("an address with a port such as 127.0.0.1:4566 is expected")
	}
	return nil
}

// isDomain accepts what can stand behind other labels of a host name.
func isDomain(s string) error {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("a domain in lower case such as localhost or example.com is expected")
		}
	}
	return nil
}

func isAddressOrOff(s string) error {
	if s == "off" || isAddress(s) == nil {
		return nil
	}
	return errors.New("an address with a port such as 127.0.0.1:4567, or off, is expected")
}

// dataDir sets the data directory; it is absolute, since others than this process
// are told of paths in it.
func dataDir(c *config, s string) (err error) {
	if s == "" {
		return errors.New("a folder is expected")
	}
	c.DataDir, err = filepath.Abs(s)
	return err
}

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		return fmt.Errorf("%s is expected", strings.Join(words, " or "))
	}
}
