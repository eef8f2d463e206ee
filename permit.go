package kiln

// Permit is the right to run one invocation now. Whoever got it calls Release
// exactly once, when the environment's slot is free again or the call has failed.
type Permit interface{ Release() }
