package main

import (
	"errors"
	"strings"
)

// mirrors reads the mirrors of registries. Docker's own registry may be called by the
// name that people know.
func mirrors(c *config, s string) error {
	c.RegistryMirrors = map[string]string{}
	for _, pair := range strings.Split(s, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		registry, mirror, ok := strings.Cut(pair, "=")
		host := strings.TrimPrefix(strings.TrimPrefix(mirror, "https://"), "http://")
		if !ok || registry == "" || host == "" || strings.ContainsAny(registry, "/ ") || strings.ContainsAny(strings.TrimSuffix(host, "/"), "/ @") {
			return errors.New("REGISTRY=HOST is expected, such as docker.io=http://localhost:5000, several separated by commas")
		}
		if registry == "docker.io" {
			registry = "index.docker.io"
		}
		c.RegistryMirrors[registry] = mirror
	}
	return nil
}
