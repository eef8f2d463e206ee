package mapping

import "kiln"

// This file is pure: it reads no clock and starts nothing.

// wish is what somebody asks of a mapping.
type wish int

const (
	toUpdate wish = iota
	toEnable
	toDisable
	toDelete
)

// userInitiated is the reason of every transition that a request causes, as it was
// recorded for queues.
const userInitiated = "USER_INITIATED"

// settled are the states in which a mapping stays, and takes requests.
func settled(s kiln.MappingState) bool {
	return s == kiln.MappingEnabled || s == kiln.MappingDisabled
}

// begin gives the state in which a request puts a mapping, and refuses it while another
// one is under way.
func begin(s kiln.MappingState, w wish) (kiln.MappingState, error) {
	if !settled(s) {
		what := "update"
		if w == toDelete {
			what = "delete"
		}
		return s, kiln.Errorf(kiln.Conflict, "Cannot %s the event source mapping because it is in use.", what)
	}
	switch {
	case w == toDelete:
		return kiln.MappingDeleting, nil
	case w == toEnable && s == kiln.MappingDisabled:
		return kiln.MappingEnabling, nil
	case w == toDisable && s == kiln.MappingEnabled:
		return kiln.MappingDisabling, nil
	}
	return kiln.MappingUpdating, nil
}

// settle gives the state that a mapping reaches when what was asked for is done.
func settle(enabled bool) kiln.MappingState {
	if enabled {
		return kiln.MappingEnabled
	}
	return kiln.MappingDisabled
}
