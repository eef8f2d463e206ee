package environment

import "kiln/box/rapi"

// initial reports whether an init runs: extensions may subscribe to telemetry.
func (s State) initial() bool {
	switch s {
	case Created, Initializing, Restarting:
		return true
	}
	return false
}

// extensionName gives the name of an extension by the identifier that it got when it
// registered.
func (e *Environment) extensionName(id string) (string, *rapi.Refusal) {
	if id == "" {
		return "", &rapi.Refusal{Status: 403, Type: "Extension.MissingExtensionIdentifier", Message: "Missing Lambda-Extension-Identifier header"}
	}
	if name, ok := e.names[id]; ok {
		return name, nil
	}
	return "", &rapi.Refusal{Status: 403, Type: "Extension.UnknownExtensionIdentifier", Message: "Unknown extension " + id}
}
