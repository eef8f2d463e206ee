package environment

import "fmt"

// State is where an environment stands. One value, one table: what may happen next
// is below and nowhere else.
type State int32

// The states. "Everybody" is the runtime and whichever extensions a state waits for.
const (
	Created        State = iota // nothing was started yet
	Registering                 // the extensions run and not all of them have registered
	Initializing                // the first runtime process runs and not everybody has asked for work
	Failing                     // it said init/error and should exit
	Ready                       // everybody waits for work; the slot is free
	Frozen                      // the same, but nothing in the box runs
	Invoking                    // an event is with the function
	Responded                   // its answer is here, the next request for work of everybody is not
	Stopping                    // something went wrong; the runtime has its time to end
	Parting                     // the extensions have theirs
	Broken                      // no process runs; the next invocation starts all of them
	Reregistering               // an invocation waits for the extensions that it had to start
	Restarting                  // and for the runtime
	RestartFailing              // that process said init/error and should exit
	Closing                     // the owner wants an end; the runtime has its time to end
	Leaving                     // the extensions have theirs
	Dead                        // over
	states
)

// event is something that happened to an environment.
type event int

const (
	started     event = iota // the environment was made
	registered               // every extension that was started has registered
	asked                    // everybody who is waited for asked for work; in Invoking, the runtime did
	initFailed               // the runtime said init/error
	startFailed              // a program could not be executed
	exited                   // the runtime or an extension ended, or an extension said that it will; all that it had sent was heard
	deadline                 // the time that was armed is up
	invoked                  // the slot's owner brings an invocation
	answered                 // the runtime answered it, well or badly
	rested                   // the slot's owner has no work for now
	stopped                  // the runtime that had to stop is no more
	parted                   // nor is any extension
	sandboxGone              // the box ended without being asked to
	closed                   // the owner wants it to end
	events
)

// action is something to do, in the order given.
type action int

const (
	startExtensions action = iota // those of /opt/extensions; none is soon done
	startRuntime
	armInit       // the limit of a first init
	armGrace      // the time to exit after init/error
	armInvocation // the function's timeout, unless it runs already
	disarm
	endInit       // init went well: measure the first one, put limits on
	reportInit    // say that an init failed
	release       // the slot is free: one token, unless one is out
	freeze        // stop every process
	thaw          // let them go on
	deliver       // give the event to the runtime and to the extensions that want it
	deliverAgain  // give the runtime the same event again
	answer        // give the caller the runtime's answer
	fail          // give the caller what went wrong
	refuse        // tell the caller that the function never saw the event
	stop          // no other time runs on; give the runtime its time to end, or kill everything when nobody gets any
	killRuntime   // its time is up
	part          // tell the extensions to end, kill those that are not to be told, and give them the rest of the time
	kill          // end every process and connection that is left
	endInvocation // END and REPORT
	over          // nothing more happens here
)

// arrow is what an event leads to.
type arrow struct {
	to      State
	actions []action
}

// table holds every legal arrow; Created is never a target, so an empty arrow is an
// illegal one. An exit or a deadline leads to Broken, by way of Stopping and Parting,
// with the slot free: the next invocation starts new processes within its own timeout,
// as AWS's suppressed init does, and /tmp keeps its files.
var table = [states][events]arrow{
	Created: {
		started: {Registering, []action{armInit, startExtensions}},
		closed:  {Dead, []action{over}},
	},
	Registering: {
		registered:  {Initializing, []action{startRuntime}},
		startFailed: {Stopping, []action{stop, reportInit}},
		exited:      {Stopping, []action{stop, reportInit}},
		deadline:    {Stopping, []action{stop, reportInit}},
		sandboxGone: {Dead, []action{over}},
		closed:      {Closing, []action{stop}},
	},
	Initializing: {
		asked:       {Ready, []action{disarm, endInit, release}},
		initFailed:  {Failing, []action{armGrace}},
		startFailed: {Stopping, []action{stop, reportInit}},
		exited:      {Stopping, []action{stop, reportInit}},
		deadline:    {Stopping, []action{stop, reportInit}},
		sandboxGone: {Dead, []action{over}},
		closed:      {Closing, []action{stop}},
	},
	Failing: {
		exited:      {Stopping, []action{stop, reportInit}},
		deadline:    {Stopping, []action{stop, reportInit}},
		sandboxGone: {Dead, []action{over}},
		closed:      {Closing, []action{stop}},
	},
	Ready: {
		asked:       {Ready, nil}, // somebody lost a connection and asks again
		invoked:     {Invoking, []action{armInvocation, deliver}},
		rested:      {Frozen, []action{freeze}},
		exited:      {Stopping, []action{stop}},
		sandboxGone: {Dead, []action{over}},
		closed:      {Closing, []action{stop}},
	},
	Frozen: {
		asked:       {Frozen, nil}, // sent before the freeze, heard after it
		invoked:     {Invoking, []action{thaw, armInvocation, deliver}},
		rested:      {Frozen, nil},
		exited:      {Stopping, []action{stop, thaw}}, // stop thaws before, when somebody gets time
		sandboxGone: {Dead, []action{over}},
		closed:      {Closing, []action{stop}},
	},
	Invoking: {
		asked:       {Invoking, []action{deliverAgain}},
		answered:    {Responded, []action{answer}},
		exited:      {Stopping, []action{stop, fail, endInvocation}},
		deadline:    {Stopping, []action{fail, stop, endInvocation}},
		sandboxGone: {Dead, []action{fail, endInvocation, over}},
		closed:      {Closing, []action{fail, stop, endInvocation}},
	},
	Responded: {
		asked:       {Ready, []action{disarm, endInvocation, release}},
		exited:      {Stopping, []action{stop, endInvocation}},
		deadline:    {Stopping, []action{stop, endInvocation}},
		sandboxGone: {Dead, []action{endInvocation, over}},
		closed:      {Closing, []action{stop, endInvocation}},
	},
	Stopping: {
		asked:       {Stopping, nil}, // there is no more work
		stopped:     {Parting, []action{part}},
		deadline:    {Parting, []action{killRuntime, part}},
		sandboxGone: {Dead, []action{over}},
		closed:      {Closing, nil},
	},
	Parting: {
		asked:       {Parting, nil},
		parted:      {Broken, []action{disarm, kill, release}},
		deadline:    {Broken, []action{kill, release}},
		sandboxGone: {Dead, []action{over}},
		closed:      {Leaving, nil},
	},
	Broken: {
		invoked:     {Reregistering, []action{armInvocation, startExtensions}},
		rested:      {Broken, nil},
		sandboxGone: {Dead, []action{over}},
		closed:      {Dead, []action{over}},
	},
	Reregistering: {
		registered:  {Restarting, []action{startRuntime}},
		startFailed: {Stopping, []action{stop, reportInit, fail, endInvocation}},
		exited:      {Stopping, []action{stop, reportInit, fail, endInvocation}},
		deadline:    {Stopping, []action{reportInit, fail, stop, endInvocation}},
		sandboxGone: {Dead, []action{refuse, over}},
		closed:      {Closing, []action{refuse, stop}},
	},
	Restarting: {
		asked:       {Invoking, []action{endInit, deliver}},
		initFailed:  {RestartFailing, []action{armGrace}},
		startFailed: {Stopping, []action{stop, reportInit, fail, endInvocation}},
		exited:      {Stopping, []action{stop, reportInit, fail, endInvocation}},
		deadline:    {Stopping, []action{reportInit, fail, stop, endInvocation}},
		sandboxGone: {Dead, []action{refuse, over}},
		closed:      {Closing, []action{refuse, stop}},
	},
	RestartFailing: {
		exited:      {Stopping, []action{stop, reportInit, fail, endInvocation}},
		deadline:    {Stopping, []action{stop, reportInit, fail, endInvocation}},
		sandboxGone: {Dead, []action{refuse, over}},
		closed:      {Closing, []action{refuse, stop}},
	},
	Closing: {
		asked:       {Closing, nil},
		stopped:     {Leaving, []action{part}},
		deadline:    {Leaving, []action{killRuntime, part}},
		sandboxGone: {Dead, []action{over}},
	},
	Leaving: {
		asked:       {Leaving, nil},
		parted:      {Dead, []action{over}},
		deadline:    {Dead, []action{over}},
		sandboxGone: {Dead, []action{over}},
	},
	Dead: {}, // nothing
}

// initial reports whether an init runs.
func (s State) initial() bool {
	switch s {
	case Registering, Initializing, Reregistering, Restarting:
		return true
	}
	return false
}

// resetting reports whether what is left of a failure is on its way out.
func (s State) resetting() bool { return s == Stopping || s == Parting }

// ending reports whether nothing will be started here any more.
func (s State) ending() bool { return s == Closing || s == Leaving || s == Dead }

// step decides: the state that an event leads to and what has to be done. An event
// that the state does not know is an error and changes nothing.
func step(s State, e event) (State, []action, error) {
	a := table[s][e]
	if a.to == Created {
		return s, nil, &illegal{s, e}
	}
	return a.to, a.actions, nil
}

// illegal is an event that is not allowed in a state.
type illegal struct {
	state State
	event event
}

// Error says what was not allowed, and when.
func (i *illegal) Error() string {
	return fmt.Sprintf("environment: event %s not allowed in state %s", i.event, i.state)
}

// String gives the name that stories use.
func (s State) String() string { return stateNames[s] }

// String gives the name that stories use.
func (e event) String() string { return eventNames[e] }

// String gives the name that stories use.
func (a action) String() string { return actionNames[a] }

var stateNames = [states]string{
	"Created", "Registering", "Initializing", "Failing", "Ready", "Frozen", "Invoking", "Responded", "Stopping", "Parting",
	"Broken", "Reregistering", "Restarting", "RestartFailing", "Closing", "Leaving", "Dead",
}

var eventNames = [events]string{
	"started", "registered", "asked", "init-failed", "start-failed", "exited", "deadline-passed", "invoke",
	"responded", "rest", "stopped", "parted", "sandbox-gone", "close",
}

var actionNames = [...]string{
	"StartExtensions", "StartRuntime", "ArmInit", "ArmGrace", "ArmInvocation", "Disarm", "EndInit", "ReportInit",
	"Release", "Freeze", "Thaw", "Deliver", "DeliverAgain", "Answer", "Fail", "Refuse", "Stop", "KillRuntime", "Part", "Kill",
	"EndInvocation", "Over",
}
