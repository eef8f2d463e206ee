// Package s3code fetches packages that lie in S3, or in anything that speaks its
// protocol: the code of functions and of layers that a request names by bucket and key.
//
// Credentials come from where AWS's own tools have them (variables, profiles, a
// container's or a machine's role) and are looked for at each fetch, so that changed
// ones count at once. They are the server's: whoever may create functions reads what
// they may read.
//
// The package keeps nothing, writes nothing to S3, and does not know what is in an
// object.
package s3code
