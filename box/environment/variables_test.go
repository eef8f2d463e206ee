package environment_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
)

// vars starts an environment and gives the variables of its process.
func vars(t *testing.T, change func(o *environment.Options)) (map[string]string, *rig) {
	t.Helper()
	env := make(chan map[string]string, 1)
	r := start(t, newBox(func(p *proc) sandbox.ExitStatus {
		env <- p.env
		return loop(echo)(p)
	}), change)
	r.free()
	return <-env, r
}

// notOurs are variables that the environment does not set: those that a bootstrap
// sets for itself, those of a later step, and those that come from the descriptor
// of a runtime.
var (
	byBootstrap  = []string{"_X_AMZN_TRACE_ID", "LC_CTYPE", "_LAMBDA_TELEMETRY_LOG_FD"}
	byDescriptor = []string{"PYTHONPATH", "NODE_PATH", "NODE_EXTRA_CA_CERTS", "GEM_HOME", "GEM_PATH", "RUBYLIB", "DOTNET_ROOT", "LAMBDA_RUNTIME_NAME", "SSL_CERT_FILE"}
)

// TestTheVariablesAreThoseOfAWS compares them with what functions saw on AWS, name by
// name and value by value, for every recorded runtime.
func TestTheVariablesAreThoseOfAWS(t *testing.T) {
	text, err := os.ReadFile("testdata/recorded/environments.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string]map[string]string
	if err := json.Unmarshal(text, &recorded); err != nil || len(recorded) < 20 {
		t.Fatalf("got %d runtimes, %v", len(recorded), err)
	}
	for identifier, want := range recorded {
		t.Run(identifier, func(t *testing.T) {
			descriptor := map[string]string{}
			for _, name := range byDescriptor {
				if value, ok := want[name]; ok {
					descriptor[name] = value
				}
			}
			family := strings.TrimRight(strings.SplitN(identifier, ".", 2)[0], "0123456789")
			got, r := vars(t, func(o *environment.Options) {
				o.Version.Config.Runtime, o.Version.Config.Handler, o.Version.Config.MemoryMB = identifier, want["_HANDLER"], 1024
				o.Version.Config.Environment = map[string]string{"TEST_KEY": "TEST_VAL"}
				o.Runtime = kiln.Runtime{Identifier: identifier, Family: family, Command: []string{"/bootstrap"}, Env: descriptor}
			})
			if fd, ours := want["_LAMBDA_TELEMETRY_LOG_FD"], got["_LAMBDA_TELEMETRY_LOG_FD"]; fd != "" && ours != fd || (ours != "62") != (family == "provided") {
				t.Errorf("the telemetry descriptor is %q, recorded as %q", ours, fd)
			}
			for _, name := range byBootstrap { // bootstraps take it away, so that it is recorded for some only
				delete(want, name)
				delete(got, name)
			}
			source := r.sink.all()[0].Source
			// Placeholders of the recording, and the addresses, which differ there as well.
			known := strings.NewReplacer(
				"<function-name:1>", "hello", "<region>", "eu-west-1", "<log-stream-name:1>", source.Stream,
				"<aws-access-key-id:1>", "123456789012", "<aws-secret-access-key:1>", got["AWS_SECRET_ACCESS_KEY"],
				"<aws-session-token:1>", got["AWS_SESSION_TOKEN"], "169.254.100.1:9001", got["AWS_LAMBDA_RUNTIME_API"],
				"127.0.0.1:9001", got["AWS_LAMBDA_RUNTIME_API"], "169.254.100.1", "127.0.0.1", "169.254.79.129", "127.0.0.1",
			)
			for name, value := range want {
				want[name] = known.Replace(value)
			}
			if !maps.Equal(got, want) {
				names := append(slices.Collect(maps.Keys(got)), slices.Collect(maps.Keys(want))...)
				slices.Sort(names)
				for _, name := range slices.Compact(names) {
					if g, w := got[name], want[name]; g != w {
						t.Errorf("%s: got %q, want %q", name, g, w)
					}
				}
			}
		})
	}
}

func TestALogOfJSONIsToldToTheRuntime(t *testing.T) {
	logging := kiln.Logging{Format: kiln.FormatJSON, ApplicationLevel: kiln.LevelWarn, SystemLevel: kiln.LevelInfo}
	got, _ := vars(t, func(o *environment.Options) { o.Version.Config.Logging = logging })
	if got["AWS_LAMBDA_LOG_FORMAT"] != "JSON" || got["AWS_LAMBDA_LOG_LEVEL"] != "WARN" {
		t.Errorf("got %q and %q", got["AWS_LAMBDA_LOG_FORMAT"], got["AWS_LAMBDA_LOG_LEVEL"])
	}
}

func TestAFunctionCanChangeDefaultsAndNothingReserved(t *testing.T) {
	own := map[string]string{
		"PATH": "/mine", "LANG": "C", "TZ": "UTC", "AWS_XRAY_CONTEXT_MISSING": "IGNORE", "PYTHONPATH": "/my", "EMPTY_": "", "WITH_EQUALS": "a=b",
		"AWS_REGION": "x", "AWS_DEFAULT_REGION": "x", "AWS_EXECUTION_ENV": "x", "AWS_LAMBDA_FUNCTION_NAME": "x", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "x",
		"AWS_LAMBDA_FUNCTION_VERSION": "x", "AWS_LAMBDA_INITIALIZATION_TYPE": "x", "AWS_LAMBDA_LOG_GROUP_NAME": "x", "AWS_LAMBDA_LOG_STREAM_NAME": "x",
		"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "x", "AWS_LAMBDA_RUNTIME_API": "x",
		"LAMBDA_TASK_ROOT": "x", "LAMBDA_RUNTIME_DIR": "x", "_HANDLER": "x", "_X_AMZN_TRACE_ID": "x", "_OWN": "x", "_LAMBDA_TELEMETRY_LOG_FD": "x",
	}
	got, _ := vars(t, func(o *environment.Options) {
		o.Version.Config.Environment = own
		o.Version.Config.LogGroup = "/shared"
		o.Version.Number = 3
		o.InitType = kiln.Provisioned
		o.Runtime = kiln.Runtime{Identifier: "python3.11", Family: "python", Command: []string{"/bootstrap"}, Env: map[string]string{"PYTHONPATH": "/var/runtime"}}
	})
	for name, value := range own {
		if value == "x" && got[name] == "x" {
			t.Errorf("the function changed %s", name)
		}
		if value != "x" && got[name] != value {
			t.Errorf("%s: got %q, want %q", name, got[name], value)
		}
	}
	for _, name := range []string{"_X_AMZN_TRACE_ID", "_OWN", "AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL"} {
		if _, there := got[name]; there {
			t.Errorf("%s is there", name)
		}
	}
	for name, want := range map[string]string{"AWS_LAMBDA_FUNCTION_VERSION": "3", "AWS_LAMBDA_LOG_GROUP_NAME": "/shared", "AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11"} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
}

// open is a box whose processes see the host's files.
type open struct{ *box }

func (open) HostPath(inside string) string {
	for _, dir := range []string{"/tmp", "/var/task", "/var/lang", "/var/runtime"} {
		if rest, ok := strings.CutPrefix(inside, dir); ok {
			return "/host" + dir + rest
		}
	}
	return inside
}

func TestWithoutAFilesystemOfItsOwnAProgramIsToldWhereThingsLie(t *testing.T) {
	env := make(chan map[string]string, 1)
	b := newBox(func(p *proc) sandbox.ExitStatus {
		env <- p.env
		return loop(echo)(p)
	})
	r := start(t, b, func(o *environment.Options) {
		o.Sandbox = open{b}
		o.Version.Config.Environment = map[string]string{"OWN": "/var/task/x", "PYTHONPATH": "lib:/var/task/lib"}
		o.Runtime = kiln.Runtime{Identifier: "python3.11", Family: "python", Command: []string{"/var/lang/bin/python3.11", "-S", "-X:dir=/var/runtime/x", "-X:n=1", "/var/runtime/bootstrap.py"}}
	})
	r.free()
	if got, want := b.log()[0], "start /host/var/lang/bin/python3.11 -S -X:dir=/host/var/runtime/x -X:n=1 /host/var/runtime/bootstrap.py"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got := <-env
	for name, want := range map[string]string{
		"TMPDIR": "/host/tmp", "LAMBDA_TASK_ROOT": "/host/var/task", "PYTHONPATH": "lib:/host/var/task/lib", "OWN": "/var/task/x",
		"PATH": "/host/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
}

func TestTheHandlerIsPartOfTheCommandWhereTheRuntimeWantsIt(t *testing.T) {
	b := newBox(loop(echo))
	r := start(t, b, func(o *environment.Options) {
		o.Version.Config.Handler = "main"
		o.Runtime = kiln.Runtime{Identifier: "go1.x", Family: "go", Command: []string{"/var/task/${HANDLER}"}}
	})
	r.free()
	if got := b.log()[0]; got != "start /var/task/main" {
		t.Errorf("got %s", got)
	}
}

func TestEachEnvironmentHasCredentialsOfItsOwn(t *testing.T) {
	a, _ := vars(t, func(*environment.Options) {})
	b, _ := vars(t, func(*environment.Options) {})
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if a[name] == b[name] || len(a[name]) < 40 {
			t.Errorf("%s: got %q and %q", name, a[name], b[name])
		}
	}
	if a["AWS_ACCESS_KEY_ID"] != "123456789012" {
		t.Errorf("the key id %q does not name the account", a["AWS_ACCESS_KEY_ID"])
	}
}
