package network

// Ability is one thing that a host has or lacks, for "kiln doctor" to print.
type Ability struct {
	Name     string // a few plain words
	OK       bool
	Required bool   // without it there is no outbound network at all
	Detail   string // what was found, or the kernel's answer
	Cost     string // what its lack costs; empty when OK
}

// add notes an ability: it is there when err is nil.
func add(list []Ability, name string, required bool, err error, detail, cost string) []Ability {
	a := Ability{Name: name, OK: err == nil, Required: required, Detail: detail}
	if err != nil {
		a.Detail, a.Cost = err.Error(), cost
	}
	return append(list, a)
}
