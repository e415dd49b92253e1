#!/usr/bin/env bash
# What a replicated store needs as history grows, and how a replica joins it: tests/campaigns/growth.sh [COMMANDS],
# by default 10000000.
#
# Three replicas on durable acceptors take so many SETs over 100,000 keys, in two halves, from redis-benchmark.
# Directories and processes must stay below bounds that do not know how many commands there were. Then, while clients
# call operations at all three, a fourth replica comes from nothing, several times: within 10 s it must answer with what
# was written just before. The clients' 99th percentile while it comes, at least for a second, may be twice that of as
# long a time right before, where it takes only time that no other process wants, as on a machine of its own; what it is
# where all share the processors is shown. Then replica 1 is killed, and must answer again within 3 s. All that once more with about
# 1,000,000 keys. In the end all four must have one state. Needs redis-tools, and 2 GB in the temporary directory.
# shellcheck source=tests/cluster.sh
source "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../cluster.sh"

commands=${1:-10000000}
joins=5
names=(acceptor{1..3} proposer{1..2} kv{1..3})
declare -A disk=()

# ask ID WORD…: what a replica answers.
ask() {
    local at
    at=$(address "$1")
    timeout 15 redis-cli -p "${at##*:}" "${@:2}" 2>&1
}
# address ID: where it listens.
address() {
    sed -n 's/^ready .* address=\([^ ]*\) .*/\1/p' "$dir/kv$1.log"
}

# mark VALUE: a value that all must know, written at replica 2.
mark() {
    [[ $(ask 2 SET mark "$1") == OK ]] || fail 'replica 2 does not take a SET'
}

# await_mark ID VALUE: until the replica is ready and answers with it. Starts no process, for that would cost more
# processor time than the answer.
await_mark() {
    local ready=$'(^|\n)ready [^\n]* address=[^ ]*:([0-9]+) ' log='' heard='' limit=$((SECONDS + 15))
    until [[ $heard == "$2"$'\r' ]]; do
        ((SECONDS < limit)) || fail "kv$1 does not answer with what was written before it was started: ${heard:-nothing}"
        read -r -t 0.02 <> <(:) || true
        # All of it; there is no end of text in it.
        read -r -d '' log <"$dir/kv$1.log" || [[ $log =~ $ready ]] || continue
        exec {talk}<>"/dev/tcp/127.0.0.1/${BASH_REMATCH[2]}"
        printf 'GET mark\r\n' >&"$talk"
        read -r -t 15 -u "$talk" heard
        [[ $heard != \$* ]] || read -r -t 15 -u "$talk" heard
        exec {talk}>&-
    done
}

# The seconds that this machine is up, as in the load's records.
now() {
    cut -d ' ' -f 1 /proc/uptime
}
# compute EXPRESSION [NAME=VALUE…]: of awk, with two digits.
compute() {
    local name arguments=()
    for name in "${@:2}"; do arguments+=(-v "$name"); done
    awk "${arguments[@]}" "BEGIN { printf \"%.2f\", $1 }"
}

# The middle of the numbers in the standard input, one a line.
median() {
    sort -n | awk '{ n[NR] = $1 } END { printf "%.2f", NR % 2 ? n[(NR + 1) / 2] : (n[NR / 2] + n[NR / 2 + 1]) / 2 }'
}

# below WHAT VALUE BOUND UNIT: shows it, and fails where it is not.
below() {
    printf '  %-60s%9s %s, at most %s\n' "$1" "$2" "$4" "$3"
    awk -v value="$2" -v bound="$3" 'BEGIN { exit !(value <= bound) }' || fail "$1: $2 $4, and $3 is the bound"
}

# fill COMMANDS KEYS: so many SETs. `disk` keeps the most MiB that a directory of each role ever had.
fill() {
    local name size filler at
    at=$(address 1)
    redis-benchmark -q -p "${at##*:}" -t set -n "$1" -r "$2" -d 64 -P 64 -c 50 >"$dir/fill" 2>&1 &
    filler=$!
    while kill -0 "$filler" 2>/dev/null; do
        # A file may go while it is looked at.
        while read -r size name; do
            name=${name##*/} name=${name%-*}
            ((size <= ${disk[$name]:-0})) || disk[$name]=$size
        done < <(du -sm "$dir"/data/* 2>/dev/null)
        for name in "${names[@]}"; do running "$name" || fail "$name has ended"; done
        sleep 0.2
    done
    wait "$filler" || fail "redis-benchmark ended with status $?"
    tr '\r' '\n' <"$dir/fill" | sed -n 's/^SET: \([0-9]*\).*requests per second.*/  \1 commands a second/p'
}

# weigh WHAT KEYS: shows the most that directories and processes ever had, against bounds that follow from the keys.
weigh() {
    local name most=() kilobytes
    # Two times 64 MiB of commands, since acceptors keep them up to the checkpoint before the last, and as much again
    # for what comes while one is written; the segments in which that begins and ends, and one made in advance.
    below "$1: an acceptor's directory" "${disk[acceptor]}" 384 MiB
    # A key of 16 bytes with a value of 64 takes up to 100 bytes. There are two checkpoints, one that is written, and
    # one that is fetched.
    below "$1: a replica's directory" "${disk[replica]}" $((4 + 4 * 100 * $2 >> 20)) MiB
    for name in "${names[@]}"; do
        kilobytes=$(awk '$1 == "VmHWM:" { print $2 }' "/proc/${pids[$name]}/status")
        case $name in
            kv*) most[2]=$((kilobytes > ${most[2]:-0} ? kilobytes : most[2])) ;;
            proposer*) most[1]=$((kilobytes > ${most[1]:-0} ? kilobytes : most[1])) ;;
            *) most[0]=$((kilobytes > ${most[0]:-0} ? kilobytes : most[0])) ;;
        esac
    done
    below "$1: an acceptor's memory" $((most[0] >> 10)) 300 MiB
    below "$1: a proposer's memory" $((most[1] >> 10)) 300 MiB
    # The store counts 160 bytes for a key beside its own; twice that while tables grow.
    below "$1: a replica's memory" $((most[2] >> 10)) $((300 + (2 * 240 * $2 >> 20))) MiB
}

# load SECONDS ID…: three operations under way at these replicas for so long, each recorded; `loader` is its process.
load() {
    local id at=''
    for id in "${@:2}"; do at+=${at:+,}$(address "$id"); done
    "${PAXCAST_BIN:-${CARGO_TARGET_DIR:-$root/target}/release}/paxcast" bench kv-load --at "$at" --seconds "$1" \
        --under-way 3 --prefix load- --record "$dir/record" >"$dir/load" 2>"$dir/load.log" &
    loader=$!
    await 15 'the load to begin' grep -qs '^ready ' "$dir/load.log"
}
await_load() {
    wait "$loader" || fail "the load ended with status $?"
    grep -q '"failed":0,"unknown":0,"gave_up":false' "$dir/load" || fail "operations failed: $(cat "$dir/load")"
}

# p99 FROM TO: of the recorded operations that ended between these times, in ms.
p99() {
    awk -F '[:,]' -v from="$1" -v to="$2" '{
        for (i = 1; i < NF; i++) if ($i ~ /"called"/) called = $(i + 1); else if ($i ~ /"ended"/) ended = $(i + 1)
        if (ended > from * 1e9 && ended <= to * 1e9) print ended - called }' "$dir/record" | sort -n |
        awk '{ n[NR] = $1 } END { if (!NR) exit 1; i = int(NR * 0.99); printf "%.3f\n", n[i + (i < NR)] / 1e6 }'
}

# join KEYS: a fourth replica from nothing, several times, while clients go on.
join() {
    local round from took window pause=2500 each=11
    # A large state takes longer, and so does the time to compare with.
    [[ $1 == 100,000 ]] || each=24
    load $((joins * each)) 1 2 3
    rm -f -- "$dir"/{joined,took,before,during,ratios}
    for ((round = 1; round <= joins; round++)); do
        ! running kv4 || strike kv4
        rm -rf -- "$dir/data/replica-4"
        random_pause "$pause" "$pause" # a time without a replica that joins, to compare with
        mark "$1 keys, $round"
        from=$(now)
        start kv 4 --listen 127.0.0.1:0 </dev/null >/dev/null
        await_mark 4 "$1 keys, $round"
        took=$(compute 'to - from' from="$from" to="$(now)")
        pause=$(awk -v took="$took" 'BEGIN { printf "%d", took < 2 ? 2500 : 1200 * took }')
        printf '%s\n' "$took" >>"$dir/took"
        printf '%s %s\n' "$from" "$took" >>"$dir/joined"
    done
    kill -0 "$loader" 2>/dev/null || fail 'the load was over before all had joined'
    await_load
    while read -r from took; do
        window=$(compute 'took < 1 ? 1 : took' took="$took")
        p99 "$(compute 'from - window' from="$from" window="$window")" "$from" >>"$dir/before"
        p99 "$from" "$(compute 'from + window' from="$from" window="$window")" >>"$dir/during"
    done <"$dir/joined"
    paste "$dir/during" "$dir/before" | awk '{ print $1 / $2 }' >"$dir/ratios"
    below "$1 keys: a replica joins" "$(median <"$dir/took")" 10 s
    printf '  %-60s%9s ms, before %s ms\n' "$1 keys: p99 of the others" \
        "$(median <"$dir/during")" "$(median <"$dir/before")"
    below "$1 keys: p99 of the others by that before" "$(median <"$dir/ratios")" 2 times
}

# restart KEYS: replica 1 is killed while clients go on at the others.
restart() {
    local from
    load 8 2 3
    random_pause 500 1000
    strike kv1
    mark "$1 keys, killed"
    from=$(now)
    start kv 1 --listen 127.0.0.1:0 </dev/null >/dev/null
    await_mark 1 "$1 keys, killed"
    below "$1 keys: replica 1 is back" "$(compute 'to - from' from="$from" to="$(now)")" 3 s
    await_load
}

# Whether all replicas tell one state, which is kept.
agree() {
    local id
    state=$(ask 1 PAXOS HASH)
    for id in 2 3 4; do [[ $(ask "$id" PAXOS HASH) == "$state" ]] || return 1; done
}

for tool in redis-benchmark redis-cli; do
    command -v "$tool" >/dev/null || fail "$tool is missing; it is in the package redis-tools"
done
open_cluster 'timeout 0' 'data data' 'replica_ids 1 2 3'
for id in 1 2 3; do
    "$root/acceptor.sh" --init "$id" "$conf" >"$dir/acceptor$id.log" 2>&1 || fail "acceptor $id made no directory"
    start acceptor "$id" </dev/null >/dev/null
done
for id in 1 2; do start proposer "$id" </dev/null >/dev/null; done
for id in 1 2 3; do start kv "$id" --listen 127.0.0.1:0 </dev/null >/dev/null; done
for name in "${names[@]}"; do await_ready "$name"; done
await 15 'a leader' leadership

for half in first second; do
    fill $((commands / 2)) 100000
    weigh "$half half of $commands commands" 100000
done
for keys in 100,000 1,000,000; do
    if [[ $keys == 1,000,000 ]]; then
        fill 3000000 1000000
        weigh "$(ask 1 DBSIZE) keys" 1000000
    fi
    join "$keys"
    restart "$keys"
done
await 15 'all replicas to tell one state' agree
end_well
printf 'OK: after %d commands four replicas have state %s\n' $((commands + 3000000)) "$state"
