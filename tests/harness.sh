#!/usr/bin/env bash
# The timeline of the course's test harness: tests/harness.sh [options] N
#
# Acceptors at 0 s, learners at 1 s, proposers at 2 s, two clients with N values each at 12 s, SIGTERM to all at 17 s;
# roles are started by their wrappers from the project's root, with an absolute path to the configuration. Nothing
# waits for anything to be ready: these times are what is tested. check_all.sh gives the verdict.
#
#   --acceptors K       start only K of three (2 must do, 1 must print nothing)
#   --kill-acceptors K  kill K of them one and two seconds after the clients' start
#   --late-learner      start learner 2 one second after the clients
#   --loss PERCENT      drop so many datagrams by iptables, the course's way: for all receivers or none
#
# Runs in a private network namespace where only the loopback interface is up and no route leads anywhere.
# Exit status: that of check_all.sh, and 1 if a role does not end well at SIGTERM.
set -euo pipefail

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
if [[ ${1:-} != inside ]]; then
    if [[ -z ${PAXCAST_BIN:-} ]]; then
        cargo build --release --locked --bins --manifest-path "$root/Cargo.toml" >&2
        export PAXCAST_BIN=${CARGO_TARGET_DIR:-$root/target}/release
    fi
    user=()
    ((EUID == 0)) || user=(--user --map-root-user)
    exec unshare "${user[@]}" --net --mount --pid --fork --kill-child --mount-proc "$root/tests/harness.sh" inside "$@"
fi
shift

acceptors=3 kill=0 late='' loss='' n=''
while (($#)); do
    case $1 in
        --acceptors) acceptors=$2 && shift ;;
        --kill-acceptors) kill=$2 && shift ;;
        --late-learner) late=yes ;;
        --loss) loss=$2 && shift ;;
        *) n=$1 ;;
    esac
    shift
done
if [[ ! $n =~ ^[1-9][0-9]*$ ]]; then
    echo 'usage: tests/harness.sh [--acceptors K] [--kill-acceptors K] [--late-learner] [--loss PERCENT] N' >&2
    exit 2
fi

ip link set lo up
if [[ -n $loss ]]; then
    mount -t tmpfs none /run # for the lock of iptables
    share=$(awk -v percent="$loss" 'BEGIN { printf "%.4f", percent / 100 }')
    iptables -A INPUT -p udp -m statistic --mode random --probability "$share" -j DROP
fi

dir=$(mktemp -d)
trap 'rm -rf -- "$dir"' EXIT
{
    sed -E '/^[[:space:]]*cluster[[:space:]]/d' "$root/paxos.conf"
    printf 'cluster harness-%s\n' "${dir##*/}"
} >"$dir/paxos.conf"
shuf -r -n "$n" -i "1-$((10 * n))" >"$dir/prop1"
shuf -r -n "$n" -i "1-$((10 * n))" >"$dir/prop2"

cd -- "$root"
declare -A pids=()
start() {
    "./$1.sh" "$2" "$dir/paxos.conf" <&0 2>"$dir/$1$2.log" &
    pids[$1$2]=$!
}
for ((id = 1; id <= acceptors; id++)); do start acceptor "$id" </dev/null >/dev/null; done
sleep 1
start learner 1 </dev/null >"$dir/learn1"
[[ -n $late ]] || start learner 2 </dev/null >"$dir/learn2"
sleep 1
for id in 1 2; do start proposer "$id" </dev/null >/dev/null; done
sleep 10
for id in 1 2; do start client "$id" <"$dir/prop$id" >/dev/null; done
for second in 1 2; do
    sleep 1
    [[ -z $late || $second != 1 ]] || start learner 2 </dev/null >"$dir/learn2"
    ((second > kill)) || kill -KILL "${pids[acceptor$second]}"
done
sleep 3

status=0
kill -TERM "${pids[@]}" 2>/dev/null || true # clients have ended by themselves
for name in "${!pids[@]}"; do
    ended=0
    wait "${pids[$name]}" 2>/dev/null || ended=$?
    [[ $name == acceptor* && ${name#acceptor} -le $kill ]] && continue
    ((ended)) || continue
    printf '%s ended with status %s:\n' "$name" "$ended"
    tail -n 5 "$dir/$name.log" | sed 's/^/    /'
    status=1
done
for learn in "$dir"/learn[12]; do printf '%s of %s values in %s\n' "$(wc -l <"$learn")" "$((2 * n))" "${learn##*/}"; done
./check_all.sh "$dir" || status=1
exit "$status"
