package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// api is the Runtime API.
var (
	host   = os.Getenv("AWS_LAMBDA_RUNTIME_API")
	api    = "http://" + host + "/2018-06-01/runtime/"
	client = &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext, DisableCompression: true}}
)

// serve is the runtime: well-behaved, unless RUDE says how not to be.
func serve() {
	if rude := rudeness[os.Getenv("RUDE")]; rude != nil {
		rude()
		return
	}
	for {
		id, payload := next()
		var e event
		if err := json.Unmarshal(payload, &e); err != nil {
			post("invocation/"+id+"/error", fmt.Appendf(nil, `{"errorType":"Event","errorMessage":%q}`, err.Error()))
			continue
		}
		current.Store(&id)
		post("invocation/"+id+"/response", run(&e))
	}
}

// next waits for an event.
func next() (id string, payload []byte) {
	r, err := client.Get(api + "invocation/next")
	if err != nil {
		fmt.Fprintln(os.Stderr, "next:", err)
		os.Exit(1)
	}
	defer r.Body.Close()
	payload, err = io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		fmt.Fprintln(os.Stderr, "next:", r.Status, err)
		os.Exit(1)
	}
	return r.Header.Get("Lambda-Runtime-Aws-Request-Id"), payload
}

// post hands something in and gives the status; 0 when there was no answer.
func post(path string, payload []byte) int {
	r, err := client.Post(api+path, "application/json", bytes.NewReader(payload))
	if err != nil {
		fmt.Fprintln(os.Stderr, "post", path+":", err)
		return 0
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body) // only the status counts
	return r.StatusCode
}

// rudeness are the runtimes that do not keep the rules of the Runtime API. Where a
// later answer can tell it, they tell what status their breach got.
var rudeness = map[string]func(){
	"never-next": func() { time.Sleep(time.Hour) },
	"crash":      func() { fmt.Println("crashing"); os.Exit(7) },
	// Two connections ask at once, all the time; each event goes to one of them.
	"next-twice": func() {
		go twice("second")
		twice("first")
	},
	"respond-twice": func() {
		last := 0
		for {
			id, _ := next()
			post("invocation/"+id+"/response", fmt.Appendf(nil, `{"last":%d,"id":%q}`, last, id))
			last = post("invocation/"+id+"/response", []byte(`"stray"`))
		}
	},
	"wrong-id": func() {
		before := ""
		for {
			id, _ := next()
			made := post("invocation/11111111-2222-3333-4444-555555555555/response", []byte(`"stray"`))
			old := 400
			if before != "" {
				old = post("invocation/"+before+"/response", []byte(`"stray"`))
			}
			odd := post("invocation/..%2f..%2f/response", []byte(`"stray"`))
			post("invocation/"+id+"/response", fmt.Appendf(nil, `{"made":%d,"old":%d,"odd":%d}`, made, old, odd))
			before = id
		}
	},
	// The answer comes at the very moment at which the time is over.
	"respond-late": func() {
		for {
			id, payload := next()
			var e event
			_ = json.Unmarshal(payload, &e) // an event that is none waits for nothing
			time.Sleep(time.Duration(e.Millis) * time.Millisecond)
			post("invocation/"+id+"/response", fmt.Appendf(nil, `{"id":%q}`, id))
		}
	},
}

// twice is one of two loops of the same runtime.
func twice(name string) {
	for {
		id, _ := next()
		post("invocation/"+id+"/response", fmt.Appendf(nil, `{"loop":%q,"id":%q}`, name, id))
	}
}
