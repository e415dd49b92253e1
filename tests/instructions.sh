#!/usr/bin/env bash
# How many instructions the roles take for fixed pieces of work: a guard against
# getting slower by mistake, which no clock on a busy machine could be.
#
#   tests/instructions.sh
#
# plays the scenarios beside it in a release build under valgrind, which counts
# instructions, the same ones at every run. More than 2 % above the figures in
# tests/instructions/counts.txt fails; so does less than 2 % below, for then the
# guard has become loose: PAXCAST_GOLDEN=write writes the figures anew, and the
# commit that changes them says why.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."
export LC_ALL=C

counts=tests/instructions/counts.txt
cargo build --release --locked --quiet --bin paxcast
log=$(mktemp)
trap 'rm -f -- "$log" "$log.new"' EXIT

status=0
for scenario in tests/instructions/*.scenario; do
    name=$(basename -- "$scenario" .scenario)
    # Without its caches and branches simulated, callgrind counts and no more.
    valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/paxcast play "$scenario" >"$log" 2>&1 || {
        cat -- "$log" >&2
        exit 1
    }
    now=$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$log")
    before=$(sed -n "s/^$name //p" "$counts" 2>/dev/null || true)
    printf '%s %s\n' "$name" "$now" >>"$log.new"
    if [[ -z $before ]]; then
        [[ ${PAXCAST_GOLDEN:-} == write ]] || status=1
        printf '%-14s %12d instructions, no figure to compare with\n' "$name" "$now"
        continue
    fi
    permille=$(((now - before) * 1000 / before))
    printf '%-14s %12d instructions, %+d per mille\n' "$name" "$now" "$permille"
    ((permille <= 20 && permille >= -20)) || status=1
done
if [[ ${PAXCAST_GOLDEN:-} == write ]]; then
    cp -- "$log.new" "$counts"
elif ((status)); then
    printf 'not the figures of %s: PAXCAST_GOLDEN=write %s writes them anew\n' "$counts" "tests/instructions.sh" >&2
    exit 1
fi
