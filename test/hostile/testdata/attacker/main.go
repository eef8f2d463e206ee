// Command attacker is the hostile function of these tests. As a Lambda function it
// does what its event asks; as `attacker once EVENT` it does the same on the host,
// where the attack must work: an attack that works nowhere proves nothing. It
// reports each thing it tried with "ok" or the name of the kernel's answer, and
// never harms when it succeeds.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// event asks for one attack. Each attack says which members it reads.
type event struct {
	Do     string
	Paths  []string
	Dir    string
	Marker string
	Text   string
	Token  string
	PIDs   []int
	Dial   []string
	Limit  int64
	Millis int64
	Hold   bool // `once` stays until its stdin ends
}

// report is what came of it.
type report struct {
	Results map[string]string `json:",omitempty"` // what was tried → "ok", the kernel's answer, or another word
	Numbers map[string]int64  `json:",omitempty"`
	Texts   map[string]string `json:",omitempty"`
}

// attacks are all that an event can ask for.
var attacks = map[string]func(*event, *report){
	"ping": func(*event, *report) {},

	"overwrite": overwrite, "descriptors": descriptors, "chroot": chroot, "settings": settings, "read": readFiles,
	"mount": mounts, "nodes": nodes, "setuid": setuid, "processes": processes, "calls": calls, "terminals": terminals,
	"sockets": sockets, "namespaces": namespaces, "listen": listenAbstract, "connect": connectAbstract, "change": changeFiles, "rewrite": rewrite, "show": show,

	"hog": hog, "fill": fill, "leave": leave, "inodes": inodes, "sparse": sparse, "open": openMany, "inotify": inotify, "keys": keys,
	"shm": sharedMemory, "queues": messageQueues, "semaphores": semaphores, "storm": storm, "flood": flood,
	"connections": connections, "extensions": extensions, "stay": stay, "work": work, "await": await, "remember": remember, "spin": spin,

	"dial": dial, "lookup": lookup, "impersonate": impersonate, "identity": identity, "api": callAPI, "send": send, "signed": signed, "forge": forge, "https": https,
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "whoami" { // the child of "setuid"
		fmt.Printf("%d %d", os.Geteuid(), os.Getegid())
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "sleep" { // the child of "processes"
		_, _ = io.ReadAll(os.Stdin)
		return
	}
	if len(os.Args) < 3 || os.Args[1] != "once" {
		serve()
		return
	}
	var e event
	if err := json.Unmarshal([]byte(os.Args[2]), &e); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(string(run(&e)))
	if e.Hold {
		_, _ = io.ReadAll(os.Stdin)
	}
}

// run does one attack and gives its report as JSON.
func run(e *event) []byte {
	r := &report{Results: map[string]string{}, Numbers: map[string]int64{}, Texts: map[string]string{}}
	attack := attacks[e.Do]
	if attack == nil {
		r.Results["attack"] = "no such attack: " + e.Do
	} else {
		attack(e, r)
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return text
}

// tried notes the result of one thing. Of several results of one name a success
// stays.
func (r *report) tried(name string, err error) {
	if r.Results[name] != "ok" {
		r.Results[name] = word(err)
	}
}

// word gives an error in one word where it can.
func word(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// raw makes a system call.
func raw(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}
