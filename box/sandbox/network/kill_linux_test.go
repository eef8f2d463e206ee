package network_test

func serveUntilKilled() {}
