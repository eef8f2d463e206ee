package api

import (
	"net/http"
	"runtime"
	"time"

	"kiln/door/lambda"
)

// About is the answer of GET /_kiln/v1/version.
type About struct {
	Version       string    `json:"version"`
	Started       time.Time `json:"started"`
	UptimeSeconds float64   `json:"uptimeSeconds"`
	Architecture  string    `json:"architecture"` // of the host, as functions name it
	Account       string    `json:"account"`      // the caller's
	Region        string    `json:"region"`
}

// version says what serves here and as whom the caller is seen.
func (s *Server) version(w http.ResponseWriter, _ *http.Request, c *call) {
	s.json(w, http.StatusOK, About{s.o.Version, s.started.UTC(), s.o.Now().Sub(s.started).Seconds(), hostArchitecture(), c.Account, c.Region})
}

// hostArchitecture gives the architecture that runs natively here.
func hostArchitecture() string {
	switch runtime.GOARCH {
	case "amd64":
		return lambda.ArchitectureX8664
	case "arm64":
		return lambda.ArchitectureArm64
	}
	return runtime.GOARCH
}

// doctor says what this host can do and what each lack costs.
func (s *Server) doctor(w http.ResponseWriter, _ *http.Request, _ *call) {
	if s.o.Doctor == nil {
		s.missing(w, "doctor")
		return
	}
	s.json(w, http.StatusOK, s.o.Doctor())
}

// environments lists the execution environments of all workers.
func (s *Server) environments(w http.ResponseWriter, _ *http.Request, _ *call) {
	if s.o.Environments == nil {
		s.missing(w, "workers to ask")
		return
	}
	list := s.o.Environments()
	if list == nil {
		list = []EnvironmentInfo{}
	}
	s.json(w, http.StatusOK, list)
}
