package main

import (
	"reflect"
	"testing"

	"kiln/client"
)

func TestLogSettingsAreAskedForWhereTheyDiffer(t *testing.T) {
	have := &client.LoggingConfig{LogFormat: orNil("JSON"), ApplicationLogLevel: orNil("INFO"), SystemLogLevel: orNil("WARN"), LogGroup: orNil("g")}
	for _, c := range []struct {
		name string
		said map[string]string
		have *client.LoggingConfig
		want *client.LoggingConfig
	}{
		{"nothing", nil, nil, nil},
		{"nothing of what is there", nil, have, nil},
		{"what is there", map[string]string{"log-format": "json", "log-level": "info", "system-log-level": "Warn"}, have, nil},
		{"the format", map[string]string{"log-format": "JSON"}, nil, &client.LoggingConfig{LogFormat: orNil("JSON")}},
		{"a level", map[string]string{"log-level": "error"}, have, &client.LoggingConfig{ApplicationLogLevel: orNil("ERROR")}},
		{"back to text", map[string]string{"log-format": "text"}, have, &client.LoggingConfig{LogFormat: orNil("Text")}},
		{"the platform's level", map[string]string{"log-format": "json", "system-log-level": "debug"}, have, &client.LoggingConfig{LogFormat: orNil("JSON"), SystemLogLevel: orNil("DEBUG")}},
	} {
		f := &function{}
		for _, k := range functionKeys() {
			if s, ok := c.said[k.key]; ok {
				if err := k.set(f, s); err != nil {
					t.Errorf("%s: %s: %v", c.name, k.key, err)
				}
			}
		}
		if got := f.Log.wanted(c.have); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	for key, bad := range map[string]string{"log-format": "xml", "log-level": "loud", "system-log-level": "fatal"} {
		for _, k := range functionKeys() {
			if k.key == key && k.set(&function{}, bad) == nil {
				t.Errorf("--%s %s was taken", key, bad)
			}
		}
	}
}
