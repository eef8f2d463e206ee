package auth

// Refusal is why a request's identity is not taken, as AWS names and words it.
type Refusal struct {
	Type    string // the exception, as X-Amzn-ErrorType has it
	Message string
}

// Error gives the message.
func (r *Refusal) Error() string { return r.Message }

// incomplete refuses a signature with missing or unreadable parts.
func incomplete(message string) error { return &Refusal{"IncompleteSignatureException", message} }

// mismatch refuses a signature whose parts are readable and wrong.
func mismatch(message string) error { return &Refusal{"InvalidSignatureException", message} }

// What Keys refuses: a key that nobody has, or that does not belong to its session
// token; and a session that is over.
var (
	ErrUnknownKey = &Refusal{"UnrecognizedClientException", "The security token included in the request is invalid."}
	ErrExpired    = &Refusal{"ExpiredTokenException", "The security token included in the request is expired"}
)

// unrecognized refuses who claims to be somebody else.
func unrecognized() error { return ErrUnknownKey }

// missing refuses a request that does not say who sends it.
func missing(message string) error {
	return &Refusal{"MissingAuthenticationTokenException", message}
}
