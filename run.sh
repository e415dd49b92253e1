#!/usr/bin/env bash
# Runs a whole cluster on this machine: ./run.sh [options] N
#
# Each client submits N values, each learner prints what it delivers; the run ends by itself when every learner
# has everything. What happened stays in runs/<time>/ (runs/latest points there): the configuration, prop1 …, what
# the clients proposed, learn1 …, what the learners printed, and a log of each process. ./check_all.sh judges it.
#
#   --acceptors K        start only K of the acceptors in the configuration
#   --proposers K        start K proposers (2)
#   --learners K         start K learners (2)
#   --clients K          start K clients (2)
#   --kill-acceptors K   kill K acceptors, one after the other, while values flow
#   --kill-leader        kill the proposer that leads while values flow
#   --late-learner       start the last learner when everything is delivered and no client is left
#   --durable            acceptors keep their votes on disk, under the run's own directory
#   --faults SPEC        every process injects these faults, each with a seed of its own: drop=0.1,dup=0.01,seed=7
#   --deadline S         give up S seconds after the clients' start (300)
#   --kv                 no clients and no N: three replicas of a key-value store, on durable acceptors, until Ctrl-C
#   --chat               the same with a chat for clients of IRC, and a front that moves them between its gateways
#   --port P             they listen on 127.0.0.1 at P, P+1 and P+2, the front at P+3 (7379; of the chat 6667)
#   --conf FILE          start from this configuration (paxos.conf beside this script)
#   --within COMMAND     start each process as COMMAND NAME PROGRAM …, where NAME is acceptor1, client2 and so on
#
# PAXCAST_BIN names a directory of executables to use instead of building, PAXCAST_RUNS another place for runs/.
# Only processes started here are ever ended. Exit status: 0 all delivered, 1 failed, 2 wrong usage.
set -euo pipefail
export LC_ALL=C RUST_LOG=${RUST_LOG:-info}

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
runs=${PAXCAST_RUNS:-$root/runs}
base=$root/paxos.conf
acceptors='' proposers=2 learners=2 clients=2 kill_acceptors=0 deadline=300
kill_leader='' late='' durable='' faults='' service='' port='' within=() words=()

usage() {
    printf 'run.sh: %s\nTry ./run.sh 100, or ./run.sh --help.\n' "$1" >&2
    exit 2
}
whole() {
    [[ $2 =~ ^[1-9][0-9]{0,7}$ ]] || usage "$1 wants a whole number from 1 on, not \"$2\""
}
given() {
    [[ -n $2 ]] || usage "$1 wants $3"
}

while (($#)); do
    case $1 in
        --acceptors) whole "$1" "${2:-}" && acceptors=$2 && shift ;;
        --proposers) whole "$1" "${2:-}" && proposers=$2 && shift ;;
        --learners) whole "$1" "${2:-}" && learners=$2 && shift ;;
        --clients) whole "$1" "${2:-}" && clients=$2 && shift ;;
        --kill-acceptors) whole "$1" "${2:-}" && kill_acceptors=$2 && shift ;;
        --deadline) whole "$1" "${2:-}" && deadline=$2 && shift ;;
        --faults) given "$1" "${2:-}" 'what to inject, such as drop=0.1,seed=7' && faults=$2 && shift ;;
        --conf) given "$1" "${2:-}" 'a file' && base=$2 && shift ;;
        --within) given "$1" "${2:-}" 'a command' && read -ra within <<<"$2" && shift ;;
        --kill-leader) kill_leader=yes ;;
        --late-learner) late=yes ;;
        --durable) durable=yes ;;
        --kv | --chat) service=${1#--} durable=yes ;;
        --port) whole "$1" "${2:-}" && port=$2 && shift ;;
        -h | --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit ;;
        -*) usage "there is no option $1" ;;
        *) words+=("$1") ;;
    esac
    shift
done
if [[ -n $service ]]; then
    ((${#words[@]} == 0)) || usage "--$service has no clients and wants no number, not \"${words[*]}\""
    learners=3 clients=0 n=0
    [[ $service == kv ]] && port=${port:-7379} || port=${port:-6667}
    ((port <= 65532)) || usage "--port $port leaves no room for the ports behind it"
else
    ((${#words[@]})) || usage 'how many values shall each client submit?'
    ((${#words[@]} == 1)) ||
        usage "expected one number, got \"${words[*]}\"; no project's name is needed here: ./run.sh ${words[-1]}"
    n=${words[0]}
    whole 'N, the values of each client,' "$n"
fi
[[ -r $base ]] || usage "cannot read the configuration $base"

# The acceptors that the configuration names, in its two ways to say so; three if it does not.
read -ra ids < <(awk '
    { sub(/#.*/, ""); sub(/\r$/, "") }
    $1 == "acceptor_ids" { $1 = ""; ids = $0 }
    $1 == "acceptor_count" { for (ids = ""; i < $2;) ids = ids " " ++i }
    END { print ids ? ids : "1 2 3" }' "$base")
quorum=$((${#ids[@]} / 2 + 1))
acceptors=${acceptors:-${#ids[@]}}
((acceptors <= ${#ids[@]})) || usage "--acceptors $acceptors is more than the ${#ids[@]} that $base names"
((kill_acceptors <= acceptors)) || usage "--kill-acceptors $kill_acceptors is more than the $acceptors started"
[[ -z $kill_leader ]] || ((proposers > 1)) || usage '--kill-leader needs a second proposer to take over'
[[ -z $late ]] || ((learners > 1)) || usage '--late-learner needs another learner that is in time'

if [[ -z ${PAXCAST_BIN:-} ]]; then
    if ! command -v cargo >/dev/null; then
        echo 'run.sh: cargo is missing, so nothing can be built; get it from https://rustup.rs' >&2
        exit 1
    fi
    cargo build --release --locked --bins --manifest-path "$root/Cargo.toml" >&2
fi

# Each run has a directory and a cluster of its own, also when two begin in the same second.
mkdir -p -- "$runs"
time=$(date +%Y-%m-%d_%H.%M.%S)
run=$runs/$time
mkdir -- "$run" 2>/dev/null || run=$(mktemp -d -- "$runs/$time-XXXX")
ln -s -- "${run##*/}" "$run/latest" && mv -T -- "$run/latest" "$runs/latest"
conf=$run/paxos.conf
{
    printf '# The configuration of one run, made by run.sh.\n'
    sed -E 's/#.*//; s/[[:space:]]+$//; /^[[:space:]]*(cluster[[:space:]].*|data[[:space:]].*'"${service:+|replica_ids[[:space:]].*}"')?$/d' -- "$base"
    printf 'cluster run-%s-%s-%s\n' "$time" "$$" "$RANDOM"
    [[ -z $durable ]] || printf 'data data\n'
    [[ -z $service ]] || printf 'replica_ids 1 2 3\n'
} >"$conf"

# If even this script is killed outright, the kernel ends what it started.
guard=()
! command -v setpriv >/dev/null || guard=(setpriv --pdeathsig TERM)
seed=1
if [[ $faults =~ (.*)(^|,)seed=([0-9]+)(.*) ]]; then
    seed=${BASH_REMATCH[3]}
    faults=${BASH_REMATCH[1]}${BASH_REMATCH[4]}
    faults=${faults#,}
fi
started=0
declare -A pids=()
live_acceptors=$acceptors

# One line a phase; on a terminal the progress below it is overwritten.
say() {
    [[ ! -t 1 ]] || printf '\r\033[K'
    printf '%-11s%s\n' "$1" "$2"
}

# launch NAME ROLE [ARGUMENT…]: becomes that role.
launch() {
    if [[ $2 == kv || $2 == chat ]]; then
        exec "${guard[@]}" "${within[@]}" ${within:+"$1"} "${PAXCAST_BIN:-$root/target/release}/paxcast" "${@:2}"
    fi
    exec "${guard[@]}" "${within[@]}" ${within:+"$1"} "$root/$2.sh" "${@:3}"
}

# start ROLE ID [ARGUMENT…]: in the background, with the caller's standard input and output.
start() {
    local name=$1$2 arguments=("$2" "$conf" "${@:3}")
    started=$((started + 1))
    [[ -z $faults ]] || arguments+=(--faults "$faults,seed=$((1000 * seed + started))")
    launch "$name" "$1" "${arguments[@]}" <&0 2>"$run/$name.log" &
    pids[$name]=$!
}

# Ends what is still running, first politely; `unclean` then names those that did not end well.
end_all() {
    local name limit=$((SECONDS + 5))
    unclean=()
    for name in "${!pids[@]}"; do kill -TERM "${pids[$name]}" 2>/dev/null || true; done
    for name in "${!pids[@]}"; do
        while kill -0 "${pids[$name]}" 2>/dev/null && ((SECONDS < limit)); do sleep 0.02; done
        kill -KILL "${pids[$name]}" 2>/dev/null || true
        wait "${pids[$name]}" 2>/dev/null || unclean+=("$name")
        unset "pids[$name]"
    done
}
trap end_all EXIT
trap 'exit 130' INT TERM HUP

# fail NAME WHAT: says which process is at fault, shows its last words and ends the run.
fail() {
    local hint="all logs are in $run; ./run.sh with RUST_LOG=debug makes them say more"
    if ((live_acceptors < quorum)); then
        hint="$live_acceptors of ${#ids[@]} acceptors run and a quorum is $quorum, so nothing more can be decided"
    fi
    {
        printf 'run.sh: %s %s\nThe end of %s:\n' "$1" "$2" "$run/$1.log"
        tail -n 8 -- "$run/$1.log" | sed 's/^/    /'
        printf 'Hint: %s.\n' "$hint"
    } >&2
    exit 1
}

# A client that ends well is done; whoever else ends has failed.
check_running() {
    local name status
    for name in "${!pids[@]}"; do
        kill -0 "${pids[$name]}" 2>/dev/null && continue
        status=0
        wait "${pids[$name]}" 2>/dev/null || status=$?
        unset "pids[$name]"
        [[ $name == client* && $status == 0 ]] || fail "$name" "ended with status $status"
    done
}

await_ready() {
    local name limit=$((SECONDS + 15))
    for name; do
        until grep -qs '^ready ' "$run/$name.log"; do
            check_running
            ((SECONDS < limit)) || fail "$name" 'was not ready in time'
            sleep 0.02
        done
    done
}

# The proposer that was elected last, by the ballots that the logs name.
leader() {
    sed -n 's/.*\] lead[a-z ]* \([0-9]*\)\.\(p[0-9]*\).*/\1 \2/p' "$run"/proposer*.log | sort -n | sed -n '$s/.* p/proposer/p'
}

# Kills the process that `targets` names next, once it is that one's turn.
strike_if_due() {
    local target=${targets[0]:-}
    [[ -n $target ]] || return 0
    # Spread evenly over the delivery; a second after the last one if that brought it to a halt.
    ((delivered >= 100 * (strikes + 1) / (strikes + ${#targets[@]} + 1))) ||
        ((strikes > 0 && SECONDS > struck + 1)) || return 0
    [[ $target != leader ]] || target=$(leader)
    [[ -n $target ]] || fail proposer1 'and the others have not said which of them leads'
    ((delivered < 100)) || fail "$target" 'was to be killed while values flow, but all were delivered at once'
    kill -KILL "${pids[$target]}"
    wait "${pids[$target]}" 2>/dev/null || true
    unset "pids[$target]"
    [[ $target != acceptor* ]] || live_acceptors=$((live_acceptors - 1))
    say kill "$target, with $delivered % delivered"
    targets=("${targets[@]:1}")
    strikes=$((strikes + 1)) struck=$SECONDS
}

# await_delivery LEARNER…: until these have printed every value and no client is left.
await_delivery() {
    local name size least sum progress=-1 moved=$SECONDS patience at_fault
    while :; do
        check_running
        least=$expected sum=0 at_fault=''
        for name; do
            size=$(stat -c %s -- "$run/${name/learner/learn}")
            sum=$((sum + size))
            ((size >= least)) || { least=$size && at_fault=$name; }
        done
        delivered=$((100 * least / expected))
        if ((least == expected)); then
            at_fault=$(printf '%s\n' "${!pids[@]}" | grep -m 1 client) || return 0
        fi
        strike_if_due
        [[ ! -t 1 ]] || printf '\r%-11s%d %%' delivered "$delivered"
        ((sum == progress)) || moved=$SECONDS
        progress=$sum
        # Under heavy faults an election may take seconds; without a quorum there is nothing to wait for.
        patience=$((live_acceptors < quorum && ${#targets[@]} == 0 ? 5 : 20))
        ((SECONDS <= moved + patience)) ||
            fail "$at_fault" "has come no further for $patience s, with $delivered % delivered"
        ((SECONDS <= clients_from + deadline)) ||
            fail "$at_fault" "was not done after $deadline s, with $delivered % delivered"
        sleep 0.05
    done
}

# pace FROM LEARNER…: the seconds from then until these wrote their last value, and values per second.
pace() {
    (cd -- "$run" && stat -c %.6Y -- "${@:2}") | awk -v from="$1" -v values="$total" '
        $1 > last { last = $1 }
        END { s = last - from; if (s < 0.001) s = 0.001; printf "%.3f s, %d values/s", s, values / s }'
}

# The values of a file over two seconds or so, for those who want to see them flow.
trickle() {
    awk -v slice="$(((n + 39) / 40))" '{ print } NR % slice == 0 { fflush(); system("sleep 0.05") }' "$1"
}

say run "${run#"$PWD"/}"
names=()
for id in "${ids[@]:0:acceptors}"; do
    if [[ -n $durable ]]; then
        (launch "acceptor$id" acceptor --init "$id" "$conf") >"$run/acceptor$id.log" 2>&1 ||
            fail "acceptor$id" 'could not make its data directory'
    fi
    start acceptor "$id" </dev/null >/dev/null
    names+=("acceptor$id")
done
await_ready "${names[@]}"
say acceptors "$acceptors of ${#ids[@]} ready"

in_time=()
for ((id = 1; id <= (clients ? learners : 0); id++)); do
    [[ -z $late || $id -lt $learners ]] || break
    start learner "$id" </dev/null >"$run/learn$id"
    in_time+=("learner$id")
done
if [[ -z $service ]]; then
    await_ready "${in_time[@]}"
    say learners "${#in_time[@]} of $learners ready"
fi

names=()
for ((id = 1; id <= proposers; id++)); do
    start proposer "$id" </dev/null >/dev/null
    names+=("proposer$id")
done
await_ready "${names[@]}"
limit=$((SECONDS + 15))
until [[ $(leader) || $live_acceptors -lt $quorum ]]; do
    check_running
    ((SECONDS < limit)) || fail proposer1 'and the others have elected no leader'
    sleep 0.02
done
leader=$(leader)
say proposers "$proposers of $proposers ready, led by ${leader:-nobody}"

if [[ -n $service ]]; then
    names=() addresses=()
    for id in 1 2 3; do
        addresses+=("127.0.0.1:$((port + id - 1))")
        start "$service" "$id" --listen "${addresses[-1]}" </dev/null >/dev/null
        names+=("$service$id")
    done
    await_ready "${names[@]}"
    say replicas "3 of 3 ready, at 127.0.0.1:$port, $((port + 1)) and $((port + 2))"
    if [[ $service == kv ]]; then
        say next "redis-cli -p $port"
    else
        launch front chat --balance "$(IFS=, && echo "${addresses[*]}")" --cluster "$conf" \
            --listen "127.0.0.1:$((port + 3))" </dev/null >/dev/null 2>"$run/front.log" &
        pids[front]=$!
        await_ready front
        say front "ready, at 127.0.0.1:$((port + 3))"
        say next "irssi -c 127.0.0.1 -p $((port + 3)) -n alice    the front moves you when a gateway dies"
        say or "irssi -c 127.0.0.1 -p $port -n bob -w secret    a gateway; with the secret you can come back"
    fi
    say end 'Ctrl-C ends all of them'
    trap 'exit 0' INT TERM HUP
    while :; do
        check_running
        sleep 0.2
    done
fi

# Random numbers, of which one in twenty comes twice and one in five comes from another client too.
for ((id = 1; id <= clients; id++)); do
    shuf -r -n "$n" -i "1-$((10 * n))" >"$run/prop$id"
done
total=$((clients * n))
expected=$(cat -- "$run"/prop[0-9]* | wc -c)
targets=()
[[ -z $kill_leader ]] || targets+=(leader)
for id in "${ids[@]:0:kill_acceptors}"; do targets+=("acceptor$id"); done

clients_from=$SECONDS from=$EPOCHREALTIME strikes=0 struck=0
for ((id = 1; id <= clients; id++)); do
    if ((${#targets[@]})); then
        start client "$id" --deadline "$deadline" < <(trickle "$run/prop$id") >/dev/null
    else
        start client "$id" --deadline "$deadline" <"$run/prop$id" >/dev/null
    fi
done
say clients "$clients submit $n values each"
await_delivery "${in_time[@]}"
pace=$(pace "$from" "${in_time[@]/learner/learn}")
say delivered "all $total values, by ${in_time[*]}"

if [[ -n $late ]]; then
    from=$EPOCHREALTIME clients_from=$SECONDS
    start learner "$learners" </dev/null >"$run/learn$learners"
    await_delivery "learner$learners"
    say late "learner$learners got all of them in $(pace "$from" "learn$learners")"
fi

end_all
((${#unclean[@]} == 0)) || fail "${unclean[0]}" 'did not end well when it was asked to'
drops=$(sed -n 's/^.*statistics .*kernel_drops=\([0-9]*\).*/\1/p' "$run"/*.log | awk '{ n += $1 } END { print n + 0 }')
say summary "$total values in $pace; the kernel dropped $drops datagrams"
say next ./check_all.sh
