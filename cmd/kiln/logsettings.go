package main

import (
	"errors"
	"strings"

	"kiln"
	"kiln/client"
)

// logSettings are what deploy knows of a function's log; "" is not said.
type logSettings struct{ Format, Application, System string }

// logFormat reads the format of a function's log.
func logFormat(f *function, s string) error {
	switch strings.ToLower(s) {
	case "text":
		f.Log.Format = kiln.FormatText
	case "json":
		f.Log.Format = kiln.FormatJSON
	default:
		return errors.New("text or json is expected")
	}
	return nil
}

// logLevel reads a lowest level into what to gives.
func logLevel(to func(*function) *string, levels ...string) func(*function, string) error {
	return func(f *function, s string) error {
		for _, l := range levels {
			if strings.EqualFold(s, l) {
				*to(f) = l
				return nil
			}
		}
		return errors.New(strings.ToLower(strings.Join(levels, ", ")) + " is expected")
	}
}

// wanted gives what has to be asked for so that a log that is so becomes what was said;
// nil is nothing.
func (l logSettings) wanted(have *client.LoggingConfig) *client.LoggingConfig {
	if have == nil {
		have = &client.LoggingConfig{}
	}
	differs := func(want string, have *string) bool { return want != "" && want != value(have) }
	if !differs(l.Format, have.LogFormat) && !differs(l.Application, have.ApplicationLogLevel) && !differs(l.System, have.SystemLogLevel) {
		return nil
	}
	return &client.LoggingConfig{LogFormat: orNil(l.Format), ApplicationLogLevel: orNil(l.Application), SystemLogLevel: orNil(l.System)}
}
