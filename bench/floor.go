package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

// The floor of a warm call is what any server between a client and a runtime must
// do: read a request from one connection, write it to another, and the answer
// back. Backend and proxy do just that and parse no more than a length.

// backend answers every request with its own body.
func backend() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			in := bufio.NewReaderSize(c, 64<<10)
			var out []byte
			for {
				_, body, err := message(in, nil)
				if err != nil {
					return
				}
				out = append(out[:0], "HTTP/1.1 200 OK\r\nContent-Length: "...)
				out = strconv.AppendInt(out, int64(len(body)), 10)
				out = append(append(out, "\r\n\r\n"...), body...)
				if _, err := c.Write(out); err != nil {
					return
				}
			}
		}()
	}
}

// proxy forwards each connection to one of its own to the backend.
func proxy(to string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			up, err := net.Dial("tcp", to)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return
			}
			defer up.Close()
			in, back := bufio.NewReaderSize(c, 64<<10), bufio.NewReaderSize(up, 64<<10)
			var buf []byte
			for {
				raw, _, err := message(in, buf)
				if err != nil {
					return
				}
				if _, err := up.Write(raw); err != nil {
					return
				}
				if raw, _, err = message(back, raw); err != nil {
					return
				}
				if _, err := c.Write(raw); err != nil {
					return
				}
				buf = raw
			}
		}()
	}
}

// message reads one HTTP message into buf: all of it, and its body.
func message(r *bufio.Reader, buf []byte) (raw, body []byte, err error) {
	raw = buf[:0]
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, nil, err
		}
		raw = append(raw, line...)
		if len(line) == 2 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, nil, err
			}
		}
	}
	head := len(raw)
	raw = append(raw, make([]byte, length)...)
	if _, err := io.ReadFull(r, raw[head:]); err != nil {
		return nil, nil, err
	}
	return raw, raw[head:], nil
}
