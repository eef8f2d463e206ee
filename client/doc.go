// Package client calls the AWS Lambda API of a server: one method an operation, with
// shapes generated from the API model. It works with kiln and with anything that speaks
// the same API.
//
// It is thin on purpose: standard library only, no retries, no waiters, no configuration
// read from files or the environment.
package client
