// Command caller is a Lambda function in Go that calls the Lambda API with AWS's own
// client, which nobody told where that is.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	api "github.com/aws/aws-sdk-go-v2/service/lambda"
)

// event says what to do.
type event struct {
	List    bool
	Invoke  string // a function
	Payload json.RawMessage
	Times   int // how often, at once
}

// answer is what came of it.
type answer struct {
	Functions []string
	Answers   map[string]int // each different one and how often it came
}

func handle(ctx context.Context, e event) (answer, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return answer{}, err
	}
	client := api.NewFromConfig(cfg)
	a := answer{Answers: map[string]int{}}
	if e.List {
		for pages := api.NewListFunctionsPaginator(client, &api.ListFunctionsInput{}); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return answer{}, err
			}
			for _, f := range page.Functions {
				a.Functions = append(a.Functions, aws.ToString(f.FunctionArn))
			}
		}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range e.Times {
		all.Go(func() {
			text := ""
			out, err := client.Invoke(ctx, &api.InvokeInput{FunctionName: aws.String(e.Invoke), Payload: e.Payload}, func(o *api.Options) { o.RetryMaxAttempts = 1 })
			switch {
			case err != nil:
				text = "error: " + err.Error()
			case out.FunctionError != nil:
				text = fmt.Sprintf("%s: %s", *out.FunctionError, out.Payload)
			default:
				text = string(out.Payload)
			}
			mu.Lock()
			defer mu.Unlock()
			a.Answers[text]++
		})
	}
	all.Wait()
	return a, nil
}

func main() { lambda.Start(handle) }
