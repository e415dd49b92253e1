#!/usr/bin/env bash
# Kills and stops replicas of the key-value store, acceptors and proposers at random while clients write:
# tests/campaigns/kv.sh [SECONDS [SEED]] (600, 1). What the clients were told must have an order, and the replicas
# must agree in the end.
set -euo pipefail
cd -- "$(dirname -- "$0")/../.."
export PAXCAST_SECONDS=${1:-600} PAXCAST_SEED=${2:-1}
exec cargo test --release --locked --test kv kills -- --nocapture
