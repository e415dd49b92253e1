#!/usr/bin/env bash
# How fast a learner that starts last catches up, and what that costs the others: tests/campaigns/catch_up.sh
#
# A cluster delivers many values of 64 bytes. Then learners start one after the other, each to be ended when it has
# everything: first while nothing else happens, then while a client submits values at a steady rate. Each must take in
# at least 20,000 values a second. The client's throughput and latency are shown for a time without and for the time
# with learners catching up; it must keep its rate. All this with volatile acceptors, with one of them dead, with
# durable ones, and with a log that no longer fits durable acceptors' memory, so that they read it back from disk.
# shellcheck source=tests/cluster.sh
source "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../cluster.sh"

rounds=10
rate=2000
least=20000
line=65 # bytes of a value of 64 and its line's end

printed() {
    stat -c %s "$dir/$1"
}
printed_at_least() {
    (($(printed "$1") >= $2))
}

# catch_up: a learner from nothing to where learner 1 is now; says how many values a second. It prints to `cmp`: a file
# would compete with the acceptors for the disk, and blame them for it.
catch_up() {
    local behind from seconds speed check
    behind=$(printed learn1)
    timeout 120 cmp -n "$behind" "$dir/late" "$dir/learn1" >"$dir/differences" &
    check=$!
    from=$EPOCHREALTIME
    start learner 2 </dev/null >"$dir/late"
    wait "$check" || fail "the late learner printed something else, or not enough in time: $(cat "$dir/differences")"
    seconds=$(awk -v from="$from" -v to="$EPOCHREALTIME" 'BEGIN { print to - from }')
    speed=$(awk -v bytes="$behind" -v line="$line" -v s="$seconds" 'BEGIN { printf "%d", bytes / line / s }')
    printf '    %d values in %.3f s, %d values/s\n' $((behind / line)) "$seconds" "$speed"
    kill -TERM "${pids[learner2]}" 2>/dev/null || true # or it has ended, as nobody reads it any more
    wait "${pids[learner2]}" || fail "learner 2 ended with status $?"
    unset "pids[learner2]"
    ((speed >= least)) || fail "$speed values/s are less than $least"
}

# A client at a steady rate, to be ended by `hush`.
clients=1
chatter() {
    clients=$((clients + 1))
    start client "$clients" --count 100000000 --size 64 --rate "$rate" </dev/null >/dev/null
    local from
    from=$(printed learn1)
    await 15 'the client to be heard' printed_at_least learn1 $((from + line * rate / 10))
}
# Ends it and says how it fared; `speed` is then the values that it had acknowledged a second.
hush() {
    local name=client$clients
    kill -TERM "${pids[$name]}"
    wait "${pids[$name]}" || fail "$name ended with status $?"
    unset "pids[$name]"
    sed -n "s/^summary client=[0-9]* /    $1: /p" "$dir/$name.log"
    speed=$(sed -n 's/^summary .* values_per_second=\([0-9]*\).*/\1/p' "$dir/$name.log")
}

# scenario WHAT VALUES DEAD LINE…: so many values, with so many acceptors killed, and these lines in the configuration.
scenario() {
    local id name before
    printf '%s\n' "$1"
    rm -rf -- "$dir"/*.log "$dir/data"
    open_cluster 'timeout 0' "${@:4}"
    for id in 1 2 3; do
        if [[ " ${*:4}" == *' data '* ]]; then
            "$root/acceptor.sh" --init "$id" "$conf" >"$dir/acceptor$id.log" 2>&1 || fail "acceptor $id made no directory"
        fi
        start acceptor "$id" </dev/null >/dev/null
    done
    for id in 1 2; do start proposer "$id" </dev/null >/dev/null; done
    start learner 1 </dev/null >"$dir/learn1"
    for name in acceptor{1..3} proposer{1..2} learner1; do await_ready "$name"; done
    await 15 'a leader' leadership
    start client 1 --count "$2" --size 64 --deadline 300 </dev/null >/dev/null
    wait "${pids[client1]}" || fail "client 1 ended with status $?"
    unset "pids[client1]"
    await 15 'learner 1 to have everything' printed_at_least learn1 $(($2 * line))
    for ((id = 1; id <= $3; id++)); do strike "acceptor$id"; done

    echo '  nothing else happens'
    for ((round = 1; round <= rounds; round++)); do catch_up; done
    echo "  while a client submits $rate values a second"
    chatter
    random_pause 5000 5000 # the time without late learners, to compare with
    hush 'without late learners'
    before=$speed
    chatter
    for ((round = 1; round <= rounds; round++)); do catch_up; done
    hush 'with late learners'
    ((speed * 10 >= before * 9)) || fail "the others were slowed from $before to $speed values/s"
    end_well
    sed -n 's/^statistics role=\(acceptor id=[0-9]*\).* \(lookups=[0-9]*\).*/  \1 \2/p' "$dir"/acceptor*.log
}

mkfifo "$dir/late"
scenario '100,000 values, volatile acceptors' 100000 0
scenario '100,000 values, volatile acceptors, one of them dead' 100000 1
scenario '100,000 values, durable acceptors' 100000 0 'data data'
scenario '2,000,000 values, durable acceptors' 2000000 0 'data data'
grep -q 'lookups=[1-9]' "$dir"/acceptor*.log || fail 'nothing was read back from disk'
scenario '2,000,000 values, durable acceptors, one of them dead' 2000000 1 'data data'
echo "OK: at least $least values/s everywhere"
