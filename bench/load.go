package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load is what a number of clients saw in one window.
type load struct {
	calls int
	p50   time.Duration
	p99   time.Duration
	cpu   time.Duration // of the server process
	took  time.Duration
}

func (l load) perSecond() float64  { return float64(l.calls) / l.took.Seconds() }
func (l load) cpuPerCall() float64 { return float64(l.cpu.Microseconds()) / float64(max(l.calls, 1)) }

// drive lets clients call one address with the same request until the window is
// over, each on a connection of its own, and takes the CPU time of a process.
func drive(ctx context.Context, address string, request []byte, clients int, window time.Duration, pid int) (load, error) {
	ctx, cancel := context.WithTimeout(ctx, window)
	defer cancel()
	var mu sync.Mutex
	var times []time.Duration
	var first error
	var wg sync.WaitGroup
	cpu, err := cpuOf(pid)
	if err != nil {
		return load{}, err
	}
	begin := time.Now()
	for range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			mine, err := caller(ctx, address, request)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, mine...)
			if err != nil && first == nil {
				first = err
			}
		}()
	}
	wg.Wait()
	took := time.Since(begin)
	after, err := cpuOf(pid)
	if err != nil {
		return load{}, err
	}
	if first != nil {
		return load{}, first
	}
	slices.Sort(times)
	if len(times) == 0 {
		return load{}, fmt.Errorf("no call of %s was answered", address)
	}
	return load{len(times), times[len(times)/2], times[len(times)*99/100], after - cpu, took}, nil
}

func caller(ctx context.Context, address string, request []byte) ([]time.Duration, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	var times []time.Duration
	var buf []byte
	for ctx.Err() == nil {
		begin := time.Now()
		if _, err := c.Write(request); err != nil {
			return nil, err
		}
		raw, _, err := message(r, buf)
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(raw, []byte("HTTP/1.1 200")) || bytes.Contains(raw, []byte("X-Amz-Function-Error")) {
			return nil, fmt.Errorf("answer %.300q", raw)
		}
		times = append(times, time.Since(begin))
		buf = raw
	}
	return times, nil
}

// cpuOf gives the user and system time of a process so far.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil // USER_HZ is 100 on every Linux
}

// invocation is the request of an invoke.
func invocation(host, function, payload string) []byte {
	return fmt.Appendf(nil, "POST /2015-03-31/functions/%s/invocations HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", function, host, len(payload), payload)
}
