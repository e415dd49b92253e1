#!/usr/bin/env bash
# The same seeds take the same course whatever the build, and again and again:
# tests/campaigns/determinism.sh [FROM..TO]   (default 1..101)
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

seeds=${1:-1..101}
cargo build --locked --quiet --bin paxcast
cargo build --release --locked --quiet --bin paxcast
course() {
    "target/$1/paxcast" sim --seeds "$seeds" --json | grep -o '"digest":[0-9]*'
}
first=$(course debug) second=$(course debug) third=$(course release)
printf 'debug    %s\ndebug    %s\nrelease  %s\n' "$first" "$second" "$third"
[[ $first == "$second" && $first == "$third" ]]
echo "seeds $seeds take the same course in both builds"
