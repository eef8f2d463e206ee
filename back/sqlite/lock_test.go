package sqlite_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/back/sqlite"
)

// TestMain turns the test binary into the holder of a lock when it is asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("KILN_TEST_LOCK"); dir != "" {
		if _, err := sqlite.Lock(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		bufio.NewReader(os.Stdin).ReadString('\n') // until killed, or the test ends
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestASecondServerOnADirectoryIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), "KILN_TEST_LOCK="+dir)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("the holder said %q, %v", line, err)
	}

	began := time.Now()
	_, err = sqlite.Lock(dir)
	if kiln.CodeOf(err) != kiln.Conflict || !strings.Contains(err.Error(), fmt.Sprintf("process %d", holder.Process.Pid)) {
		t.Errorf("lock gave %v, want a Conflict that names process %d", err, holder.Process.Pid)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the refusal took %v, want less than a second", took)
	}

	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // it was killed
	release, err := sqlite.Lock(dir)
	if err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	if _, err := sqlite.Lock(dir); kiln.CodeOf(err) != kiln.Conflict {
		t.Errorf("a second lock of one process gave %v, want a Conflict", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	release, err = sqlite.Lock(dir)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
