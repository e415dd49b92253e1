#!/usr/bin/env bash
# A minute of everything that has no business here: tests/campaigns/strangers.sh [SECONDS], by default 60.
#
# While values flow through two clusters on the same groups, a proposer, a learner and a client run twice with one id,
# and one process sends garbage to all four groups as fast as it can: random bytes, cut and flipped datagrams, right
# headers and right checksums around nonsense. Everything must be delivered, once and in order, to each cluster its own;
# nobody may end, swell, or say much about it. The test says what each process dropped and why.
set -euo pipefail

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.." && pwd)
PAXCAST_TEST_SECONDS=${1:-60} exec cargo test --locked --manifest-path "$root/Cargo.toml" \
    --test daemons strangers_of_all_kinds_change_nothing -- --nocapture
