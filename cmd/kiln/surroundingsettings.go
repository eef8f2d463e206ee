package main

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"

	"kiln"
)

// pairs reads "A=B,C=D" into set, which says whether a pair is one of its form.
func pairs(s string, set func(name, value string) bool, form string) error {
	for _, pair := range strings.Split(s, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		if name, value, ok := strings.Cut(pair, "="); !ok || !set(name, value) {
			return errors.New(form + " is expected, several separated by commas, each name once: " + pair)
		}
	}
	return nil
}

var (
	accessPoint = regexp.MustCompile(`^arn:aws[a-z-]*:(elasticfilesystem:[a-z0-9-]+:\d{12}:access-point/fsap-[a-f0-9]{17}|s3files:[a-z0-9-]+:\d{12}:file-system/fs-[0-9a-f]{17,40}/access-point/fsap-[0-9a-f]{17,40})$`)
	networkID   = regexp.MustCompile(`^(subnet|sg)-[0-9a-zA-Z]+$`)
)

// fileSystems reads which directory stands for which access point.
func fileSystems(c *config, s string) error {
	c.FileSystems = kiln.FileSystems{}
	return pairs(s, func(arn, dir string) bool {
		if c.FileSystems[arn] != "" || !accessPoint.MatchString(arn) || !filepath.IsAbs(dir) {
			return false
		}
		c.FileSystems[arn] = filepath.Clean(dir)
		return true
	}, "the ARN of an access point and an absolute directory such as arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0=/srv/shared")
}

// networks reads the profiles of subnets and security groups.
func networks(c *config, s string) error {
	c.Networks = kiln.Networks{}
	return pairs(s, func(id, profile string) bool {
		if _, twice := c.Networks[id]; twice || !networkID.MatchString(id) || profile != "outbound" && profile != "none" {
			return false
		}
		c.Networks[id] = profile == "outbound"
		return true
	}, "a subnet or security group with outbound or none, such as subnet-1a=none,sg-1=outbound")
}

// checkSurroundings refuses what a sandbox without a network and files of its own does
// not give.
func (c *config) checkSurroundings(chosen map[string]choice) error {
	if c.Sandbox != "process" {
		return nil
	}
	if len(c.FileSystems) > 0 {
		return usagef("%s: --sandbox process shows functions the files of this machine as they are and puts nothing at /mnt", chosen["file-systems"])
	}
	for _, outbound := range c.Networks {
		if !outbound {
			return usagef("%s: --sandbox process uses this machine's network and cannot keep functions from it", chosen["vpc"])
		}
	}
	return nil
}
