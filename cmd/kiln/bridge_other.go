//go:build !linux

package main

// bridged reports false: functions run on Linux.
func bridged() (code int, ok bool) { return 0, false }
