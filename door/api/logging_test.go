package api

import (
	"testing"

	"kiln"
	"kiln/door/lambda"
)

func TestLoggingIsChangedWhereItIsSentAndLevelsNeedJSON(t *testing.T) {
	in := func(format, application, system, group string) *lambda.LoggingConfig {
		return &lambda.LoggingConfig{LogFormat: present(format), ApplicationLogLevel: present(application), SystemLogLevel: present(system), LogGroup: present(group)}
	}
	const noLevels = lambda.InvalidParameterValueException + `: LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the LogFormat to "JSON" and try again.`
	inJSON := kiln.Logging{Format: "JSON", ApplicationLevel: "DEBUG", SystemLevel: "WARN"}
	for _, c := range []struct {
		name string
		had  kiln.Logging
		in   *lambda.LoggingConfig
		want kiln.Logging
		err  string
	}{
		{"nothing sent", inJSON, nil, inJSON, ""},
		{"JSON alone", kiln.Logging{}, in("JSON", "", "", ""), kiln.Logging{Format: "JSON", ApplicationLevel: "INFO", SystemLevel: "INFO"}, ""},
		{"JSON with levels", kiln.Logging{}, in("JSON", "FATAL", "DEBUG", ""), kiln.Logging{Format: "JSON", ApplicationLevel: "FATAL", SystemLevel: "DEBUG"}, ""},
		{"a level of what is JSON", inJSON, in("", "TRACE", "", ""), kiln.Logging{Format: "JSON", ApplicationLevel: "TRACE", SystemLevel: "WARN"}, ""},
		{"a level of what is text", kiln.Logging{}, in("", "TRACE", "", ""), kiln.Logging{}, noLevels},
		{"a level with text", inJSON, in("Text", "", "WARN", ""), inJSON, noLevels},
		{"text again", inJSON, in("Text", "", "", ""), kiln.Logging{}, ""},
		{"the group alone", inJSON, in("", "", "", "g"), inJSON, ""},
	} {
		cfg := kiln.Config{LogGroup: "old", Logging: c.had}
		err := logging(&cfg, c.in)
		if (err != nil || c.err != "") && (err == nil || err.Error() != c.err) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.err)
		}
		group := "old"
		if c.name == "the group alone" {
			group = "g"
		}
		if cfg.Logging != c.want || cfg.LogGroup != group {
			t.Errorf("%s: got %+v", c.name, cfg)
		}
	}
}
