//go:build !linux

package main

// attacks are tried on Linux alone.
var attacks = map[string]func(args []string){}
