package main

import (
	"errors"
	"strconv"
)

// budget reads the memory of all environments together.
func budget(c *config, s string) error {
	if s == "auto" {
		c.MemoryBudget = 0
		return nil
	}
	n, err := parseSize(s)
	if err == nil && n < 128<<20 {
		err = errors.New("at least 128MB, the memory of the smallest function, is expected")
	}
	c.MemoryBudget = n
	return err
}

// overcommit reads how many times the memory may be promised.
func overcommit(c *config, s string) error {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 1 && n <= 10) {
		return errors.New("a number from 1 to 10 such as 1.5 is expected")
	}
	c.MemoryOvercommit = n
	return nil
}

// reserve reads what the machine keeps for itself.
func reserve(c *config, s string) (err error) {
	c.HostReserve = 0
	if s != "auto" {
		c.HostReserve, err = parseSize(s)
	}
	return err
}
