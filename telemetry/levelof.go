package telemetry

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"kiln"
)

// validJSON reports whether text is JSON.
func validJSON(text []byte) bool { return json.Valid(text) }

// stamps are the members in which runtimes and loggers put the time of a record.
var stamps = []string{"timestamp", "time", "@timestamp", "ts", "Timestamp", "@t"}

// LevelOf gives the level of a line of a log of JSON as AWS finds it: what the member
// level of an object says that has a valid time as well, and INFO for everything else.
func LevelOf(line []byte) string {
	line = bytes.TrimSpace(line)
	if len(line) < 2 || line[0] != '{' {
		return kiln.LevelInfo
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(line, &members) != nil || !timed(members) {
		return kiln.LevelInfo
	}
	for _, name := range []string{"level", "Level", "log_level", "severity"} {
		var level string
		if json.Unmarshal(members[name], &level) != nil {
			continue
		}
		switch level = strings.ToUpper(level); level {
		case kiln.LevelTrace, kiln.LevelDebug, kiln.LevelInfo, kiln.LevelWarn, kiln.LevelError, kiln.LevelFatal:
			return level
		case "WARNING":
			return kiln.LevelWarn
		case "CRITICAL":
			return kiln.LevelFatal
		}
	}
	return kiln.LevelInfo
}

// timed reports whether one of the members is a time as RFC 3339 writes it.
func timed(members map[string]json.RawMessage) bool {
	for _, name := range stamps {
		var text string
		if json.Unmarshal(members[name], &text) != nil {
			continue
		}
		if _, err := time.Parse(time.RFC3339, text); err == nil {
			return true
		}
	}
	return false
}
