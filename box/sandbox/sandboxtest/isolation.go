package sandboxtest

// isolation is what a driver keeps if it claims it.
var isolation = []claim{}
