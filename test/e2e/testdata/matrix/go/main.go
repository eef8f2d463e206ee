// Command matrix is the function of the matrix of runtimes, in Go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func look(ctx context.Context) map[string]any {
	lc, _ := lambdacontext.FromContext(ctx) // there is none outside of an invocation
	deadline, _ := ctx.Deadline()
	environment := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		environment[name] = value
	}
	return map[string]any{
		"ctx": map[string]any{
			"aws_request_id": lc.AwsRequestID, "deadline": deadline.UnixMilli(), "function_name": lambdacontext.FunctionName,
			"function_version": lambdacontext.FunctionVersion, "invoked_function_arn": lc.InvokedFunctionArn,
			"log_group_name": lambdacontext.LogGroupName, "log_stream_name": lambdacontext.LogStreamName,
			"memory_limit_in_mb": lambdacontext.MemoryLimitInMB,
		},
		"environment": environment,
		"version":     runtime.Version(),
	}
}

func handle(ctx context.Context, event map[string]any) (any, error) {
	switch event["do"] {
	case "look":
		return look(ctx), nil
	case "fail":
		return nil, errors.New("Error: some_error_msg")
	case "sleep":
		time.Sleep(30 * time.Second)
	case "exit":
		os.Exit(3)
	case "background":
		go func() { panic("nobody waits for this") }()
		time.Sleep(30 * time.Second)
	case "log":
		fmt.Println("printed")
		return "logged", nil
	}
	return event, nil
}

func main() { lambda.Start(handle) }
