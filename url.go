package kiln

import "time"

// FunctionURL is the web address of a function or of one of its aliases.
type FunctionURL struct {
	Function   FunctionID
	Qualifier  Qualifier // an alias, or "" for the function itself
	ID         string    // the first label of its host name
	Auth       URLAuth
	InvokeMode InvokeMode
	CORS       *CORS // nil: what the function says of other origins is all there is
	Created    time.Time
	Modified   time.Time
}

// ARN gives the ARN of what the address leads to.
func (u *FunctionURL) ARN() string { return u.Function.QualifiedARN(u.Qualifier) }

// URLAuth is who may call a function URL.
type URLAuth string

// Kinds of URLAuth.
const (
	URLAuthNone URLAuth = "NONE"    // everybody whom the function's policy lets in
	URLAuthIAM  URLAuth = "AWS_IAM" // those who sign their requests
)

// InvokeMode is how the answer of a function becomes one of HTTP.
type InvokeMode string

// Kinds of InvokeMode.
const (
	Buffered     InvokeMode = "BUFFERED"        // whole, from the JSON that the function returns
	StreamedMode InvokeMode = "RESPONSE_STREAM" // while the function writes it
)

// CORS is what the service itself says to browsers about pages of other origins. Nil
// members were not sent.
type CORS struct {
	AllowCredentials *bool
	AllowHeaders     []string
	AllowMethods     []string
	AllowOrigins     []string
	ExposeHeaders    []string
	MaxAge           *int // seconds
}
