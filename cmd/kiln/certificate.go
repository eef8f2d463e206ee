package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a pair of files that is read again when one of them changed, so
// that a renewed certificate is served without a restart. While the new pair cannot
// be read, the old one goes on.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time
	looked  time.Time
}

// openCertificate reads the pair once, or says why it cannot be used.
func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	stamp, err := c.stamps()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", certFile, keyFile, err)
	}
	c.current, c.stamp = &pair, stamp
	return c, nil
}

// config gives what a listener needs to serve the pair.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil },
	}
}

// get gives the pair to serve at now. It looks at the files at most once a second.
func (c *certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	if now.Sub(c.looked) < time.Second {
		defer c.mu.Unlock()
		return c.current
	}
	c.looked = now
	old := c.stamp
	c.mu.Unlock()

	stamp, err := c.stamps()
	if err == nil && stamp == old {
		return c.serving()
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile)
	}
	if err != nil {
		c.log.Warn("the renewed certificate cannot be read; the old one goes on", "error", err)
		return c.serving()
	}
	c.log.Info("certificate renewed", "file", c.certFile)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.stamp = &pair, stamp
	return c.current
}

func (c *certificate) serving() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

func (c *certificate) stamps() (out [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return out, err
		}
		out[i] = info.ModTime()
	}
	return out, nil
}
