// Command probe runs inside a box and says what it can do there.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	switch os.Args[1] {
	case "hello":
		fmt.Println("hello", os.Getuid(), os.Getpid())
	case "sleep":
		time.Sleep(time.Hour)
	}
}
