// Command gorpc is a Lambda function in Go with AWS's library of 2019, which speaks
// net/rpc and knows nothing of the Runtime API.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func handle(ctx context.Context, event map[string]string) (map[string]interface{}, error) {
	fmt.Println("asked to", event["do"])
	switch event["do"] {
	case "fail":
		return nil, errors.New("asked to")
	case "panic":
		panic("asked to")
	case "exit":
		os.Exit(3)
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return map[string]interface{}{
		"arn": lc.InvokedFunctionArn, "id": len(lc.AwsRequestID), "left": time.Until(deadline) > 10*time.Second, "name": lambdacontext.FunctionName,
		"trace": ctx.Value("x-amzn-trace-id") != nil, "execution": os.Getenv("AWS_EXECUTION_ENV"),
	}, nil
}

func main() { lambda.Start(handle) }
