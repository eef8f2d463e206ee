package main

import "testing"

func TestAsManyEnvironmentsAsDescriptorsAllow(t *testing.T) {
	for descriptors, want := range map[uint64]int{0: 1, 1024: 1, 1040: 1, 1056: 2, 20000: 1186, 1 << 20: 4000, 1<<64 - 1: 4000} {
		if got := environmentsWithin(descriptors); got != want {
			t.Errorf("%d descriptors: %d environments, want %d", descriptors, got, want)
		}
	}
}
