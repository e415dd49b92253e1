#!/usr/bin/env bash
# Makes docs/counterexamples anew: for each of these broken rules the first three seeds that show it, cut down to what the
# failure takes, the shortest of them, and its space-time diagram. tests/campaigns/counterexamples.sh [MUTANT …]
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

mutants=("$@")
((${#mutants[@]})) || mutants=(votes-across-ballots first-page-is-all ballot-reused small-quorum)
cargo build --locked --quiet --bin paxcast
paxcast=target/debug/paxcast
directory=docs/counterexamples
mkdir -p -- "$directory"
for mutant in "${mutants[@]}"; do
    file=$directory/$mutant.scenario
    # One thread: the first seed is then the first, and not the first to be done.
    "$paxcast" sim --mutant "$mutant" --seeds 1..2001 --failures 3 --threads 1 --json --scenario "$file" >/dev/null 2>&1 ||
        (($? >= 10))
    "$paxcast" play "$file" --diagram "${file%.scenario}.svg"
done
