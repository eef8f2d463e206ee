package telemetry

import (
	"fmt"
	"strings"
	"time"

	"kiln"
)

// Text gives the event as one record of its source's log, without newline: a line of
// AWS's text format, or an object where the source logs JSON. What a function wrote is
// as it was written.
func (e *Event) Text() string {
	switch {
	case e.Type == Line, e.Type == ExtensionLine:
		return string(e.Line)
	case e.Source != nil && e.Source.Logging.JSON():
		return string(e.AppendJSON(nil, Newest))
	}
	switch e.Type {
	case InitStart:
		s := "INIT_START Runtime Version: " + e.Runtime
		if e.ARN != "" { // a container image has none
			s += "\tRuntime Version ARN: " + e.ARN
		}
		return s
	case InitReport:
		s := fmt.Sprintf("INIT_REPORT Init Duration: %.2f ms\tPhase: %s", ms(e.Report.Init), e.Phase)
		if e.failed() {
			s += "\tStatus: " + e.wordOfStatus()
		}
		if e.Report.ErrorType != "" {
			s += "\tError Type: " + e.Report.ErrorType
		}
		return s
	case Start:
		return "START RequestId: " + e.RequestID + " Version: " + e.Source.Version
	case End:
		return "END RequestId: " + e.RequestID
	case Report:
		return e.report()
	case Extension:
		s := "EXTENSION\tName: " + e.Name + "\tState: " + e.State + "\tEvents: [" + strings.Join(e.Names, ", ") + "]"
		if e.Report.ErrorType != "" {
			s += "\tError Type: " + e.Report.ErrorType
		}
		return s
	case Subscription:
		return "TELEMETRY\tName: " + e.Name + "\tState: " + e.State + "\tTypes: [" + capitals(e.Names) + "]"
	case LogsSubscribed:
		return "LOGS\tName: " + e.Name + "\tState: " + e.State + "\tTypes: [" + capitals(e.Names) + "]"
	case Dropped:
		return fmt.Sprintf("LOGS_DROPPED Records: %d", e.Count)
	}
	return string(e.Line)
}

// report gives the REPORT line.
func (e *Event) report() string {
	r := &e.Report
	var b strings.Builder
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB",
		e.RequestID, ms(r.Duration), r.Billed.Milliseconds(), r.MemoryMB, r.MaxMemoryMB)
	if r.Init > 0 {
		fmt.Fprintf(&b, "\tInit Duration: %.2f ms", ms(r.Init))
	}
	switch r.Status {
	default:
		b.WriteByte('\t') // as AWS's line ends
	case kiln.StatusTimeout, kiln.StatusFailure: // an error that the handler returned has no status on AWS
		b.WriteString("\tStatus: " + e.wordOfStatus())
		if r.ErrorType != "" && r.Status == kiln.StatusFailure {
			b.WriteString("\tError Type: " + r.ErrorType)
		}
	}
	return b.String()
}

// wordOfStatus gives the ending in the words of the text format, which has no failure.
func (e *Event) wordOfStatus() string {
	if e.Report.Status == kiln.StatusFailure {
		return string(kiln.StatusError)
	}
	return string(e.Report.Status)
}

// capitals joins words, each with a capital letter.
func capitals(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		if w != "" {
			list[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(list, ", ")
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
