# shellcheck shell=bash
# A cluster that a campaign starts, kills and restarts, process by process. Sourced, not run.
#
# Everything goes to $dir: paxos.conf, NAME.log for each process (a restarted one appends), and what the caller
# redirects there. Only processes started here are ended, each by its id; `dir` is removed unless the campaign failed.
set -euo pipefail
export LC_ALL=C

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)
dir=$(mktemp -d)
conf=$dir/paxos.conf
declare -A pids=()

# open_cluster LINE…: the executables, and the configuration with these lines instead of its own of that kind.
open_cluster() {
    [[ -n ${PAXCAST_BIN:-} ]] || cargo build --release --locked --bins --manifest-path "$root/Cargo.toml" >&2
    sed -E 's/#.*//; /^[[:space:]]*((cluster|data|timeout)[[:space:]].*)?$/d' "$root/paxos.conf" >"$conf"
    printf '%s\n' "cluster campaign-${dir##*/}" "$@" >>"$conf"
}

# start ROLE ID [ARGUMENT…]: in the background, with the caller's standard input and output. `kv` is a replica of the store.
start() {
    local name=$1$2 program=("$root/$1.sh")
    [[ $1 != kv ]] || program=("${PAXCAST_BIN:-${CARGO_TARGET_DIR:-$root/target}/release}/paxcast" kv)
    # The ready line of a former life must not be taken for this one's.
    if [[ -f $dir/$name.log ]]; then sed -i 's/^ready /formerly &/' "$dir/$name.log"; fi
    RUST_LOG=${RUST_LOG:-info} setpriv --pdeathsig KILL "${program[@]}" "$2" "$conf" "${@:3}" <&0 2>>"$dir/$name.log" &
    pids[$name]=$!
}

# Waits until a process says that it is ready.
await_ready() {
    await 15 "$1 to be ready" grep -qs '^ready ' "$dir/$1.log"
}

# await SECONDS WHAT COMMAND…: until the command succeeds.
await() {
    local limit=$((SECONDS + $1))
    until "${@:3}" >/dev/null; do
        ((SECONDS < limit)) || fail "waited $1 s in vain for $2"
        sleep 0.02
    done
}

running() {
    [[ -n ${pids[$1]:-} ]] && kill -0 "${pids[$1]}" 2>/dev/null
}

# Kills a process with no chance to say good-bye.
strike() {
    kill -KILL "${pids[$1]}" 2>/dev/null || true
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]"
}

# The highest ballot that a proposer has led, as "ROUND proposerID"; fails while there is none.
leadership() {
    sed -n 's/.*\] lead[a-z ]* \([0-9]*\)\.p\([0-9]*\).*/\1 proposer\2/p' "$dir"/proposer*.log | sort -n | tail -n 1 | grep .
}

# random_pause FROM THROUGH, in milliseconds: not to wait for anything, but so that faults strike at any moment.
random_pause() {
    local pause=$(($1 + RANDOM % ($2 - $1 + 1)))
    sleep "$((pause / 1000)).$(printf '%03d' $((pause % 1000)))"
}

fail() {
    trap - EXIT
    end_all
    printf 'FAILED: %s\nEverything is kept in %s; the last lines of its logs:\n' "$1" "$dir" >&2
    tail -qn 2 "$dir"/*.log | sed 's/^/    /' >&2
    exit 1
}

# SIGTERM to all; each must end with status 0.
end_well() {
    local name
    kill -TERM "${pids[@]}" 2>/dev/null || true
    for name in "${!pids[@]}"; do
        wait "${pids[$name]}" || fail "$name ended with status $? at SIGTERM"
        unset "pids[$name]"
    done
}
end_all() {
    local name
    for name in "${!pids[@]}"; do strike "$name"; done
}
trap 'end_all; rm -rf -- "$dir"' EXIT
trap 'exit 130' INT TERM HUP
