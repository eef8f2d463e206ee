// Command gofn is a Lambda function in Go: it answers with its event and context.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Name  string
	Fail  bool
	Panic bool
}

func handle(ctx context.Context, raw json.RawMessage) (map[string]any, error) {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	if e.Panic {
		panic("on purpose")
	}
	if e.Fail {
		return nil, errors.New("on purpose")
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, ok := ctx.Deadline()
	fmt.Println("hello from Go")
	return map[string]any{
		"hello": strings.ToUpper(e.Name), "arn": lc.InvokedFunctionArn, "deadline": ok && !deadline.IsZero(),
		"root": os.Getenv("LAMBDA_TASK_ROOT"), "function": lambdacontext.FunctionName,
	}, nil
}

func main() { lambda.Start(handle) }
