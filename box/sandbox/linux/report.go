package linux

// Report is what this host can do for sandboxes, for "kiln doctor" to print.
type Report struct {
	System    string // operating system, kernel release and architecture
	Tier      string // how far boxes are kept apart, in a few words; "" when there can be none
	Abilities []Ability
}

// Ability is one thing that a host has or lacks.
type Ability struct {
	Name     string // a few plain words
	OK       bool
	Required bool   // without it this driver does not work at all
	Detail   string // what was found, or the kernel's answer
	Cost     string // what its lack costs; empty when OK
}

// Usable says whether every required ability is there.
func (r Report) Usable() bool {
	for _, a := range r.Abilities {
		if a.Required && !a.OK {
			return false
		}
	}
	return true
}

// add notes an ability: it is there when err is nil.
func (r *Report) add(name string, required bool, err error, detail, cost string) {
	a := Ability{Name: name, OK: err == nil, Required: required, Detail: detail}
	if err != nil {
		a.Detail, a.Cost = err.Error(), cost
	}
	r.Abilities = append(r.Abilities, a)
}
