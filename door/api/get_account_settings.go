package api

import (
	"context"

	"kiln"
	"kiln/door/lambda"
)

// Account is what the functions of an account in a region use, and what they may.
type Account struct {
	Functions   int
	CodeBytes   int64
	Concurrency int // of all functions together
	Unreserved  int // what functions without a reservation share
}

// totalCodeSize is what an account may store, as AWS says it. Here the disk is the
// limit.
const totalCodeSize = 80530636800

// GetAccountSettings tells what the functions of the caller's account in a region use,
// and what they may.
func (s service) GetAccountSettings(ctx context.Context, _ *lambda.GetAccountSettingsRequest) (*lambda.GetAccountSettingsResponse, error) {
	if s.o.Account == nil {
		return nil, &lambda.Error{Code: lambda.NotImplementedException, Message: "This server does not count what functions use."}
	}
	a := s.o.Account(callOf(ctx).Scope)
	total, zipped, unzipped := int64(totalCodeSize), int64(kiln.MaxZipSize), int64(kiln.MaxUnzippedSize)
	functions, concurrency, unreserved := int64(a.Functions), int32(a.Concurrency), int32(a.Unreserved)
	return &lambda.GetAccountSettingsResponse{
		AccountLimit: &lambda.AccountLimit{
			TotalCodeSize: &total, CodeSizeZipped: &zipped, CodeSizeUnzipped: &unzipped, ConcurrentExecutions: &concurrency, UnreservedConcurrentExecutions: &unreserved,
		},
		AccountUsage: &lambda.AccountUsage{TotalCodeSize: &a.CodeBytes, FunctionCount: &functions},
	}, nil
}
