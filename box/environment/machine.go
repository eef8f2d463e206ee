package environment

import "fmt"

// State is where an environment stands. One value, one table: what may happen next
// is below and nowhere else.
type State int32

// The states.
const (
	Created        State = iota // nothing was started yet
	Initializing                // the first runtime process runs and has not asked for work
	Failing                     // it said init/error and should exit
	Ready                       // it waits for work; the slot is free
	Frozen                      // the same, but nothing in the box runs
	Invoking                    // an event is with the function
	Responded                   // its answer is here, the next request for work is not
	Broken                      // no process runs; the next invocation starts one
	Restarting                  // an invocation waits for the process it had to start
	RestartFailing              // that process said init/error and should exit
	Dead                        // over
	states
)

// event is something that happened to an environment.
type event int

const (
	started     event = iota // the environment was made
	asked                    // the runtime asked for work
	initFailed               // the runtime said init/error
	startFailed              // the program could not be executed
	exited                   // the runtime ended; all that it had sent was heard
	deadline                 // the time that was armed is up
	invoked                  // the slot's owner brings an invocation
	answered                 // the runtime answered it, well or badly
	rested                   // the slot's owner has no work for now
	sandboxGone              // the box ended without being asked to
	closed                   // the owner wants it to end
	events
)

// action is something to do, in the order given.
type action int

const (
	startRuntime  action = iota
	armInit              // the limit of a first init
	armGrace             // the time to exit after init/error
	armInvocation        // the function's timeout, unless it runs already
	disarm
	endInit       // init went well: measure the first one, put limits on
	reportInit    // say that an init failed
	release       // the slot is free: one token
	freeze        // stop every process
	thaw          // let them go on
	deliver       // give the event to the runtime
	deliverAgain  // give the same event again
	answer        // give the caller the runtime's answer
	fail          // give the caller what went wrong
	refuse        // tell the caller that the function never saw the event
	kill          // end every process and connection
	endInvocation // END and REPORT
	over          // nothing more happens here
)

// arrow is what an event leads to.
type arrow struct {
	to      State
	actions []action
}

// table holds every legal arrow; Created is never a target, so an empty arrow is an
// illegal one. An exit or a deadline leads to Broken with the
// slot free: the next invocation starts a new process within its own timeout, as
// AWS's suppressed init does, and /tmp keeps its files.
var table = [states][events]arrow{
	Created: {
		started: {Initializing, []action{armInit, startRuntime}},
		closed:  {Dead, []action{over}},
	},
	Initializing: {
		asked:       {Ready, []action{disarm, endInit, release}},
		initFailed:  {Failing, []action{armGrace}},
		startFailed: {Broken, []action{disarm, kill, reportInit, release}},
		exited:      {Broken, []action{disarm, kill, reportInit, release}},
		deadline:    {Broken, []action{kill, reportInit, release}},
		sandboxGone: {Dead, []action{over}},
		closed:      {Dead, []action{over}},
	},
	Failing: {
		exited:      {Broken, []action{disarm, kill, reportInit, release}},
		deadline:    {Broken, []action{kill, reportInit, release}},
		sandboxGone: {Dead, []action{over}},
		closed:      {Dead, []action{over}},
	},
	Ready: {
		asked:       {Ready, nil}, // it lost its connection and asks again
		invoked:     {Invoking, []action{armInvocation, deliver}},
		rested:      {Frozen, []action{freeze}},
		exited:      {Broken, []action{kill}},
		sandboxGone: {Dead, []action{over}},
		closed:      {Dead, []action{over}},
	},
	Frozen: {
		asked:       {Frozen, nil}, // sent before the freeze, heard after it
		invoked:     {Invoking, []action{thaw, armInvocation, deliver}},
		rested:      {Frozen, nil},
		exited:      {Broken, []action{kill, thaw}},
		sandboxGone: {Dead, []action{over}},
		closed:      {Dead, []action{over}},
	},
	Invoking: {
		asked:       {Invoking, []action{deliverAgain}},
		answered:    {Responded, []action{answer}},
		exited:      {Broken, []action{disarm, kill, fail, endInvocation, release}},
		deadline:    {Broken, []action{fail, kill, endInvocation, release}},
		sandboxGone: {Dead, []action{fail, endInvocation, over}},
		closed:      {Dead, []action{fail, endInvocation, over}},
	},
	Responded: {
		asked:       {Ready, []action{disarm, endInvocation, release}},
		exited:      {Broken, []action{disarm, kill, endInvocation, release}},
		deadline:    {Broken, []action{kill, endInvocation, release}},
		sandboxGone: {Dead, []action{endInvocation, over}},
		closed:      {Dead, []action{endInvocation, over}},
	},
	Broken: {
		invoked:     {Restarting, []action{armInvocation, startRuntime}},
		rested:      {Broken, nil},
		sandboxGone: {Dead, []action{over}},
		closed:      {Dead, []action{over}},
	},
	Restarting: {
		asked:       {Invoking, []action{endInit, deliver}},
		initFailed:  {RestartFailing, []action{armGrace}},
		startFailed: {Broken, []action{disarm, kill, reportInit, fail, endInvocation, release}},
		exited:      {Broken, []action{disarm, kill, reportInit, fail, endInvocation, release}},
		deadline:    {Broken, []action{reportInit, fail, kill, endInvocation, release}},
		sandboxGone: {Dead, []action{refuse, over}},
		closed:      {Dead, []action{refuse, over}},
	},
	RestartFailing: {
		exited:      {Broken, []action{disarm, kill, reportInit, fail, endInvocation, release}},
		deadline:    {Broken, []action{kill, reportInit, fail, endInvocation, release}},
		sandboxGone: {Dead, []action{refuse, over}},
		closed:      {Dead, []action{refuse, over}},
	},
	Dead: {}, // nothing
}

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
	"Created", "Initializing", "Failing", "Ready", "Frozen", "Invoking", "Responded",
	"Broken", "Restarting", "RestartFailing", "Dead",
}

var eventNames = [events]string{
	"started", "asked", "init-failed", "start-failed", "exited", "deadline-passed", "invoke",
	"responded", "rest", "sandbox-gone", "close",
}

var actionNames = [...]string{
	"StartRuntime", "ArmInit", "ArmGrace", "ArmInvocation", "Disarm", "EndInit", "ReportInit",
	"Release", "Freeze", "Thaw", "Deliver", "DeliverAgain", "Answer", "Fail", "Refuse", "Kill",
	"EndInvocation", "Over",
}
