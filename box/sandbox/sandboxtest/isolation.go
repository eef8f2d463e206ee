package sandboxtest

import (
	"slices"
	"strings"
	"testing"
)

// isolation is what a driver keeps if it claims it. The marks A01 and so on are
// those of the list of hostile inputs.
var isolation = []claim{
	{"the box sees its mounts and nothing else", filesystem, seesOnlyItsMounts},
	{"everything but the scratch directory is read-only (A20)", filesystem, readOnlyEverywhere},
	{"a source below a private folder is visible, and a mask hides what it covers", filesystem, privateSourceAndMask},
	{"a later mount may lie inside an earlier one, and links of a package do not lead out", filesystem, mountsInside},
	{"a file covers one that a mount brought", filesystem, fileCoversFile},
	{"a missing target in a read-only mount is an error that leaves nothing", filesystem, missingTarget},
	{"scratch directories are apart, and new ones are empty", filesystem, scratchesAreApart},
	{"boxes share a host directory, and what they make there is its owner's", shares, sharesAreCommon},
	{"a file of a shared directory may be larger than the box", shares, sharesAreLarge},
	{"programs that run cannot be overwritten, nor process 1 touched (A01)", filesystem, cannotOverwritePrograms},
	{"a program has no descriptors but the three (A02)", filesystem, onlyThreeDescriptors},
	{"chroot does not lead out (A04)", filesystem, chrootDoesNotLeadOut},
	{"kernel settings cannot be written (A06)", filesystem, kernelSettings},
	{"kernel files are hidden, and what libraries read is there (A07)", filesystem, kernelFiles},
	{"nothing can be mounted, no namespace be made (A08)", systemCalls, cannotMount},
	{"no device can be made or opened, no file by handle (A10)", filesystem, cannotMakeDevices},
	{"a setuid program lends nothing (A11)", user, setuidLendsNothing},
	{"other processes cannot be traced, read or seen (A12)", processes, otherProcessesOutOfReach},
	{"calls that widen the attack are refused (A14)", systemCalls, hostileCalls},
	{"no terminal can be typed into (A16)", filesystem, noTerminal},
	{"only unix, internet and route sockets can be opened (A17)", systemCalls, socketKinds},
	{"calls of a foreign convention are refused", systemCalls, foreignCalls},
	{"ordinary programs find what they need", systemCalls, ordinaryCalls},
	{"a program is an unprivileged user of its own", user, unprivileged},
	{"zombies are reaped and process ids are the box's own", processes, zombiesAreReaped},
	{"kill -1 reaches nobody outside, and the init survives", processes, killEverybody},
	{"nothing is reachable but what Listen opened", network, onlyListenersReachable},
	{"no socket without a file leads to the host or another box (A18)", network, abstractSockets},
	{"one box cannot use up what the kernel counts for each user (B09)", userLimits, perUserLimits},
	{"memory beyond the limit kills, and the box can be used again", memory, memoryLimit},
	{"when a child runs out of memory the whole box ends", memory, memoryEndsAll},
	{"writing 500 MB to the scratch directory does not count as memory", scratchDisk, scratchIsNotMemory},
	{"the highest memory use is known after it was given back", memory, peakIsRemembered},
	{"the scratch directory is full at its size", scratch, scratchIsFull},
	{"the scratch directory holds a limited number of files", scratch, scratchInodes},
	{"a file cannot be larger than the box", scratch, sparseFiles},
	{"the CPU quota holds and can be changed", processor, cpuQuota},
	{"a fork bomb stops at the limit and KillAll ends it", pids, forkBomb},
	{"descriptors are limited", pids, descriptorLimit},
	{"busy threads gain no processor time while frozen", freezing, frozenMeansFrozen},
	{"processes that make others all the time stop, go on and end", freezing, churnIsFrozen},
}

// expect compares the results of a probe with what is acceptable for each name; a
// name that begins with "wanted" must be "ok".
func expect(t *testing.T, output string, want map[string][]string) {
	t.Helper()
	got := results(output)
	for name, acceptable := range want {
		if len(got[name]) == 0 {
			t.Errorf("%s: was not tried", name)
		}
		for _, g := range got[name] {
			if !slices.Contains(acceptable, g) {
				t.Errorf("%s: got %s, want one of %v", name, g, acceptable)
			}
		}
	}
	for name, gs := range got {
		if !strings.HasPrefix(name, "wanted") {
			continue
		}
		for _, g := range gs {
			if g != "ok" {
				t.Errorf("%s: got %s, want ok", name, g)
			}
		}
	}
}

// refused holds every name of a probe's output to a list of acceptable results, but
// for the wanted ones and those in except.
func refused(t *testing.T, output string, acceptable []string, except map[string][]string) {
	t.Helper()
	want := map[string][]string{}
	for name := range results(output) {
		if !strings.HasPrefix(name, "wanted") {
			want[name] = acceptable
		}
	}
	for name, a := range except {
		want[name] = a
	}
	if len(want) < 2 {
		t.Errorf("the probe tried too little: %q", output)
	}
	expect(t, output, want)
}
