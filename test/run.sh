#!/usr/bin/env bash
# All tests, in stages; the last lines say how many seconds each stage took.
#   test/run.sh            everything that CI runs
#   test/run.sh STAGE…     only these stages
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.cache/bin:$PATH" GOFLAGS="-buildvcs=false" CGO_ENABLED=1
# Node.js trusts only the authorities that it carries, unless it is told which ones
# this machine trusts.
[ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -f /etc/ssl/certs/ca-certificates.crt ] && export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
results=()
failed=0

stage() { # stage NAME COMMAND…
	local name=$1 start=$SECONDS code=0
	shift
	if [ -n "$only" ] && [[ " $only " != *" $name "* ]]; then return; fi
	echo "== $name"
	"$@" || code=$?
	results+=("$(printf '%5d s  %-10s %s' $((SECONDS - start)) "$name" "$([ $code = 0 ] && echo ok || echo FAILED)")")
	[ $code = 0 ] || failed=1
}

formatted() {
	local bad
	bad=$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)
	[ -z "$bad" ] || { echo "gofmt differs in:"; echo "$bad"; return 1; }
}

generated() { # the generator reproduces what is committed
	local before after
	before=$(generated_sum)
	go generate ./door/lambda || return 1
	after=$(generated_sum)
	[ "$before" = "$after" ] || { echo "generated files are not up to date: run 'make generate' and commit"; return 1; }
}
generated_sum() { find . -name '*.gen.go' -not -path './.cache/*' | sort | xargs sha256sum; }

platforms() { # the server for arm64; the client commands for everybody's laptop
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go vet ./... &&
		CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go build -o /dev/null ./cmd/kiln &&
		CGO_ENABLED=0 GOOS=windows GOARCH=amd64 go build -o /dev/null ./cmd/kiln
}

# Rooms whose tests make kernel objects and therefore need root. The race detector
# runs over all the others.
rooted='kiln/(box/sandbox/|box/environment|cmd/kiln|engine/worker|test/|bench)'
house() { go list ./... | grep -v '^kiln/test/report$'; }

# What downloads and unpacks a whole distribution is slow under the race detector.
downloads='^TestPythonComesFromThisMachinesDebianMirror$'

race() {
	house | grep -Ev "^$rooted" |
		xargs go test -race -count=1 -timeout 15m -skip "$downloads" -json | go run ./test/report -unavailable test/unavailable.txt
}

rooted() {
	house | grep -E "^$rooted" |
		xargs go test -count=1 -timeout 30m -p 1 -json | go run ./test/report -unavailable test/unavailable.txt
}

downloads() {
	go test -count=1 -timeout 10m -run "$downloads" -json ./box/runtimes | go run ./test/report -unavailable test/unavailable.txt
}

fuzz() { # a few seconds for each target: what a longer run would find first
	local package target code=0
	while read -r package target; do
		echo "fuzz $package $target"
		go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-5s}" >.cache/fuzz.log 2>&1 && continue
		# The fuzzer itself may miss its own end on a busy machine; it found nothing then.
		grep -q '^ *context deadline exceeded' .cache/fuzz.log && ! grep -q 'Failing input' .cache/fuzz.log && continue
		tail -n 30 .cache/fuzz.log
		code=1
	done < <(house | while read -r p; do go test -list '^Fuzz' "$p" 2>/dev/null | grep '^Fuzz' | sed "s#^#$p #"; done)
	return $code
}

only=${*:-}
mkdir -p .cache
stage setup test/setup.sh
[ $failed = 0 ] || { printf '%s\n' "${results[@]}"; exit 1; }
stage format formatted
stage generated generated
stage vet go vet ./...
stage platforms platforms
stage lint golangci-lint run ./...
stage race race
stage rooted rooted
stage downloads downloads
stage fuzz fuzz

echo
printf '%s\n' "${results[@]}"
printf '%5d s  total\n' $SECONDS
[ $failed = 0 ] && echo "all stages passed" || echo "FAILED"
exit $failed
