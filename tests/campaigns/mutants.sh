#!/usr/bin/env bash
# Hunts every seeded bug with the simulator, from five starting seeds, and writes
# the table into docs/mutants.md. Takes many minutes; build files go to
# target/mutants, optimised and with the seeded bugs in.
#
#   tests/campaigns/mutants.sh
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

document=docs/mutants.md
rows=$(mktemp)
trap 'rm -f -- "$rows"' EXIT

failed=0
CARGO_TARGET_DIR=target/mutants CARGO_PROFILE_DEV_OPT_LEVEL=3 \
    cargo test --locked --test mutants the_table -- --ignored --exact --nocapture >"$rows" || failed=1
grep '^|' "$rows" >"$rows.table" || { cat "$rows" >&2; exit 1; }

# What stands above the table stays.
{ sed '/^| mutant |/,$d' "$document"; cat "$rows.table"; } >"$rows.new"
mv -- "$rows.new" "$document"
rm -f -- "$rows.table"
if ((failed)); then
    grep 'not always noticed' "$rows" >&2 || cat "$rows" >&2
    exit 1
fi
