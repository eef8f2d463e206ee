package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// programs are what a box must be able to run, with or without isolation.
var programs = map[string]func(args []string){
	"show":        show,
	"exit":        func(args []string) { os.Exit(number(args[0])) },
	"suicide":     suicide,
	"sleep":       func([]string) { time.Sleep(time.Hour) },
	"deaf":        deaf,
	"pid":         pid,
	"orphan":      orphan,
	"busy":        busy,
	"idle":        idle,
	"spin":        spin,
	"echo":        echo,
	"connect":     connect,
	"serve":       serve,
	"descriptors": descriptors,
	"cat":         cat,
	"write":       writeFile,
	"flood":       flood,
	"hog":         hog,
	"hogchild":    hogChild,
	"children":    children,
	"churn":       churn,
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	check(err)
	return n
}

// show prints what the program was given.
func show(args []string) {
	dir, err := os.Getwd()
	check(err)
	rest, err := io.ReadAll(os.Stdin)
	check(err)
	fmt.Printf("args=%q\nenv=%q\ndir=%s\nstdin=%d\n", args, os.Environ(), dir, len(rest))
	fmt.Fprintln(os.Stderr, "to stderr")
}

// suicide sends itself a signal, as a program does that wants the default action.
func suicide(args []string) {
	signal.Reset()
	check(syscall.Kill(syscall.Getpid(), syscall.Signal(number(args[0]))))
	time.Sleep(10 * time.Second)
	fmt.Println("still alive")
}

// deaf ignores every signal that can be ignored, and says when it does.
func deaf([]string) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

// pid prints its process id and stays.
func pid([]string) {
	fmt.Println(os.Getpid())
	time.Sleep(time.Hour)
}

// orphan starts a child that keeps the standard output and ends before it.
func orphan(args []string) {
	c := exec.Command("/proc/self/exe", "deaf")
	if runtime.GOOS != "linux" {
		c.Path = os.Args[0]
	}
	c.Stdout = os.Stdout
	check(c.Start())
	fmt.Println("child started")
}

// busy burns processor time in n threads and says when it begins.
func busy(args []string) {
	for range number(args[0]) {
		go func() {
			for {
				_ = number("1")
			}
		}()
	}
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

// idle waits in n threads and says when it has them.
func idle(args []string) {
	n := number(args[0])
	up := make(chan bool)
	for range n - 1 {
		go func() {
			runtime.LockOSThread()
			up <- true
			var p [2]int
			check(syscall.Pipe(p[:]))
			_, err := syscall.Read(p[0], make([]byte, 1))
			check(err)
		}()
	}
	for range n - 1 {
		<-up
	}
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

// spin burns one processor for a time and prints how often it came round.
func spin(args []string) {
	fmt.Println("ready")
	until := time.Now().Add(time.Duration(number(args[0])) * time.Millisecond)
	n := 0
	for time.Now().Before(until) {
		n++
	}
	fmt.Println(n)
}

// echo copies lines that it gets over the network back.
func echo(args []string) {
	c, err := net.DialTimeout("tcp", args[0], 5*time.Second)
	check(err)
	in := bufio.NewScanner(c)
	for in.Scan() {
		_, err := fmt.Fprintf(c, "echo %s\n", in.Text())
		check(err)
	}
}

// connect says for each address whether somebody answers there.
func connect(args []string) {
	for _, a := range args {
		c, err := net.DialTimeout("tcp", a, 2*time.Second)
		if err != nil {
			fmt.Printf("%s closed: %v\n", a, err)
			continue
		}
		fmt.Println(a, "open")
		check(c.Close())
	}
}

// serve listens on an address and says when it does.
func serve(args []string) {
	l, err := net.Listen("tcp", args[0])
	check(err)
	fmt.Println("ready", l.Addr())
	time.Sleep(time.Hour)
}

// descriptors writes a word to each descriptor that it is given and prints which other
// pipes and sockets below 64 are open.
func descriptors(args []string) {
	given := map[string]bool{"0": true, "1": true, "2": true}
	for _, a := range args {
		given[a] = true
		_, err := os.NewFile(uintptr(number(a)), a).WriteString("to " + a + "\n")
		check(err)
	}
	all, _ := os.ReadDir("/proc/self/fd") // none where there is no such directory
	for _, e := range all {
		link, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if !given[e.Name()] && number(e.Name()) < 64 && (strings.HasPrefix(link, "pipe:") || strings.HasPrefix(link, "socket:")) {
			fmt.Println("open", e.Name(), link)
		}
	}
	fmt.Println("end")
}

// cat prints files.
func cat(args []string) {
	for _, a := range args {
		b, err := os.ReadFile(a)
		check(err)
		fmt.Print(string(b))
	}
}

// writeFile writes one small file and prints the error, if any.
func writeFile(args []string) {
	if err := os.WriteFile(args[0], []byte(args[1]), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("written")
}

// flood writes megabytes of a file and says where it ended.
func flood(args []string) {
	f, err := os.Create(args[0])
	check(err)
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 7)
	}
	for i := range number(args[1]) {
		if _, err := f.Write(block); err != nil {
			fmt.Printf("stopped after %d MiB: %v\n", i, err)
			return
		}
	}
	fmt.Println("wrote all")
	check(f.Close())
	if len(args) > 2 && args[2] == "stay" {
		time.Sleep(time.Hour)
	}
}

// hog takes megabytes of memory, touches each page and says so.
func hog(args []string) {
	var kept [][]byte
	for range number(args[0]) {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 512 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	fmt.Println("took all", len(kept))
	if len(args) > 1 && args[1] == "free" {
		kept = nil
		runtime.GC()
		debug.FreeOSMemory()
		fmt.Println("freed")
	}
	time.Sleep(time.Hour)
}

// hogChild leaves the hogging to a child and waits for it for ever.
func hogChild(args []string) {
	c := exec.Command("/proc/self/exe", append([]string{"hog"}, args...)...)
	c.Stdout = os.Stdout
	check(c.Start())
	time.Sleep(time.Hour)
}

// children forks n processes that stay and says how far it got.
func children(args []string) {
	for i := range number(args[0]) {
		c := exec.Command("/proc/self/exe", "sleep")
		if err := c.Start(); err != nil {
			fmt.Printf("stopped after %d: %s\n", i, strings.TrimSpace(err.Error()))
			time.Sleep(time.Hour)
		}
	}
	fmt.Println("started all")
	time.Sleep(time.Hour)
}

// churn says that it lives, starts itself again and ends: a chain of processes none of
// which lives for long.
func churn([]string) {
	fmt.Print(".")
	c := exec.Command("/proc/self/exe", "churn")
	c.Stdout = os.Stdout
	check(c.Start())
}
