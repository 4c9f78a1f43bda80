#!/bin/sh
# Find nats-server and the nats CLI, or build them into .tools/bin where Go is present.
# Without Go the tests that want them are skipped, and say so. Without C's library a binary is
# static, and so all that a container needs.
set -eu

server_version=v2.15.2
cli_version=v0.5.1
here=$(cd "$(dirname "$0")/.." && pwd)
gobin=$(go env GOPATH 2>/dev/null || echo "$HOME/go")/bin

have() { # name, the flag's output must hold the version
  for dir in "$here/.tools/bin" "$gobin" $(echo "$PATH" | tr ':' ' '); do
    if [ -x "$dir/$1" ] && "$dir/$1" --version 2>&1 | grep -q "${2#v}"; then return 0; fi
  done
  return 1
}

install() { # binary, module, version
  have "$1" "$3" && return 0
  command -v go >/dev/null 2>&1 || return 0
  echo "building $1 $3 into .tools/bin (once)"
  GOBIN="$here/.tools/bin" GOFLAGS=-mod=mod CGO_ENABLED=0 go install "$2@$3" >/dev/null 2>&1 || echo "could not build $1: tests that want it are skipped"
}

install nats-server github.com/nats-io/nats-server/v2 "$server_version"
install nats github.com/nats-io/natscli/nats "$cli_version"
