// Package lambda is the AWS Lambda API on the wire: which operation a request is,
// its input decoded and checked, its output or error encoded exactly as the service
// encodes it. Routes, shapes, codecs, constraints and the error table are generated
// from the API model.
//
// It knows nothing of functions: a Service answers, this package only translates.
// It never authenticates, never logs a payload and imports nothing but the standard
// library.
package lambda

//go:generate go run kiln/internal/gen -model ../../model -server . -client ../../client
