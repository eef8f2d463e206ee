// Package pack turns what a user points at (a folder, a zip, a program, one source
// file) into the package of a function, and says which language, runtime and
// handler it found in there. It also writes the starters of kiln init. It never
// talks to a server, reads no configuration and changes nothing in the folder that
// it packs.
package pack
