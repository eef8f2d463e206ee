package main

import "testing"

func TestTheAPIInsideIsAtTheServersOwnPort(t *testing.T) {
	for port, want := range map[int]string{
		4566: "127.0.0.1:4566",
		443:  "127.0.0.1:443",
		9001: "127.0.0.2:9001", // the Runtime API is at 127.0.0.1:9001
	} {
		if got := insideAddress(port); got != want {
			t.Errorf("port %d: got %s, want %s", port, got, want)
		}
	}
}

func TestAServerThatDidNotStartHasNothingToCloseInside(t *testing.T) {
	if err := (&insideDoor{}).close(); err != nil {
		t.Error(err)
	}
}
