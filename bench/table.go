package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// row is one figure: kiln beside its floor, a value a round.
type row struct {
	name, unit  string
	kiln, floor []float64
	goal        string
}

// table collects rows and prints each as it comes.
type table struct{ rows []row }

func (t *table) add(r row) {
	t.rows = append(t.rows, r)
	fmt.Println(r)
}

// ratio is the median of the ratios of the rounds, and their spread.
func (r row) ratio() (median, low, high float64) {
	var all []float64
	for i := range r.kiln {
		if i < len(r.floor) && r.floor[i] > 0 {
			all = append(all, r.kiln[i]/r.floor[i])
		}
	}
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[0], all[len(all)-1]
}

// String is the row as one line.
func (r row) String() string {
	cells := r.cells()
	return fmt.Sprintf("%-58s kiln %-14s floor %-14s ratio %-22s goal %s", cells[0], cells[1], cells[2], cells[3], cells[4])
}

func (r row) cells() [5]string {
	out := [5]string{r.name, fmt.Sprintf("%.4g %s", middle(r.kiln), r.unit), "–", "–", r.goal}
	if len(r.floor) > 0 {
		m, low, high := r.ratio()
		out[2] = fmt.Sprintf("%.4g %s", middle(r.floor), r.unit)
		out[3] = fmt.Sprintf("%.2f (%.2f–%.2f)", m, low, high)
	} else if len(r.kiln) > 1 {
		out[1] += fmt.Sprintf(" (%.4g–%.4g)", slices.Min(r.kiln), slices.Max(r.kiln))
	}
	return out
}

func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// write puts the results into a file of Markdown.
func (t *table) write(file string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Results of `make bench`\n\n%d processors, %s. Medians; kiln and its floor took turns in one run, and only the ratio (median, lowest–highest round) is a claim.\n\n", runtime.NumCPU(), runtime.Version())
	b.WriteString("| Figure | kiln | floor | ratio | goal |\n|---|---|---|---|---|\n")
	for _, r := range t.rows {
		c := r.cells()
		fmt.Fprintf(&b, "| %s |\n", strings.Join(c[:], " | "))
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
