package rapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"kiln/box/rapi"
)

const (
	extensionID = "0f0e0d0c-0b0a-4908-8706-050403020100"
	identified  = "Lambda-Extension-Identifier: " + extensionID + "\r\n"
	eventNext   = "GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: h\r\n" + identified + "\r\n"
)

// extensions are the extension's side of a guest.
type extensions struct{ news chan *rapi.ExtensionEvent }

func (g *guest) Register(r rapi.Registration) (*rapi.Registered, *rapi.Refusal) {
	refusal := g.note(nil, "register %s %v %v", r.Name, r.Invoke, r.Shutdown)
	return &rapi.Registered{Identifier: extensionID, Function: "hello", Version: "$LATEST", Handler: "f.h", Account: "123456789012"}, refusal
}

func (g *guest) NextEvent(ctx context.Context, id string) (*rapi.ExtensionEvent, error) {
	if refusal := g.note(nil, "next %s", id); refusal != nil {
		return nil, refusal
	}
	select {
	case e := <-g.news:
		return e, nil
	case <-ctx.Done():
		g.gone <- struct{}{}
		return nil, ctx.Err()
	}
}

func (g *guest) ExtensionInitError(id, errorType string) *rapi.Refusal {
	return g.note(nil, "init-error %s %s", id, errorType)
}

func (g *guest) ExtensionExitError(id, errorType string) *rapi.Refusal {
	return g.note(nil, "exit-error %s %s", id, errorType)
}

func (instant) Register(rapi.Registration) (*rapi.Registered, *rapi.Refusal) {
	return &rapi.Registered{}, nil
}

func (instant) NextEvent(context.Context, string) (*rapi.ExtensionEvent, error) {
	return &rapi.ExtensionEvent{}, nil
}
func (instant) ExtensionInitError(string, string) *rapi.Refusal { return nil }
func (instant) ExtensionExitError(string, string) *rapi.Refusal { return nil }

// extend is a POST of an extension.
func extend(path, headers, body string) string {
	return fmt.Sprintf("POST /2020-01-01/extension/%s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n%s", path, headers, len(body), body)
}

func TestAnExtensionRegistersAndLearnsOfTheFunction(t *testing.T) {
	for _, c := range []struct{ headers, body, told, want string }{
		{"", `{"events":["INVOKE","SHUTDOWN"]}`, "register x true true", `{"functionName":"hello","functionVersion":"$LATEST","handler":"f.h"}`},
		{"", `{"events":["SHUTDOWN","SHUTDOWN"]}`, "register x false true", `{"functionName":"hello","functionVersion":"$LATEST","handler":"f.h"}`},
		{"", `{"events":[]}`, "register x false false", `{"functionName":"hello","functionVersion":"$LATEST","handler":"f.h"}`},
		{"", `{}`, "register x false false", `{"functionName":"hello","functionVersion":"$LATEST","handler":"f.h"}`},
		{"Lambda-Extension-Accept-Feature: other, accountId\r\n", `{"events":["INVOKE"]}`, "register x true false", `{"functionName":"hello","functionVersion":"$LATEST","handler":"f.h","accountId":"123456789012"}`},
	} {
		g := newGuest()
		p := serve(t, g, rapi.Options{}).dial()
		resp, body := p.send(extend("register", "Lambda-Extension-Name: x\r\n"+c.headers, c.body)).answer("POST")
		if resp.StatusCode != 200 || body != c.want || resp.Header.Get("Lambda-Extension-Identifier") != extensionID || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %s %v", c.body, resp.StatusCode, body, resp.Header)
		}
		if told, _ := g.told(); told != c.told {
			t.Errorf("%s: got %q, want %q", c.body, told, c.told)
		}
		p.send("GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").want(200, "pong")
	}
}

func TestARegistrationThatIsWrongIsRefusedAsAWSDoes(t *testing.T) {
	named := "Lambda-Extension-Name: x\r\n"
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	for _, c := range []struct{ headers, body, errorType string }{
		{"", `{"events":[]}`, "Extension.InvalidExtensionName"},
		{"Lambda-Extension-Name:\r\n", `{"events":[]}`, "Extension.InvalidExtensionName"},
		{"Lambda-Extension-Name: a\tb\r\n", `{"events":[]}`, "Extension.InvalidExtensionName"},
		{"Lambda-Extension-Name: " + strings.Repeat("n", 256) + "\r\n", `{"events":[]}`, "Extension.InvalidExtensionName"},
		{named, ``, "InvalidRequestFormat"},
		{named, `[]`, "InvalidRequestFormat"},
		{named, `{"events":"INVOKE"}`, "InvalidRequestFormat"},
		{named, `{"events":[1]}`, "InvalidRequestFormat"},
		{named, `{"events":["INVOKE"],"configurationKeys":["a"]}`, "InvalidRequestFormat"},
		{named, `{"events":["INVOKE","invoke"]}`, "Extension.InvalidEventType"},
		{named, `{"events":["` + strings.Repeat("é", 9000) + `"]}`, "Extension.InvalidEventType"},
	} {
		resp, body := p.send(extend("register", c.headers, c.body)).answer("POST")
		if resp.StatusCode != 403 || !strings.HasSuffix(body, `"errorType":"`+c.errorType+`"}`) || len(body) > 300 {
			t.Errorf("%.60q: got %d %s", c.headers+c.body, resp.StatusCode, body)
		}
	}
	resp, _ := p.send(extend("register", named, strings.Repeat(" ", 65<<10))).answer("POST")
	if resp.StatusCode != 413 {
		t.Errorf("a large body: got %d", resp.StatusCode)
	}
	p.send("GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").want(200, "pong")
	if told, _ := g.told(); told != "" {
		t.Errorf("the guest was told %s", told)
	}
}

func TestAnExtensionGetsItsEvents(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	for _, c := range []struct {
		event *rapi.ExtensionEvent
		want  string
	}{
		{
			&rapi.ExtensionEvent{Identifier: "e1", DeadlineMS: 1700000000123, RequestID: "r1", ARN: "arn:aws:lambda:eu-west-1:1:function:f", Trace: "Root=1-a"},
			`{"eventType":"INVOKE","deadlineMs":1700000000123,"requestId":"r1","invokedFunctionArn":"arn:aws:lambda:eu-west-1:1:function:f","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-a"}}`,
		},
		{&rapi.ExtensionEvent{Identifier: "e2", DeadlineMS: 5, Reason: "spindown"}, `{"eventType":"SHUTDOWN","deadlineMs":5,"shutdownReason":"spindown"}`},
	} {
		g.news <- c.event
		resp, body := p.send(eventNext).answer("GET")
		if resp.StatusCode != 200 || body != c.want || resp.Header.Get("Lambda-Extension-Event-Identifier") != c.event.Identifier {
			t.Errorf("got %d %s %v", resp.StatusCode, body, resp.Header)
		}
	}
	// The identifier's case has no meaning, and a body does no harm.
	g.news <- &rapi.ExtensionEvent{Identifier: "e3", Reason: "timeout"}
	p.send("GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: h\r\nLambda-Extension-Identifier: " + strings.ToUpper(extensionID) + "\r\nContent-Length: 2\r\n\r\n{}").answer("GET")
	if told, _ := g.told(); told != strings.Repeat("next "+extensionID+"; ", 2)+"next "+extensionID {
		t.Errorf("got %q", told)
	}
}

func TestARuntimeAndAnExtensionMayShareAConnection(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	g.events <- event("r1", "x")
	g.news <- &rapi.ExtensionEvent{Identifier: "e1", RequestID: "r1"}
	p.send(eventNext + next + post("invocation/r1/response", "", "1") + extend("exit/error", identified+"Lambda-Extension-Function-Error-Type: Ext.Bad\r\n", "{}"))
	if resp, _ := p.answer("GET"); resp.Header.Get("Lambda-Extension-Event-Identifier") != "e1" {
		t.Errorf("got %v", resp.Header)
	}
	if resp, _ := p.answer("GET"); resp.Header.Get("Lambda-Runtime-Aws-Request-Id") != "r1" {
		t.Errorf("got %v", resp.Header)
	}
	p.want(202, ok)
	p.want(202, ok)
	if told, _ := g.told(); told != "next "+extensionID+"; respond r1 ; exit-error "+extensionID+" Ext.Bad" {
		t.Errorf("got %q", told)
	}
}

func TestAnExtensionWithoutAnIdentifierOrErrorTypeIsRefused(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	for request, want := range map[string]string{
		strings.Replace(eventNext, identified, "", 1):                                          `{"errorMessage":"Missing Lambda-Extension-Identifier header","errorType":"Extension.MissingExtensionIdentifier"}`,
		strings.Replace(eventNext, extensionID, "0f0e0d0c", 1):                                 `{"errorMessage":"Invalid Lambda-Extension-Identifier","errorType":"Extension.InvalidExtensionIdentifier"}`,
		strings.Replace(eventNext, "-4908-", "+4908+", 1):                                      `{"errorMessage":"Invalid Lambda-Extension-Identifier","errorType":"Extension.InvalidExtensionIdentifier"}`,
		strings.Replace(eventNext, "0f0e", "xf0e", 1):                                          `{"errorMessage":"Invalid Lambda-Extension-Identifier","errorType":"Extension.InvalidExtensionIdentifier"}`,
		extend("init/error", identified, "{}"):                                                 `{"errorMessage":"Lambda-Extension-Function-Error-Type not found","errorType":"Extension.MissingHeader"}`,
		extend("exit/error", identified, "{}"):                                                 `{"errorMessage":"Lambda-Extension-Function-Error-Type not found","errorType":"Extension.MissingHeader"}`,
		extend("exit/error", "Lambda-Extension-Function-Error-Type: A.B\r\n", ""):              `{"errorMessage":"Missing Lambda-Extension-Identifier header","errorType":"Extension.MissingExtensionIdentifier"}`,
		extend("init/error", "Lambda-Extension-Identifier: \r\n", strings.Repeat("x", 70<<10)): `{"errorMessage":"Missing Lambda-Extension-Identifier header","errorType":"Extension.MissingExtensionIdentifier"}`,
	} {
		p.send(request).want(403, want)
	}
	if told, _ := g.told(); told != "" {
		t.Errorf("the guest was told %s", told)
	}
	g.refuse = &rapi.Refusal{Status: 403, Type: "Extension.UnknownExtensionIdentifier", Message: "m"}
	for _, request := range []string{
		eventNext, extend("register", "Lambda-Extension-Name: x\r\n", "{}"),
		extend("init/error", identified+"Lambda-Extension-Function-Error-Type: A\r\n", ""), extend("exit/error", identified+"Lambda-Extension-Function-Error-Type: A\r\n", ""),
	} {
		p.send(request).want(403, `{"errorMessage":"m","errorType":"Extension.UnknownExtensionIdentifier"}`)
	}
}

func TestAVeryLongErrorTypeIsCut(t *testing.T) {
	g := newGuest()
	p := serve(t, g, rapi.Options{}).dial()
	p.send(extend("init/error", identified+"Lambda-Extension-Function-Error-Type: "+strings.Repeat("E", 100_000)+"\r\n", "")).want(202, ok)
	if told, _ := g.told(); told != "init-error "+extensionID+" "+strings.Repeat("E", 256) {
		t.Errorf("got %d bytes", len(told))
	}
}

func TestNextEventEndsWithItsConnection(t *testing.T) {
	g := newGuest()
	s := serve(t, g, rapi.Options{})
	p := s.dial().send(eventNext)
	until(t, "the guest is asked", func() bool { told, _ := g.told(); return told != "" })
	p.Close()
	select {
	case <-g.gone:
	case <-time.After(20 * time.Second):
		t.Fatal("NextEvent goes on without its connection")
	}
}

func TestSettleWaitsForNobodyElse(t *testing.T) {
	g := newGuest()
	s := serve(t, g, rapi.Options{})
	extension, unknown := s.dial().send(eventNext), s.dial()
	until(t, "the guest is asked", func() bool { told, _ := g.told(); return told != "" })
	unknown.Close() // what has asked for nothing yet may be anybody's
	if !s.Settle(20 * time.Second) {
		t.Error("it waits for a connection that is an extension's")
	}
	runtime := s.dial().send(next)
	until(t, "the runtime is known", func() bool { return !s.Settle(time.Millisecond) })
	if s.SettleExtension(extensionID, time.Millisecond) {
		t.Error("the extension's connection is open, but it settled")
	}
	// From now on it is the runtime's too.
	extension.send(post("init/error", "", "{}"))
	g.news <- &rapi.ExtensionEvent{Identifier: "e1"}
	extension.answer("GET")
	extension.want(202, ok)
	if !s.SettleExtension(extensionID, 20*time.Second) {
		t.Error("it waits for connections of the runtime")
	}
	runtime.Close()
	if s.Settle(time.Millisecond) {
		t.Error("a connection that the runtime used is open, but it settled")
	}
	extension.Close()
	if !s.Settle(20 * time.Second) {
		t.Error("a connection is left")
	}
}

// FuzzExtension sends anything to the Extensions API: there is an answer, or the
// connection ends, and the server lives on.
func FuzzExtension(f *testing.F) {
	f.Add("register", "Lambda-Extension-Name: x\r\n", `{"events":["INVOKE"]}`)
	f.Add("register", "Lambda-Extension-Name: \xff\r\n", `{"events":["\ud800",null]}`)
	f.Add("register", "Lambda-Extension-Accept-Feature: accountId\r\nLambda-Extension-Name: a\r\nLambda-Extension-Name: b\r\n", `{"events":null,"configurationKeys":{}}`)
	f.Add("event/next", identified, ``)
	f.Add("exit/error", identified+"Lambda-Extension-Function-Error-Type: \x80\r\n", `{`)
	f.Add("init/error/", "Lambda-Extension-Identifier: "+strings.Repeat("-", 36)+"\r\n", `{}`)
	f.Fuzz(func(t *testing.T, path, headers, body string) {
		g := newGuest()
		g.news <- &rapi.ExtensionEvent{Identifier: "e"}
		s := serve(t, g, rapi.Options{})
		p := s.dial()
		go func() {
			_, _ = io.WriteString(p, extend(path, headers, body))
			_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		if resp, err := http.ReadResponse(p.r, nil); err == nil {
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode < 200 || len(text) > 2<<10 {
				t.Errorf("got %d, %d bytes, %v", resp.StatusCode, len(text), err)
			}
		}
		s.dial().send("GET /ping HTTP/1.1\r\nHost: h\r\n\r\n").want(200, "pong")
	})
}
