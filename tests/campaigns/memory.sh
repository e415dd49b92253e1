#!/usr/bin/env bash
# What every role needs of memory, idle and under load: tests/campaigns/memory.sh [VALUES], by default 10000000.
#
# A cluster idles for half a minute; then two clients at a time submit values of 64 bytes, half of them, and the other
# half again by two others; at last a learner starts that has all of it to read. Each process's peak (VmHWM) is read
# while idle, after the first half, after the second and when the last learner is done. All must stay below 300 MB, and
# idling must cost nothing; volatile acceptors keep every vote, as they say, and are only shown. Needs about 1 GB of
# disk in the temporary directory for each five million values.
# shellcheck source=tests/cluster.sh
source "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../cluster.sh"

values=${1:-10000000}
idle=30
bound=300000 # kB

# What /proc says of a process, in kB: reading FIELD NAME.
reading() {
    awk -v field="$1:" '$1 == field { print $2 }' "/proc/${pids[$2]}/status" 2>/dev/null || true
}

# note STAGE NAME…: the peaks so far of these processes.
note() {
    local name
    for name in "${@:2}"; do
        peak[$1 $name]=$(reading VmHWM "$name")
        peak[$1 $name]=${peak[$1 $name]:?$name is gone}
    done
}

# half STAGE FIRST: clients FIRST and FIRST + 1 submit half of all values; the others' peaks are noted when all are done.
half() {
    local id name now live=2
    for id in "$2" $(($2 + 1)); do
        start client "$id" --count $((values / 4)) --size 64 --deadline 1200 </dev/null >/dev/null
    done
    while ((live)); do
        live=0
        for name in "client$2" "client$(($2 + 1))"; do
            now=$(reading VmHWM "$name")
            # A process that has just ended has no memory to speak of.
            [[ -z $now ]] || { peak[$1 client]=$now && live=1; }
        done
        for name in "${names[@]}"; do running "$name" || fail "$name has ended"; done
        sleep 0.2
    done
    for name in "client$2" "client$(($2 + 1))"; do
        wait "${pids[$name]}" || fail "$name ended with status $?"
        unset "pids[$name]"
    done
    note "$1" "${names[@]}"
}

# campaign KIND LINE: the whole of it, with this line in the configuration.
campaign() {
    local id name stage before kilobytes worst=0
    declare -A peak=()
    names=()
    rm -f -- "$dir"/*.log
    open_cluster 'timeout 0' "$2"
    for id in 1 2 3; do
        [[ $1 == volatile ]] || "$root/acceptor.sh" --init "$id" "$conf" >"$dir/acceptor$id.log" 2>&1 ||
            fail "acceptor $id made no directory"
        start acceptor "$id" </dev/null >/dev/null
        names+=("acceptor$id")
    done
    for id in 1 2; do start proposer "$id" </dev/null >/dev/null && names+=("proposer$id"); done
    for id in 1 2; do start learner "$id" </dev/null >/dev/null && names+=("learner$id"); done
    for name in "${names[@]}"; do await_ready "$name"; done
    await 15 'a leader' leadership

    declare -A resident=()
    for name in "${names[@]}"; do resident[$name]=$(reading VmRSS "$name"); done
    sleep "$idle" # the time to idle, which is what is measured
    note idle "${names[@]}"
    for name in "${names[@]}"; do
        before=${resident[$name]}
        (($(reading VmRSS "$name") < before + 4000)) || fail "$name grew from $before kB while idle"
    done
    half middle 1
    half end 3
    start learner 3 --after $((values - 1)) </dev/null >"$dir/last"
    await 300 'a late learner to read everything' test -s "$dir/last"
    names+=(learner3)
    note late "${names[@]}"
    printf '%-19s%7s%10d%10d%16s\n' "$1, peak in MB" idle $((values / 2)) "$values" 'late learner'
    for name in "${names[@]}" client; do
        printf '  %-16s' "$name"
        for stage in idle:8 middle:10 end:10 late:16; do
            kilobytes=${peak[${stage%:*} $name]:-}
            awk -v kb="$kilobytes" -v width="${stage#*:}" \
                'BEGIN { printf "%*s", width, kb == "" ? "" : sprintf("%.1f", kb / 1000) }'
            [[ -n $kilobytes ]] || continue
            [[ $1 == volatile && $name == acceptor* ]] || ((kilobytes <= worst)) || worst=$kilobytes
        done
        echo
    done
    end_well
    sed -n 's/^\(statistics role=learner.* instances=[0-9]*\).*/  \1/p' "$dir"/learner*.log
    ((worst < bound)) || fail "a process needed $worst kB, the bound is $bound kB"
    printf 'OK: %s, %d values: nobody bounded needed more than %d MB\n' "$1" "$values" $((worst / 1000))
}

campaign durable 'data data'
rm -rf -- "$dir/data"
campaign volatile '# volatile'
