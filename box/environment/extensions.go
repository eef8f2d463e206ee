package environment

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"kiln"
	"kiln/box/rapi"
	"kiln/box/sandbox"
	"kiln/telemetry"
)

// extensionsDir is where the programs of external extensions lie in the box.
const extensionsDir = "/opt/extensions/"

// startExtensions begins an init: it opens the API and starts every external extension.
// Without one they have all registered at once.
func (e *Environment) startExtensions() {
	if !e.beginInit() {
		return
	}
	for _, name := range e.extensions {
		x := &extension{name: name, id: kiln.NewID()}
		e.life.extensions = append(e.life.extensions, x)
		switch {
		case len(e.life.extensions) > kiln.MaxExtensions:
			e.failLaunch(x, "TooManyExtensions", "Extension limit ("+strconv.Itoa(kiln.MaxExtensions)+") reached")
			return
		case strings.ContainsFunc(name, unicode.IsControl): // no header can hold such a name
			x.name = strconv.Quote(name)
			e.failLaunch(x, "InvalidExtensionName", "The name of an extension has a control character: "+x.name)
			return
		}
		if !e.launch(x) {
			return
		}
	}
	if len(e.extensions) == 0 {
		e.follow = append(e.follow, registered)
	}
}

// launch starts the program of an external extension; what goes wrong is followed by
// what has to be done about it.
func (e *Environment) launch(x *extension) bool {
	output, err := e.journal.extensions()
	if err != nil {
		e.trouble("start the extension "+x.name, err)
		return false
	}
	path := extensionsDir + x.name
	program := sandbox.Program{
		Path: path, Args: []string{path}, Dir: "/", Stdout: output, Stderr: output,
		Env: extensionVariables(e.version, e.runtime, e.initType, addresses{e.life.address, e.endpoint()}, e.credentials),
	}
	if h, ok := e.sandbox.(sandbox.HostPather); ok {
		onHost(&program, h)
	}
	process, err := e.sandbox.Start(e.starts, program)
	var cannot *sandbox.StartError
	switch {
	case errors.As(err, &cannot):
		errorType := "UnknownError"
		if errors.Is(err, syscall.EACCES) {
			errorType = "PermissionDenied"
		}
		e.failLaunch(x, errorType, "fork/exec "+path+": "+cannot.Err.Error())
		return false
	case err != nil:
		e.trouble("start the extension "+x.name, err)
		return false
	}
	x.process = process
	e.watch(e.life, x)
	return true
}

// failLaunch notes that an extension could not be started.
func (e *Environment) failLaunch(x *extension, errorType, message string) {
	x.state, x.errorType = extensionLaunchError, errorType
	e.blame(&fault{kiln.StatusFailure, typeExtensionLaunch, message, nil})
	e.follow = append(e.follow, startFailed)
}

// watch tells the environment's goroutine when an extension's process has ended and all
// that it had sent was heard.
func (e *Environment) watch(l *life, x *extension) {
	e.wg.Add(1)
	go func() {
		defer e.wg.Done()
		<-x.process.Exited()
		l.server.SettleExtension(x.id, settleTime)
		l.send(message{kind: departed, life: l, extension: x})
	}()
}

// depart takes the end of an extension's process.
func (e *Environment) depart(x *extension) {
	x.gone = true
	status := x.process.Status()
	switch {
	case status.OutOfTurn:
	case e.state == Parting || e.state == Leaving:
		if !e.life.external() {
			e.must(parted)
		}
	case e.state.resetting() || e.state.ending():
	default:
		x.state = extensionExited
		e.blame(crashFault(status))
		e.must(exited)
	}
}

// external reports whether the process of an external extension runs.
func (l *life) external() bool {
	for _, x := range l.extensions {
		if x.alive() {
			return true
		}
	}
	return false
}

// find gives the extension of an identifier.
func (l *life) find(id string) (*extension, *rapi.Refusal) {
	for _, x := range l.extensions {
		if x.id == id && x.state != extensionStarted && x.state != extensionLaunchError {
			return x, nil
		}
	}
	return nil, &rapi.Refusal{Status: 403, Type: "Extension.UnknownExtensionIdentifier", Message: "Unknown extension " + id}
}

// extensionName gives the name of the extension that has an identifier.
func (e *Environment) extensionName(id string) (string, *rapi.Refusal) {
	if id == "" {
		return "", &rapi.Refusal{Status: 403, Type: "Extension.MissingExtensionIdentifier", Message: "Missing Lambda-Extension-Identifier header"}
	}
	x, refusal := e.life.find(id)
	if refusal != nil {
		return "", refusal
	}
	return x.name, nil
}

// enrol judges a registration and takes the extension in.
func (e *Environment) enrol(r rapi.Registration) verdict {
	var x *extension
	for _, known := range e.life.extensions {
		if known.name == r.Name {
			x = known
		}
	}
	if x == nil || x.internal {
		if refusal := e.admitInternal(r, x != nil); refusal != nil {
			return verdict{refusal: refusal}
		}
		x = &extension{name: r.Name, id: kiln.NewID(), internal: true}
		e.life.extensions = append(e.life.extensions, x)
	}
	if refusal := x.move(extensionRegistered); refusal != nil {
		return verdict{refusal: refusal}
	}
	x.invoke, x.shutdown = r.Invoke, r.Shutdown
	if (e.state == Registering || e.state == Reregistering) && e.life.allRegistered() {
		e.must(registered)
	}
	return verdict{registered: &rapi.Registered{
		Identifier: x.id, Function: e.version.Function.Name, Version: e.version.Name(),
		Handler: e.version.Config.Handler, Account: e.version.Function.Account,
	}}
}

// admitInternal judges whether an internal extension may register: a part of the
// runtime's process, until the runtime has asked for work.
func (e *Environment) admitInternal(r rapi.Registration, taken bool) *rapi.Refusal {
	refuse := func(errorType, message string) *rapi.Refusal {
		return &rapi.Refusal{Status: 403, Type: "Extension." + errorType, Message: message}
	}
	switch {
	case e.state == Registering || e.state == Reregistering:
		return refuse("InvalidExtensionName", "There is no file of this name in "+extensionsDir)
	case r.Shutdown:
		return refuse("InvalidEventType", "SHUTDOWN: an internal extension cannot register for it")
	case e.life.closed || !e.state.initial():
		return refuse("RegistrationClosed", "Extension registration closed already")
	case taken:
		return refuse("InvalidExtensionState", "Extension with this name already registered")
	case len(e.life.extensions) >= kiln.MaxExtensions:
		return refuse("TooManyExtensions", "Extension limit ("+strconv.Itoa(kiln.MaxExtensions)+") reached")
	}
	return nil
}

// allRegistered reports whether every extension has registered.
func (l *life) allRegistered() bool {
	for _, x := range l.extensions {
		if x.state == extensionStarted {
			return false
		}
	}
	return true
}

// attune takes a GET event/next; the last one that is waited for is an event of the
// machine.
func (e *Environment) attune(p *petition) {
	x, refusal := e.life.find(p.id)
	if refusal == nil {
		refusal = x.move(extensionReady)
	}
	if refusal != nil {
		p.listener.told <- news{err: refusal}
		return
	}
	x.listen(p.listener)
	switch e.state {
	case Initializing, Restarting, Responded:
		if e.gathered() {
			e.must(asked)
		}
	}
}

// gathered reports whether the runtime and all extensions wait for work. An extension
// that is not told of invocations has waited since init.
func (e *Environment) gathered() bool {
	if !e.runtimeAsked {
		return false
	}
	for _, x := range e.life.extensions {
		if !x.asked {
			return false
		}
	}
	return true
}

// failExtension takes an error that an extension gives: whatever runs has failed.
func (e *Environment) failExtension(p *petition, to extensionState) verdict {
	x, refusal := e.life.find(p.id)
	if refusal == nil {
		refusal = x.move(to)
	}
	if refusal != nil {
		return verdict{refusal: refusal}
	}
	x.errorType = p.errorType
	if e.state.resetting() || e.state.ending() {
		return verdict{}
	}
	f := &fault{kiln.StatusFailure, typeExtensionExit, p.errorType, nil}
	if to == extensionInitError {
		f.errorType = typeExtensionInit
	}
	e.blame(f)
	e.must(exited)
	return verdict{}
}

// inform gives the invocation to every extension that registered for it.
func (e *Environment) inform() {
	for _, x := range e.life.extensions {
		if x.invoke {
			x.give(&rapi.ExtensionEvent{
				Identifier: kiln.NewID(), DeadlineMS: e.call.event.DeadlineMS,
				RequestID: e.call.event.RequestID, ARN: e.call.event.ARN, Trace: e.call.event.Trace,
			})
		}
	}
}

// tellExtensions says where every extension stands at the end of an init.
func (e *Environment) tellExtensions() {
	if e.life == nil {
		return
	}
	for _, x := range e.life.extensions {
		e.journal.platform(telemetry.Event{
			Type: telemetry.Extension, Name: x.name, State: x.state.String(), Names: x.events(), Report: kiln.Report{ErrorType: x.errorType},
		})
	}
}
