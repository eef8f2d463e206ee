package telemetry

import "kiln"

// Logged reports whether the event is a record of its source's log. A log of text has
// the lines that AWS writes; a log of JSON has every event whose level is kept.
func (e *Event) Logged() bool {
	var l kiln.Logging
	if e.Source != nil {
		l = e.Source.Logging
	}
	switch e.Type {
	case Line, ExtensionLine:
		return kiln.Keeps(l.ApplicationLevel, e.Level)
	case End:
		return !l.JSON()
	case InitStart:
		if e.Phase == PhaseInvoke { // AWS does not log an init inside an invocation
			return false
		}
	}
	if l.JSON() {
		return kiln.Keeps(l.SystemLevel, e.systemLevel())
	}
	switch e.Type {
	case InitRuntimeDone, RuntimeDone:
		return false
	case InitReport:
		return e.failed() || !e.onDemand()
	}
	return true
}

// systemLevel gives the level that AWS assigns to a system event.
func (e *Event) systemLevel() string {
	switch e.Type {
	case InitRuntimeDone, RuntimeDone:
		if !e.failed() {
			return kiln.LevelDebug
		}
	case InitReport:
		if !e.failed() && e.onDemand() {
			return kiln.LevelDebug
		}
	case InitStart:
		if e.Runtime == "" {
			return kiln.LevelDebug
		}
	case Fault, Dropped:
		return kiln.LevelWarn
	case Extension:
		if e.Report.ErrorType != "" {
			return kiln.LevelWarn
		}
	}
	if e.failed() {
		return kiln.LevelWarn
	}
	return kiln.LevelInfo
}

// onDemand reports whether the environment was made for a call that waited.
func (e *Event) onDemand() bool {
	return e.Source == nil || e.Source.InitType == "" || e.Source.InitType == kiln.OnDemand
}
