// Command function is a function of the first years of go1.x: it serves net/rpc on the
// port that it is told, as AWS's library did, and knows nothing of the Runtime API.
package main

import (
	"fmt"
	"net"
	"net/rpc"
	"os"
	"syscall"
	"time"
)

type PingRequest struct{}

type PingResponse struct{}

type Timestamp struct{ Seconds, Nanos int64 }

type InvokeRequest struct {
	Payload                                               []byte
	RequestId, XAmznTraceId                               string
	Deadline                                              Timestamp
	InvokedFunctionArn                                    string
	CognitoIdentityId, CognitoIdentityPoolId, ClientExtra string
	ClientContext                                         []byte
}

type InvokeResponse struct {
	Payload []byte
	Error   *Failure
}

type Failure struct {
	Message, Type string
	StackTrace    []*Frame
	ShouldExit    bool
}

type Frame struct {
	Path  string
	Line  int32
	Label string
}

type Function struct{}

func (*Function) Ping(*PingRequest, *PingResponse) error { return nil }

func (*Function) Invoke(r *InvokeRequest, answer *InvokeResponse) error {
	switch string(r.Payload) {
	case `"fail"`:
		answer.Error = &Failure{Message: "asked to", Type: "errorString"}
		return nil
	case `"panic"`:
		answer.Error = &Failure{Message: "asked to", Type: "string", StackTrace: []*Frame{{"main.go", 7, "main"}}, ShouldExit: true}
		return nil
	case `"exit"`:
		os.Exit(3)
	case `"kill"`:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
	}
	left := time.Until(time.Unix(r.Deadline.Seconds, r.Deadline.Nanos))
	answer.Payload = fmt.Appendf(nil, `{"event":%s,"id":%q,"arn":%q,"trace":%q,"identity":%q,"client":%q,"time":%v}`,
		r.Payload, r.RequestId, r.InvokedFunctionArn, r.XAmznTraceId, r.CognitoIdentityId+"/"+r.CognitoIdentityPoolId, r.ClientContext, left > 20*time.Second)
	return nil
}

func main() {
	if os.Getenv("FAIL_EARLY") != "" {
		fmt.Println("not today")
		os.Exit(5)
	}
	listener, err := net.Listen("tcp", "localhost:"+os.Getenv("_LAMBDA_SERVER_PORT"))
	if err == nil {
		err = rpc.Register(new(Function))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	rpc.Accept(listener)
}
