package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// checkup is what a host can do, as kiln doctor prints it and GET
// /_kiln/v1/doctor answers it.
type checkup struct {
	Architecture string    `json:"architecture"` // in Lambda's words
	Kernel       string    `json:"kernel,omitempty"`
	Sandbox      string    `json:"sandbox,omitempty"`   // the driver in use, of a server
	Isolation    string    `json:"isolation,omitempty"` // how far functions are kept apart, in a few words
	Works        bool      `json:"works"`               // serve can work here
	Findings     []finding `json:"findings"`
}

// finding is one thing that was looked at.
type finding struct {
	Name  string `json:"name"`
	State string `json:"state"` // ok, missing, required
	Found string `json:"found,omitempty"`
	Cost  string `json:"cost,omitempty"` // what its lack means
}

// States of a finding. What is required and not there keeps serve from working.
const (
	stateOK       = "ok"
	stateMissing  = "missing"
	stateRequired = "required"
)

// doctorCommand is `kiln doctor`.
func doctorCommand(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what this machine can do, and what each lack costs",
		Long: `Tell what this machine can do for functions, and what each lack costs. The exit code
is 1 if kiln serve cannot work here. With --endpoint-url the server's machine is asked.`,
		Example: "  sudo kiln doctor\n  kiln doctor --endpoint-url http://127.0.0.1:4566 -o json",
		Args:    exactly(),
	}
	open := serverFlags(w, cmd)
	format := outputFlag(w, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		form, err := format()
		if err != nil {
			return err
		}
		var c *checkup
		if cmd.Flags().Changed("endpoint-url") {
			s, err := open()
			if err != nil {
				return err
			}
			c = &checkup{}
			if err := s.get(cmd.Context(), nil, c, "doctor"); err != nil {
				return err
			}
		} else {
			if done, err := examineElsewhere(cmd.Context(), w); done {
				return err
			}
			if c, err = examine(cmd.Context(), w.inside); err != nil {
				return err
			}
		}
		if form == "json" {
			err = printJSON(w.out, c)
		} else {
			err = printTable(w.out, c.rows())
		}
		if err != nil {
			return err
		}
		if !c.Works {
			return &failure{code: exitFunction, what: "kiln serve cannot work here without " + c.lacks(), todo: c.remedy(w)}
		}
		return nil
	}
	return cmd
}

// rows gives a checkup as a table.
func (c *checkup) rows() [][]string {
	rows := [][]string{{"WHAT", "STATE", "FOUND", "WITHOUT IT"}}
	if c.Isolation != "" {
		rows = append(rows, []string{"isolation", stateOK, c.Isolation, ""})
	}
	for _, f := range c.Findings {
		cost := ""
		if f.State != stateOK {
			cost = f.Cost
		}
		rows = append(rows, []string{f.Name, f.State, printable(f.Found), cost})
	}
	return rows
}

// lacks names what is required and not there.
func (c *checkup) lacks() string {
	var names []string
	for _, f := range c.Findings {
		if f.State == stateRequired {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}

// remedy says what may help: who is not root sees less than there is.
func (c *checkup) remedy(w world) string {
	for _, f := range c.Findings {
		if f.Name == "root" && f.State == stateRequired {
			return "`sudo " + w.program + " doctor` shows what root can do; without root and user namespaces there is --sandbox process"
		}
	}
	return "--sandbox process works without, and isolates nothing"
}
