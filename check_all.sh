#!/usr/bin/env bash
# Judges a run: ./check_all.sh [DIR], by default the latest run of ./run.sh.
#
# DIR holds what each client proposed (prop1, prop2, …) and what each learner printed (learn1, learn2, …),
# one value a line. A value may be any bytes and may occur any number of times. Ends with 0 only if all three
# tests pass; with 1 if one fails, which then shows the first difference; with 2 if there is nothing to judge.
set -euo pipefail
export LC_ALL=C

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
dir=${1:-${PAXCAST_RUNS:-$root/runs}/latest}

give_up() {
    printf 'check_all.sh: %s\n' "$1" >&2
    exit 2
}
(($# <= 1)) || give_up "expected at most one directory, got $# arguments"
[[ -d $dir ]] || give_up "there is no directory $dir to judge; run ./run.sh 100 first, or name the directory"
shopt -s nullglob
proposed=("$dir"/prop[0-9]*)
learned=("$dir"/learn[0-9]*)
((${#proposed[@]})) || give_up "$dir has no prop1, prop2, …: nothing says what was proposed"
((${#learned[@]})) || give_up "$dir has no learn1, learn2, …: nothing says what was learned"

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
sort -- "${proposed[@]}" >"$work/proposed"
status=0

# Prints the verdict of one test and, on failure, why.
verdict() {
    if [[ -z $1 ]]; then
        printf '  > OK\n'
    else
        printf '  > Failed!\n    %s\n' "$1"
        status=1
    fi
}

# The first line of a file, printable and short, and how many lines there are.
first_of() {
    printf '"%s" (%s in all)' "$(sed -n '1{p;q}' "$1" | cat -v | cut -c 1-60)" "$(wc -l <"$1")"
}

# Any bytes but the end of the line as text without NUL, which not every awk can read.
as_text() {
    sed 's/\\/\\\\/g; s/\x00/\\0/g' -- "$1"
}

# A client's values are delivered in its order and none before its predecessors, so what was learned consists of
# the clients' beginnings. For each client take the longest beginning that is found in order in what was learned:
# if these together are fewer than the values learned, some client's value was learned out of its order. Says whose.
out_of_order() {
    local prop matched total=0 suspect=''
    for prop in "${proposed[@]}"; do
        # Values are compared as text: "1" and "01" would be equal as numbers.
        matched=$(awk '
            BEGIN { last = next_value = 0 }
            FILENAME == "-" { value[last++] = $0 ""; next }
            next_value < last && $0 "" == value[next_value] "" { next_value++ }
            END { print next_value, next_value < last ? next_value + 1 : 0 }
        ' - <(as_text "$1") < <(as_text "$prop"))
        total=$((total + ${matched% *}))
        [[ -n $suspect || ${matched#* } == 0 ]] || suspect="${prop##*/}:${matched#* }"
    done
    ((total >= $(awk 'END { print NR }' "$1"))) ||
        printf '%s has values out of a client'\''s order; the first to look at is %s' "${1##*/}" "$suspect"
}

printf 'Test 1 - Learners learned the same set of values in total order\n'
why=''
for learn in "${learned[@]}"; do
    if [[ -s $work/proposed && ! -s $learn ]]; then
        why="${learn##*/} is empty although values were proposed"
        break
    fi
    if ! difference=$(cmp -- "${learned[0]}" "$learn" 2>&1); then
        why="${difference//"$dir/"/}"
        break
    fi
done
verdict "$why"
# Identical files need one look only.
[[ -n $why ]] || learned=("${learned[0]}")

printf '\nTest 2 - Values learned were actually proposed\n'
why=''
missing=''
for learn in "${learned[@]}"; do
    sort -- "$learn" >"$work/learned"
    comm -13 "$work/proposed" "$work/learned" >"$work/surplus"
    comm -23 "$work/proposed" "$work/learned" >"$work/missing"
    if [[ -z $why && -s $work/surplus ]]; then
        why="${learn##*/} has values that nobody proposed, or more often than proposed: $(first_of "$work/surplus")"
    fi
    [[ -n $why ]] || why=$(out_of_order "$learn")
    if [[ -z $missing && -s $work/missing ]]; then
        missing="${learn##*/} lacks values that were proposed: $(first_of "$work/missing")"
    fi
done
verdict "$why"

printf '\nTest 3 - Learners learned every value that was sent by some client\n'
verdict "$missing"
exit "$status"
