#!/usr/bin/env bash
# Installs what the tests need, each step tried three times. What the machine has
# already is used as it is. Everything but Debian packages goes to .cache.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=$PWD/.cache
mkdir -p "$cache/bin"

LINT=v2.15.0
NODES="10 26" # both ends of what the Node.js bootstrap has to run on
SDK_JS=3.956.0
DOTNETS="2.1.1007 3.1.1007" # npm packages of SDKs: what the .NET bootstrap is compiled against, and with
MOTO=5.2.5 # a server that speaks SQS, beside kiln's own
PIP_PACKAGES="awscli==1.46.3 boto3==1.44.5 botocore==1.44.5 pillow==13.0.0"

try() { # try NAME COMMAND…: three times, then say which step it was
	local name=$1 n
	shift
	for n in 1 2 3; do
		if "$@" >"$cache/setup.log" 2>&1; then return 0; fi
		echo "setup: $name failed (try $n of 3)" >&2
		sleep $((n * 2))
	done
	tail -n 20 "$cache/setup.log" >&2
	echo "setup: cannot install $name" >&2
	exit 1
}

# Debian packages, by the command that each brings.
missing=()
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing+=("$2"); }
need mkfs.ext4 e2fsprogs
need losetup mount
need ip iproute2
need iptables iptables
need curl curl
need newuidmap uidmap
need pasta passt
need slirp4netns slirp4netns
need gcc gcc
need python3 python3
need node nodejs
need npm npm
need ruby ruby
need mvn maven
compgen -G '/usr/lib/jvm/*17*/bin/javac' >/dev/null || missing+=(openjdk-17-jdk-headless)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
	[ "$(id -u)" = 0 ] || { echo "setup: as root, run: apt-get install ${missing[*]}" >&2; exit 1; }
	try "apt-get update" apt-get update
	try "apt-get install ${missing[*]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
fi

if [ "$("$cache/bin/golangci-lint" version --short 2>/dev/null)" != "${LINT#v}" ]; then
	try "golangci-lint $LINT" env GOBIN="$cache/bin" go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$LINT"
fi
try "Go modules" go mod download

if [ "$(cat "$cache/venv/packages" 2>/dev/null)" != "$PIP_PACKAGES" ]; then
	rm -rf "$cache/venv"
	try "a Python virtual environment" python3 -m venv "$cache/venv"
	# shellcheck disable=SC2086
	try "$PIP_PACKAGES" "$cache/venv/bin/pip" install --disable-pip-version-check $PIP_PACKAGES
	echo "$PIP_PACKAGES" >"$cache/venv/packages"
fi

if [ "$(cat "$cache/moto/version" 2>/dev/null)" != "$MOTO" ]; then
	rm -rf "$cache/moto"
	try "a Python virtual environment for moto" python3 -m venv "$cache/moto"
	try "moto $MOTO" "$cache/moto/bin/pip" install --disable-pip-version-check "moto[server]==$MOTO"
	echo "$MOTO" >"$cache/moto/version"
fi

if [ "$(cat "$cache/nodes/versions" 2>/dev/null)" != "$NODES" ]; then
	rm -rf "$cache/nodes"
	mkdir -p "$cache/nodes"
	specs=()
	for n in $NODES; do specs+=("node$n@npm:node-linux-$([ "$(uname -m)" = aarch64 ] && echo arm64 || echo x64)@$n"); done
	try "Node.js $NODES" npm install --prefix "$cache/nodes" --no-save --no-audit --no-fund --ignore-scripts "${specs[@]}"
	echo "$NODES" >"$cache/nodes/versions"
fi

# Clients in other languages.
if [ "$(cat "$cache/sdk-js/version" 2>/dev/null)" != "$SDK_JS" ]; then
	rm -rf "$cache/sdk-js"
	mkdir -p "$cache/sdk-js"
	try "AWS SDK for JavaScript $SDK_JS" npm install --prefix "$cache/sdk-js" --no-save --no-audit --no-fund --ignore-scripts "@aws-sdk/client-lambda@$SDK_JS"
	echo "$SDK_JS" >"$cache/sdk-js/version"
fi
pom=test/e2e/testdata/java_sdk/pom.xml
if ! cmp -s "$pom" "$cache/sdk-java/version"; then
	rm -rf "$cache/sdk-java"
	mkdir -p "$cache/sdk-java"
	try "AWS SDK for Java" mvn -q -B -f "$pom" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/sdk-java/lib"
	cp "$pom" "$cache/sdk-java/version"
fi

# OpenSSL 1.0 and 1.1, which .NET Core needs, lie in the roots that kiln fetches for it;
# the tests of whole servers run on those roots.
openssl() {
	local fetched=$cache/dotnet/data/runtimes/fetched
	go run ./cmd/kiln runtime add dotnetcore3.1 --data-dir "$cache/dotnet/data" &&
		go run ./cmd/kiln runtime add dotnetcore2.1 --data-dir "$cache/dotnet/data" &&
		mkdir -p "$cache/dotnet/lib" &&
		cp -L "$fetched"/dotnetcore3.1/*/root/usr/lib/x86_64-linux-gnu/lib{ssl,crypto}.so.1.1 "$fetched"/dotnetcore2.1/*/root/usr/lib/*.so* "$cache/dotnet/lib"
}
if [ "$(uname -m)" = x86_64 ] && [ "$(cat "$cache/dotnet/versions" 2>/dev/null)" != "$DOTNETS" ]; then
	rm -rf "$cache/dotnet"
	mkdir -p "$cache/dotnet"
	specs=()
	for n in $DOTNETS; do specs+=("dotnet-sdk-${n%.*}-linux-x64@$n"); done
	try ".NET $DOTNETS" npm install --prefix "$cache/dotnet" --no-save --no-audit --no-fund --ignore-scripts "${specs[@]}"
	try "OpenSSL for .NET" openssl
	echo "$DOTNETS" >"$cache/dotnet/versions"
fi
