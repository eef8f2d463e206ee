# make run    build kiln, start it, deploy the examples, invoke one, show the log
# make test   install what the tests need and run all of them
export GOFLAGS := -buildvcs=false

.PHONY: run test test-full test-v2 build generate lint bench clean

run: build
	bin/kiln quickstart examples

build:
	CGO_ENABLED=0 go build -trimpath -o bin/kiln ./cmd/kiln

test:
	test/run.sh

# What takes longer than CI has time for.
test-full:
	FUZZTIME=60s KILN_TEST_FULL=1 test/run.sh

# The sandbox on control groups of version 2 alone, in an emulated machine.
test-v2:
	test/v2.sh

generate:
	go generate ./door/lambda

lint:
	.cache/bin/golangci-lint run ./...

bench: build
	go run ./bench

clean:
	rm -rf bin .cache
