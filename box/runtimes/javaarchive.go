package runtimes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// classArchive is the place of the archive of loaded classes in the bootstrap's
// directory.
const classArchive = "lib/kiln.jsa"

// archiveTimeout bounds the making of one archive.
const archiveTimeout = 30 * time.Second

// archivesClasses reports whether a Java can use, in a box, an archive that was made
// outside of one: since version 20 it is the names of the jars that count, not where
// they lie.
func archivesClasses(i *interpreter) bool {
	major, err := strconv.Atoi(i.minor())
	return err == nil && major >= 20 && i.Root == ""
}

// archiveArguments lets a Java map the archive. It says nothing when it cannot, as
// with an agent that changes classes: then it loads them from the jar.
func archiveArguments(i *interpreter) []string {
	logs := "-Xlog:cds*=off"
	if major, err := strconv.Atoi(i.minor()); err == nil && major >= 25 {
		logs += ",aot*=off"
	}
	return []string{"-XX:SharedArchiveFile=" + runtimeDir + "/" + classArchive, logs}
}

// makeClassArchive runs a function that comes with the bootstrap and keeps what Java
// made of the classes that it loaded, which a cold start then need not do again.
func makeClassArchive(ctx context.Context, i *interpreter, home string) error {
	ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- serveSample(listener) }()
	p := i.program()
	p.env = append(p.env, "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String(), "_HANDLER=kiln.lambda.Sample",
		"LAMBDA_TASK_ROOT="+home, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "LC_ALL="+utf8Locale)
	target := filepath.Join(home, classArchive)
	// The runtime ends with an error, because its connection ends; the archive is written all the same.
	_, err = output(ctx, asSelf, p, "-XX:ArchiveClassesAtExit="+target, "-XX:Flags="+filepath.Join(home, "lib/jvm.flags"),
		"-Dfile.encoding=UTF-8", "-Djava.net.preferIPv4Stack=true", "-jar", filepath.Join(home, "lib/kiln.jar"))
	listener.Close()
	serveErr := <-served
	if _, statErr := os.Stat(target); statErr != nil {
		return errors.Join(err, serveErr, statErr)
	}
	return os.Chmod(target, 0o644)
}

// sampleEvents are what the function is called with: it answers the first and throws
// at the second.
var sampleEvents = []string{
	`{"name": "x", "count": 1, "list": ["a"], "map": {"number": 1.5, "flag": true}}`,
	`{"name": "x", "count": -1}`,
}

// serveSample is the Runtime API of one process for a few invocations.
func serveSample(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for next := 0; next < len(sampleEvents); {
		request, err := http.ReadRequest(in)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return err
		}
		answer := "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
		if request.Method == http.MethodGet {
			answer = fmt.Sprintf("HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: sample\r\nLambda-Runtime-Deadline-Ms: 0\r\n"+
				"Lambda-Runtime-Trace-Id: Root=1\r\nContent-Length: %d\r\n\r\n%s", len(sampleEvents[next]), sampleEvents[next])
			next++
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return err
		}
	}
	// The answer to the last event.
	_, err = http.ReadRequest(in)
	return err
}
