#!/usr/bin/env bash
# The course harness's timeline with all that its users try: tests/campaigns/harness.sh. Takes about four minutes.
#
# Each line is one run of tests/harness.sh with the verdicts that it must have.
set -euo pipefail

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.." && pwd)
status=0

# expect VERDICTS ARGUMENT…: runs the harness and compares its three verdicts.
expect() {
    local output verdicts
    output=$("$root/tests/harness.sh" "${@:2}" 2>&1) || true
    verdicts=$(sed -n 's/^  > //p' <<<"$output" | paste -sd ' ')
    if [[ $verdicts == "$1" ]]; then
        printf 'as expected  %-40s%s\n' "${*:2}" "$verdicts"
    else
        printf 'NOT EXPECTED %-40s%s, instead of %s\n%s\n' "${*:2}" "$verdicts" "$1" "$output"
        status=1
    fi
}

for n in 100 1000 10000 20000; do expect 'OK OK OK' "$n"; done
for n in 100 1000 10000; do expect 'OK OK OK' --acceptors 2 "$n"; done
for n in 100 10000; do expect 'OK OK OK' --loss 10 "$n"; done
expect 'OK OK OK' --late-learner 1000
expect 'OK OK OK' --late-learner --loss 10 10000
expect 'OK OK OK' --kill-acceptors 1 1000
# Two empty outputs are no agreement on anything: the first test fails too.
expect 'Failed! OK Failed!' --acceptors 1 100
exit "$status"
