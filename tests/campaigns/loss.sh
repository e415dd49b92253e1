#!/usr/bin/env bash
# Whole runs under loss, duplication and reordering: tests/campaigns/loss.sh [SEEDS] [N], by default 20 and 1000.
#
# For 10, 30 and 50 % loss, that many runs of run.sh: each process loses and repeats datagrams of its own, at random
# delays, from a seed that the line of the run names. Fails with the first run that does not deliver everything.
set -euo pipefail

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.." && pwd)
seeds=${1:-20}
n=${2:-1000}
PAXCAST_RUNS=$(mktemp -d)
export PAXCAST_RUNS
log=$PAXCAST_RUNS/last

for loss in 0.1 0.3 0.5; do
    for ((seed = 1; seed <= seeds; seed++)); do
        faults=drop=$loss,dup=0.05,delay=0..20ms,seed=$seed
        if ! { "$root/run.sh" --faults "$faults" "$n" && "$root/check_all.sh"; } >"$log" 2>&1; then
            cat "$log"
            printf 'FAILED: ./run.sh --faults %s %d (kept in %s)\n' "$faults" "$n" "$PAXCAST_RUNS" >&2
            exit 1
        fi
        printf '%-45s%s\n' "$faults" "$(sed -n 's/^summary *//p' "$log")"
    done
done
rm -rf -- "$PAXCAST_RUNS"
printf 'OK: everything delivered, %d seeds at 10, 30 and 50 %% loss each\n' "$seeds"
