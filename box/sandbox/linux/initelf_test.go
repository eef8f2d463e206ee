package linux

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var writeInit = flag.Bool("write-init", false, "write the committed init programs from their listings")

func TestTheCommittedInitIsWhatItsListingAssembles(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		got, err := assembleInit(arch)
		if err != nil {
			t.Fatal(err)
		}
		name := "init_" + arch + ".elf"
		if *writeInit {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want := initFor(arch); !bytes.Equal(got, want) { // the committed file, as it was embedded
			t.Errorf("%s differs from its listing: got %d bytes, want %d", name, len(got), len(want))
		}
	}
}

func TestNoInitForAnUnknownArchitecture(t *testing.T) {
	if _, err := assembleInit("riscv64"); err == nil {
		t.Error("got an init program for riscv64, want an error")
	}
	if got := initFor("riscv64"); got != nil {
		t.Errorf("got %d bytes, want none", len(got))
	}
}
