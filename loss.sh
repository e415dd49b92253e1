#!/usr/bin/env bash
# The run of run.sh on a network that loses datagrams: ./loss.sh [PROBABILITY] [N], by default 0.1 and 100.
#
# On one host a firewall drops a multicast datagram for all receivers or for none. So every process gets a network
# namespace of its own on a private bridge, and its own iptables rule there drops each datagram that reaches it with
# this probability. All of it lives in one outer namespace: the host's interfaces and firewall are never touched, and
# the kernel removes everything with the last process, even if this script is killed outright. Needs iptables,
# iproute2 and root, or user namespaces for ordinary users. Exit status: 0 all delivered and in order, 1 not.
set -euo pipefail

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
probability=${1:-0.1}
n=${2:-100}

give_up() {
    printf 'loss.sh: %s\n' "$@" >&2
    exit 1
}
if (($# > 3)) || [[ ! $probability =~ ^0?(\.[0-9]+)?$ || ! $n =~ ^[1-9][0-9]*$ ]]; then
    give_up "expected a probability from 0 to below 1 and a number of values, not \"$*\"" 'try ./loss.sh 0.1 100'
fi

if [[ ${3:-} != inside ]]; then
    for tool in ip iptables unshare setpriv; do
        command -v "$tool" >/dev/null || give_up "$tool is missing" 'get it: apt-get install iptables iproute2 util-linux'
    done
    if [[ -z ${PAXCAST_BIN:-} ]]; then
        cargo build --release --locked --bins --manifest-path "$root/Cargo.toml" >&2
        export PAXCAST_BIN=${CARGO_TARGET_DIR:-$root/target}/release
    fi
    namespaces=(unshare --net --mount --pid --fork --kill-child --mount-proc)
    if ! reason=$("${namespaces[@]}" true 2>&1); then
        namespaces+=(--user --map-root-user)
        reason=$("${namespaces[@]}" true 2>&1) || give_up "cannot make namespaces here: $reason" \
            'run it as root, or let ordinary users have them: sysctl -w user.max_user_namespaces=10000' \
            '(Debian: kernel.unprivileged_userns_clone=1; Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0)'
    fi
    # Whatever ends this script ends `unshare`, whose end ends all within.
    setpriv --pdeathsig KILL "${namespaces[@]}" "$root/loss.sh" "$probability" "$n" inside &
    trap 'kill -KILL $!; exit 130' INT TERM HUP
    wait $!
    exit
fi

mount -t tmpfs none /run # where names of namespaces and the lock of iptables go
ip link add lan type bridge mcast_snooping 0
ip link set lan up
names=(acceptor{1..3} learner{1..2} proposer{1..2} client{1..2})
host=0
iptables=''
drop=(INPUT -p udp -m statistic --mode random --probability "$probability" -j DROP)
for name in "${names[@]}"; do
    host=$((host + 1))
    ip netns add "$name"
    ip link add "$name" type veth peer name lan0 netns "$name"
    ip link set "$name" master lan up
    ip -n "$name" address add "10.77.0.$host/24" dev lan0
    ip -n "$name" link set lan0 up
    ip -n "$name" link set lo up
    # A kernel may know only one of the two kinds of tables; the first rule shows which.
    for kind in ${iptables:-iptables iptables-nft iptables-legacy}; do
        if reason=$(ip netns exec "$name" "$kind" -A "${drop[@]}" 2>&1); then
            iptables=$kind
            break
        fi
    done
    # What the first rule leaves, counted.
    ip netns exec "$name" "${iptables:-false}" -A INPUT -p udp -j ACCEPT 2>/dev/null || iptables=''
    [[ -n $iptables ]] || give_up "iptables cannot drop at random here: $reason" \
        'get it: apt-get install iptables; the kernel needs its statistic match (module xt_statistic)'
done

{
    sed -E '/^[[:space:]]*interface[[:space:]]/d' "$root/paxos.conf"
    printf 'interface 10.77.0.0/24\n'
} >/run/paxos.conf
status=0
"$root/run.sh" --conf /run/paxos.conf --within 'ip netns exec' "$n" || status=1

for name in "${names[@]}"; do
    ip netns exec "$name" "$iptables" -nvxL INPUT 2>/dev/null | awk -v name="$name" '
        $3 == "ACCEPT" { kept = $1 }
        $3 == "DROP" { dropped = $1 }
        END { print name, dropped, kept + dropped }'
done | awk -v probability="$probability" '
    { dropped += $2; heard += $3; list = list (NR > 1 ? ", " : "") $1 " " $2 "/" $3 }
    END {
        printf "%-11s%d of %d datagrams: %s\n\n", "lost", dropped, heard, list
        exit (heard == 0 || (dropped == 0 && heard * probability > 20))
    }' || give_up 'the rules dropped nothing, so this was no test of loss'
"$root/check_all.sh" || status=1
exit "$status"
