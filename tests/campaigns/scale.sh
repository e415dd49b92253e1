#!/usr/bin/env bash
# Whether a value costs the same however long the log is: tests/campaigns/scale.sh [MILLIONS] [DIRECTORY], by default 10.
#
# Two clients at a time have a durable cluster deliver so many million values of 64 bytes. On the way each line tells
# how far it is, the throughput since the line before, the resident memory of every process, and the bytes of log a
# value takes. Then an acceptor is killed and started again, which takes until it says that it is ready, and a learner
# starts from nothing, which takes until it has printed all: both once with the logs as they are in the system's memory,
# and once without. All learners must have every value, none more.
# Needs 80 MB of disk for each million values at each of three acceptors, in DIRECTORY (or that of temporary files).
export TMPDIR=${2:-${TMPDIR:-/tmp}}
# shellcheck source=tests/cluster.sh
source "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../cluster.sh"

millions=${1:-10}
values=$((millions * 1000000))
names=(acceptor{1..3} proposer{1..2} learner1)
line=65 # bytes of a value of 64 and its line's end

# seconds_since EPOCHREALTIME
seconds_since() {
    awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.3f", to - from }'
}
# per_second COUNT SECONDS
per_second() {
    awk -v count="$1" -v seconds="$2" 'BEGIN { printf "%d", count / seconds }'
}
# resident NAME: in MB.
resident() {
    awk '$1 == "VmRSS:" { printf "%.1f", $2 / 1000 }' "/proc/${pids[$1]}/status"
}
ready() {
    grep -qs '^ready ' "$dir/$1.log"
}

clients=0
# submit COUNT: by two new clients, half of it each, until all is acknowledged.
submit() {
    local id name
    for id in $((clients + 1)) $((clients + 2)); do
        start client "$id" --count $(($1 / 2)) --size 64 </dev/null >/dev/null
    done
    for id in $((clients + 1)) $((clients + 2)); do
        wait "${pids[client$id]}" || fail "client $id ended with status $?"
        unset "pids[client$id]"
    done
    clients=$((clients + 2))
    for name in "${names[@]}"; do running "$name" || fail "$name has ended"; done
}

open_cluster 'timeout 0' 'data data'
needed=$((millions * 240 / 1000 + 1)) free=$(df --output=avail -BG "$dir" | tail -n 1 | tr -dc 0-9)
((free > needed)) || fail "$dir has $free GB left, and the logs need $needed GB"
for id in 1 2 3; do
    "$root/acceptor.sh" --init "$id" "$conf" >"$dir/acceptor$id.log" 2>&1 || fail "acceptor $id made no directory"
    start acceptor "$id" </dev/null >/dev/null
done
for id in 1 2; do start proposer "$id" </dev/null >/dev/null; done
start learner 1 </dev/null >/dev/null
for name in "${names[@]}"; do await_ready "$name"; done
await 15 'a leader' leadership

printf '%12s %10s' values 'values/s'
printf ' %10s' "${names[@]}" 'log/value'
printf '\n%12s %10s' '' ''
printf ' %10s' MB MB MB MB MB MB bytes
echo
done=0
for percent in 1 10 30 60 90 100; do
    upto=$((values * percent / 100)) from=$EPOCHREALTIME
    submit $((upto - done))
    speed=$(per_second $((upto - done)) "$(seconds_since "$from")")
    done=$upto
    bytes=$(du -sb "$dir/data/acceptor-1" | cut -f 1)
    printf '%12d %10d' "$done" "$speed"
    for name in "${names[@]}"; do printf ' %10s' "$(resident "$name")"; done
    printf ' %10s\n' "$(awk -v bytes="$bytes" -v values="$done" 'BEGIN { printf "%.1f", bytes / values }')"
done

# restart WORDS: starts the killed acceptor, and says how long it takes to be back.
restart() {
    local from=$EPOCHREALTIME
    start acceptor 1 </dev/null >/dev/null
    await 900 'acceptor 1 to read its log' ready acceptor1
    printf 'an acceptor is back after %s s, %s, and has %s MB resident\n' \
        "$(seconds_since "$from")" "$1" "$(resident acceptor1)"
}
# catch_up ID WORDS: a learner from nothing to the end of the log.
catch_up() {
    local counter from seconds
    mkfifo "$dir/late$1"
    head -c $((values * line)) <"$dir/late$1" | wc -l >"$dir/lines$1" &
    counter=$!
    from=$EPOCHREALTIME
    start learner "$1" </dev/null >"$dir/late$1"
    wait "$counter" || fail "nobody counted what learner $1 prints"
    seconds=$(seconds_since "$from")
    [[ $(<"$dir/lines$1") == "$values" ]] || fail "learner $1 printed $(<"$dir/lines$1") values of $values"
    printf 'a learner from nothing has all values after %s s, %s: %d a second\n' \
        "$seconds" "$2" "$(per_second "$values" "$seconds")"
}
# Has the system forget what it holds of the logs in memory, so that they are read from the disk.
forget() {
    local file
    for file in "$dir"/data/*/votes-*; do dd if="$file" iflag=nocache count=0 status=none; done
}

strike acceptor1
forget
restart "$((bytes / 1000000)) MB read from the disk"
strike acceptor1
restart 'the same from memory'
forget
catch_up 2 'the logs read from the disk'
catch_up 3 'the same from memory as far as they fit'
end_well
for id in 1 2 3; do
    grep -q "^statistics role=learner .* values=$values " "$dir/learner$id.log" ||
        fail "learner $id delivered something else than $values values"
done
echo "OK: all of $values values, at all three learners"
