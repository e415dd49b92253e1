#!/usr/bin/env bash
# Whole runs of every size on every kind of network: tests/campaigns/sizes.sh [N…], by default 100 to 100000 per client.
#
# Each size with the shipped configuration, with the receive buffer of a kernel that nobody tuned, with datagrams that
# fit Ethernet, with both, and with acceptors that sync their votes to disk. All three checks must pass, learners must
# print the same bytes, the kernel may drop no more than one datagram in a thousand, and up to 20,000 values per client
# must be delivered within five seconds of the clients' start.
set -euo pipefail
export LC_ALL=C

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.." && pwd)
sizes=("$@")
((${#sizes[@]})) || sizes=(100 1000 10000 20000 100000)
PAXCAST_RUNS=$(mktemp -d)
export PAXCAST_RUNS
log=$PAXCAST_RUNS/last run=$PAXCAST_RUNS/latest

fail() {
    cat "$log"
    printf 'FAILED: %s, with %s values per client: %s (kept in %s)\n' "$kind" "$n" "$1" "$PAXCAST_RUNS" >&2
    exit 1
}

# one_run KIND N LINES [OPTION…]: a run with these lines in its configuration, and its judgement.
one_run() {
    kind=$1 n=$2
    printf '%b\n' "$3" | cat "$root/paxos.conf" - >"$PAXCAST_RUNS/conf"
    "$root/run.sh" --conf "$PAXCAST_RUNS/conf" "${@:4}" "$n" >"$log" 2>&1 || fail 'the run failed'
    "$root/check_all.sh" >>"$log" 2>&1 || fail 'a check failed'
    cmp "$run/learn1" "$run/learn2" >>"$log" 2>&1 || fail 'the learners differ'
    # "summary    40000 values in 0.512 s, 78125 values/s; the kernel dropped 0 datagrams"
    grep -h '^statistics ' "$run"/*.log | awk -v kind="$kind" -v n="$n" \
        -v summary="$(sed -n 's/^summary *//p' "$log")" '
        {
            for (i = 1; i <= NF; i++) if (split($i, pair, "=") == 2) {
                if (pair[1] ~ /^(received|drops)\./) heard += pair[2]
                if (pair[1] == "kernel_drops") dropped += pair[2]
            }
        }
        END {
            split(summary, word, " ")
            printf "%-34s%7d per client  %7.3f s %8d values/s  the kernel dropped %d of %d datagrams\n", \
                kind, n, word[4], word[6], dropped, heard + dropped
            if (heard == 0 || word[4] == 0) exit 2
            if (dropped > (heard + dropped) / 1000) exit 3
            if (n <= 20000 && word[4] >= 5) exit 4
        }' || case $? in
        3) fail 'the kernel dropped more than one datagram in a thousand' ;;
        4) fail 'it took 5 s or longer' ;;
        *) fail 'the figures cannot be read' ;;
    esac
    rm -rf -- "$(readlink -f -- "$run")"
}

for n in "${sizes[@]}"; do
    one_run 'as shipped' "$n" ''
    one_run 'receive_buffer 212992' "$n" 'receive_buffer 212992'
    one_run 'datagram 1472' "$n" 'datagram 1472'
    one_run 'datagram 1472, buffer 212992' "$n" 'datagram 1472\nreceive_buffer 212992'
    one_run 'durable' "$n" '' --durable
    one_run 'durable, buffer 212992' "$n" 'receive_buffer 212992' --durable
done
rm -rf -- "$PAXCAST_RUNS"
echo 'OK: everything delivered in one order, at every size'
