// A function in Go. kiln deploy builds it for Linux; the same program runs on AWS
// Lambda unchanged.
package main

import (
	"context"
	"fmt"
	"log"
	"runtime"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// Event is what the function is called with.
type Event struct {
	Name string `json:"name"`
}

// Answer is what the caller gets.
type Answer struct {
	Message   string `json:"message"`
	RequestID string `json:"requestId"`
	Go        string `json:"go"`
}

func handle(ctx context.Context, event Event) (Answer, error) {
	if event.Name == "" {
		event.Name = "world"
	}
	log.Printf("greeting %s", event.Name)
	answer := Answer{Message: fmt.Sprintf("Hello, %s!", event.Name), Go: runtime.Version()}
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		answer.RequestID = lc.AwsRequestID
	}
	return answer, nil
}

func main() { lambda.Start(handle) }
