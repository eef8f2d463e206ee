package e2e_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const rubySource = `
require 'json'
require 'openssl'
require 'zlib'
LOG = Logger.new($stdout)

def handler(event:, context:)
  LOG.info('looking')
  raise ArgumentError, 'asked to' if event['fail']
  {
    ruby: RUBY_VERSION, event: event, name: context.function_name, first: $LOAD_PATH.first, locale: ENV['LC_ALL'],
    encoding: Encoding.default_external.name, own: [ENV['OWN'], ENV['OWN'].encoding.name],
    trace: ENV['_X_AMZN_TRACE_ID'].to_s.start_with?('Root='), gems: ENV['GEM_PATH'].start_with?('/var/task/vendor/bundle/ruby/'),
    authorities: File.exist?(OpenSSL::X509::DEFAULT_CERT_FILE) || Dir.exist?(OpenSSL::X509::DEFAULT_CERT_DIR)
  }
end
`

// TestJavaAndRubyAreFetchedAndRun fetches interpreters that this machine does not have,
// as roots of Debian packages, and runs functions on them in boxes.
func TestJavaAndRubyAreFetchedAndRun(t *testing.T) {
	_, javac := javas(t)
	data := t.TempDir()
	var fetched []string
	for _, identifier := range []string{"ruby2.7", "ruby3.3", "java8.al2", "java11", "java21"} {
		var out []byte
		var err error
		for range 3 { // a public server
			out, err = exec.CommandContext(within(t, 4*time.Minute), binary, "runtime", "add", identifier, "--data-dir", data).CombinedOutput()
			if err == nil {
				break
			}
		}
		switch {
		case err == nil:
			fetched = append(fetched, identifier)
		case identifier == "java8.al2": // of Debian's unstable suite, which may be broken on any day
			t.Logf("%s is not to be had today: %s", identifier, out)
		default:
			t.Fatalf("%s: %v\n%s", identifier, err, out)
		}
	}
	s := startIn(t, data)
	c := s.client()
	_, loose := javaPackages(t, javac)
	for _, identifier := range fetched {
		if strings.HasPrefix(identifier, "ruby") {
			create(t, c, "f-"+identifier[4:5], identifier, "app.handler", zipOf(t, file{Name: "app.rb", Text: rubySource}), memory(256), timeout(30), variables(map[string]string{"OWN": "é"}))
			out := invoke(t, c, "f-"+identifier[4:5], `{"é":1}`)
			var seen map[string]any
			if err := json.Unmarshal(out.Payload, &seen); err != nil || out.FunctionError != nil {
				t.Fatalf("%s: %v %s\n%s", identifier, err, out.Payload, tail(out))
			}
			version, _ := seen["ruby"].(string)
			delete(seen, "ruby")
			text, err := json.Marshal(seen)
			if err != nil {
				t.Fatal(err)
			}
			want := `{"authorities":true,"encoding":"UTF-8","event":{"é":1},"first":"/var/task","gems":true,"locale":null,"name":"f-` + identifier[4:5] + `","own":["é","UTF-8"],"trace":true}`
			if string(text) != want || !strings.HasPrefix(version, strings.TrimPrefix(identifier, "ruby")+".") {
				t.Errorf("%s: got %s %s, want %s", identifier, version, text, want)
			}
			if log := tail(out); !strings.Contains(log, "  INFO ") || !strings.Contains(log, " -- : looking\n") {
				t.Errorf("%s: log %q", identifier, log)
			}
			if kind, message := failure(t, c, "f-"+identifier[4:5], `{"fail":1}`); kind != "Function<ArgumentError>" || message != "asked to" {
				t.Errorf("%s: error %s %s", identifier, kind, message)
			}
			rubyLayer(t, c, identifier)
			continue
		}
		name := strings.NewReplacer(".", "-").Replace(identifier)
		create(t, c, name, identifier, "shop.Till", loose, memory(512), timeout(30))
		payload := `{"lines":[{"name":"tea","cents":250},{"name":"milk","cents":120}]}`
		if got, want := answer(t, c, name, payload), `{"first":"tea","sum":370}`; got != want {
			t.Errorf("%s: got %s, want %s", identifier, got, want)
		}
		if kind, message := failure(t, c, name, `{"lines":[{"cents":-1}]}`); kind != "java.lang.IllegalArgumentException" || message != "a negative sum: -1" {
			t.Errorf("%s: error %s %s", identifier, kind, message)
		}
		create(t, c, name+"-look", identifier, "shop.Till::look", loose, memory(512), timeout(30))
		var seen map[string]any
		out := invoke(t, c, name+"-look", `{"name":"ada"}`)
		if err := json.Unmarshal(out.Payload, &seen); err != nil || out.FunctionError != nil {
			t.Fatalf("%s: %v %s\n%s", identifier, err, out.Payload, tail(out))
		}
		version := strings.TrimSuffix(strings.TrimPrefix(identifier, "java"), ".al2")
		if java := strings.TrimPrefix(seen["java"].(string), "1."); java != version || seen["authorities"] != true || seen["home"] != "/var/lang" {
			t.Errorf("%s: got %v", identifier, seen)
		}
		// Earlier versions have the trace in a variable too.
		if got, want := seen["trace"], version == "8" || version == "11"; got != want {
			t.Errorf("%s: the variable of the trace: got %v, want %v", identifier, got, want)
		}
		if log := tail(out); !strings.Contains(log, "looking for ada") || !strings.Contains(log, "printed €\n") {
			t.Errorf("%s: log %q", identifier, log)
		}
	}
}
