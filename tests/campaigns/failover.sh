#!/usr/bin/env bash
# Measures how long delivery pauses when the leader is killed: tests/campaigns/failover.sh [ROUNDS], by default 21.
#
# A client submits 500 values a second, and every value is stamped when a learner prints it. Each round kills the
# leader with SIGKILL; its pause is the longest time without a value from then on. The killed proposer comes back
# before the next round. Prints the median and fails if it reaches 300 ms.
# shellcheck source=tests/cluster.sh
source "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../cluster.sh"

rounds=${1:-21}

open_cluster 'timeout 0'
for id in 1 2 3; do start acceptor "$id" </dev/null >/dev/null; done
for id in 1 2; do start proposer "$id" </dev/null >/dev/null; done
start learner 1 </dev/null > >(while read -r; do echo "$EPOCHREALTIME"; done >"$dir/stamps")
for name in acceptor{1..3} proposer{1..2} learner1; do await_ready "$name"; done
await 15 'a leader' leadership
start client 1 --count $((rounds * 5000)) --size 32 --rate 500 </dev/null >/dev/null

# More values than there were, and the leader is another than the one that was killed.
recovered() {
    [[ $(leadership) != "$led" ]] && (($(wc -l <"$dir/stamps") > stamped + 100))
}
led='' stamped=0
await 15 'values to flow' recovered
for ((round = 1; round <= rounds; round++)); do
    random_pause 300 800
    led=$(leadership)
    printf '%s\n' "$EPOCHREALTIME" >>"$dir/kills"
    strike "${led#* }"
    stamped=$(wc -l <"$dir/stamps")
    await 15 "another leader than $led" recovered
    start proposer "${led#* proposer}" </dev/null >/dev/null
    await_ready "${led#* }"
done
end_well

awk '
    NR == FNR { kill[++kills] = $1; next }
    {
        while (round < kills && kill[round + 1] < $1) round++
        if ($1 - last > pause[round]) pause[round] = $1 - last
        last = $1
    }
    END { for (i = 1; i <= kills; i++) printf "%.1f\n", 1000 * pause[i] }' "$dir/kills" "$dir/stamps" |
    sort -n >"$dir/pauses"
awk '{ pause[NR] = $1 }
    END {
        median = NR % 2 ? pause[(NR + 1) / 2] : (pause[NR / 2] + pause[NR / 2 + 1]) / 2
        printf "pause at the loss of the leader: median %.1f ms, least %.1f ms, longest %.1f ms, of %d\n", \
            median, pause[1], pause[NR], NR
        exit (NR == 0 || median >= 300)
    }' "$dir/pauses" || fail 'the median pause is not under 300 ms'
