package network_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kiln/box/sandbox/network"
)

// serveUntilKilled is another process that opens a network, attaches namespaces and
// says so.
func serveUntilKilled() {
	n, err := network.Open(network.Options{Owner: "testowner", RunDir: os.Args[2], Outbound: true})
	for i := 0; err == nil && i < 5; i++ {
		var fd int
		if fd, err = network.NewNamespace(loopbackUp); err == nil {
			_, err = n.Attach(fd, true)
		}
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	select {} // until it is killed
}

func TestWhatAKilledServerLeavesIsRemovedByTheNext(t *testing.T) {
	outside(t)
	f := stranger(t)
	dropForwarded(t, f, "ip")
	before := snapshot(t)
	dir := t.TempDir()
	server := exec.Command("/proc/self/exe", "serve-until-killed", dir)
	server.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || said != "ready\n" {
		t.Fatalf("the server says %q, %v", said, err)
	}
	device := network.DeviceName("testowner")
	if !strings.Contains(host.run(t, "ip", "-o", "link"), device) {
		t.Fatal("control: the server made no interface")
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait() // says that it was killed
	// The kernel removes by itself what belongs to the gateway and the host's table.
	within(t, 10*time.Second, func() error {
		if strings.Contains(host.run(t, "ip", "-o", "link"), device) {
			return errors.New("the interface outlives the server")
		}
		return nil
	})
	// What only a next start can remove is there.
	if err := expectRules(f, 2); err != nil {
		t.Fatalf("control: %v", err)
	}
	expect(t, "ipv4/ip_forward", "1")
	n := open(t, func(o *network.Options) { o.RunDir = dir })
	if err := expectRules(f, 2); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, "after the next server", snapshot(t), before)
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range left {
		if l.Name() != "lock" {
			t.Errorf("file %s is left", l.Name())
		}
	}
}

func TestALaterNetworkOfAnotherOwnerPutsSettingsBackToo(t *testing.T) {
	outside(t)
	before := snapshot(t)
	dir := t.TempDir()
	server := exec.Command("/proc/self/exe", "serve-until-killed", dir)
	server.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "ready\n" {
		t.Fatalf("the server says %q, %v", said, err)
	}
	other := open(t, func(o *network.Options) { o.RunDir, o.Owner = dir, "another" })
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait() // says that it was killed
	expect(t, "ipv4/ip_forward", "1")
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, func() error {
		if strings.Contains(host.run(t, "ip", "-o", "link"), network.DeviceName("testowner")) {
			return errors.New("the interface outlives the server")
		}
		return nil
	})
	same(t, "after both", snapshot(t), before)
}

func TestALeftGatewayIsRemovedByTheNext(t *testing.T) {
	outside(t)
	before := snapshot(t)
	dir := t.TempDir()
	// As if a process that outlived the server held the gateway: the interface stays.
	hold := newSpace(t)
	host.run(t, "ip", "link", "add", network.DeviceName("testowner"), "type", "veth", "peer", "name", "x")
	move := exec.Command("ip", "link", "set", "x", "netns", "/proc/self/fd/3")
	move.ExtraFiles = append(move.ExtraFiles, dup(hold.fd))
	if out, err := move.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	n := open(t, func(o *network.Options) { o.RunDir = dir })
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, "after the next server", snapshot(t), before)
}
