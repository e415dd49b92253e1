#!/usr/bin/env bash
# Explores the larger clusters of tests/model to the end: tests/campaigns/model.sh [FILTER]
# Without a filter all of them, one after the other; a filter is part of a test's
# name, such as two_acceptors. Prints bounds, states and time of each; fails when a
# state is wrong or an exploration was smaller than it should be.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

cargo test --release --locked --test model -- \
    --ignored --nocapture --test-threads 1 "${1:-large}"
