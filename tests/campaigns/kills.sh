#!/usr/bin/env bash
# Kills processes of a durable cluster under load: tests/campaigns/kills.sh [KILLS], by default 100.
#
# Two clients at a time submit values while acceptors (one, or two at once), the leader, learners and clients are
# killed with SIGKILL in random order. Acceptors restart from disk, leaders and learners from nothing, clients not at
# all. After each kill values must flow again. In the end every learner of every life must have printed a beginning
# of the same log; in it each client's values stand once, in order and without gaps: all of them if the client ended
# well (so nothing acknowledged is lost), a beginning if it was killed.
# RANDOM_SEED repeats a choice of victims (not their timing).
# shellcheck source=tests/cluster.sh
source "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../cluster.sh"

kills=${1:-100}
values=2000
RANDOM=${RANDOM_SEED:=$RANDOM}
echo "$kills kills with RANDOM_SEED=$RANDOM_SEED"

open_cluster 'timeout 0' 'data data'
for id in 1 2 3; do
    "$root/acceptor.sh" --init "$id" "$conf" >>"$dir/acceptor$id.log" 2>&1 || fail "acceptor $id made no directory"
    start acceptor "$id" </dev/null >/dev/null
    await_ready "acceptor$id"
done

# Each life of a learner prints to a file of its own.
declare -A life=()
start_learner() {
    life[$1]=$((${life[$1]:-0} + 1))
    start learner "$1" </dev/null >"$dir/learned.$1.${life[$1]}"
    await_ready "learner$1"
}
for id in 1 2; do start_learner "$id"; done
for id in 1 2; do start proposer "$id" </dev/null >/dev/null; done
for id in 1 2; do await_ready "proposer$id"; done
await 15 'a leader' leadership

# Two clients at any time: one that has ended makes room for the next. A value says whose it is, and its number.
clients=0
declare -A finished=()
keep_clients() {
    local name status
    for name in "${!pids[@]}"; do
        if [[ $name != client* ]] || running "$name"; then continue; fi
        status=0
        wait "${pids[$name]}" || status=$?
        ((status == 0)) || fail "$name ended with status $status"
        unset "pids[$name]"
        finished[$name]=yes
    done
    while [[ $(printf '%s\n' "${!pids[@]}" | grep -c '^client') -lt ${1:-2} ]]; do
        clients=$((clients + 1))
        start client "$clients" --deadline 120 >/dev/null < <(
            seq -f "client$clients %.0f" "$values" |
                awk '{ print } NR % 100 == 0 { fflush(); system("sleep 0.05") }')
    done
}

# All learners print the same log, so the longest file tells how far it goes.
frontier() {
    stat -c %s "$dir"/learned.* | sort -n | tail -n 1
}
flowing() {
    keep_clients
    (($(frontier) > before))
}

declare -A struck=()
for ((kill = 1; kill <= kills; kill++)); do
    keep_clients
    random_pause 20 300
    chance=$((RANDOM % 100)) victims=()
    if ((chance < 25)); then
        victims=("acceptor$((RANDOM % 3 + 1))")
    elif ((chance < 40)); then
        spared=$((RANDOM % 3 + 1))
        for id in 1 2 3; do ((id == spared)) || victims+=("acceptor$id"); done
    elif ((chance < 65)); then
        victims=("$(leadership | cut -d ' ' -f 2)")
    elif ((chance < 85)); then
        victims=("learner$((RANDOM % 2 + 1))")
    else
        victims=("$(printf '%s\n' "${!pids[@]}" | grep -m 1 '^client')")
    fi
    for name in "${victims[@]}"; do
        strike "$name"
        struck[${name%%[0-9]*}]=$((${struck[${name%%[0-9]*}]:-0} + 1))
    done
    random_pause 0 200
    for name in "${victims[@]}"; do
        case $name in
            learner*) start_learner "${name#learner}" ;;
            client*) ;;
            *) start "${name%%[0-9]*}" "${name##*[a-z]}" </dev/null >/dev/null && await_ready "$name" ;;
        esac
    done
    before=$(frontier)
    await 30 "values to flow again after kill $kill of ${victims[*]}" flowing
    ((kill % 10)) || printf '%d kills, %d clients done, %d bytes learned\n' "$kill" "${#finished[@]}" "$before"
done

# The last clients finish, and a learner that was never there learns it all.
clients_done() {
    keep_clients 0
    [[ " ${!pids[*]}" != *" client"* ]]
}
await 120 'the last clients' clients_done
start_learner 3
level() {
    local end
    end=$(frontier)
    for id in 1 2 3; do (($(stat -c %s "$dir/learned.$id.${life[$id]}") == end)) || return 1; done
}
await 60 'all learners to have the same' level
end_well

log=$dir/learned.3.1
for learned in "$dir"/learned.*; do
    cmp -n "$(stat -c %s "$learned")" "$learned" "$log" || fail "${learned##*/} is no beginning of ${log##*/}"
done
printf '%s\n' "${!finished[@]}" >"$dir/finished"
awk -v values="$values" '
    NR == FNR { finished[$1]; next }
    $2 != ++last[$1] || NF != 2 { printf "line %d, \"%s\", comes after %s %d\n", FNR, $0, $1, last[$1] - 1; bad = 1; exit }
    END {
        for (client in finished) if (!bad && last[client] != values) {
            printf "%s was acknowledged %d values, %d were learned\n", client, values, last[client]; bad = 1
        }
        exit bad
    }' "$dir/finished" "$log" >"$dir/verdict" || fail "$(cat "$dir/verdict")"
for role in "${!struck[@]}"; do printf '%s %d  ' "$role" "${struck[$role]}"; done
printf '\nOK: %d kills; %d values in one order, each once; all of %d clients that were acknowledged\n' \
    "$kills" "$(wc -l <"$log")" "${#finished[@]}"
