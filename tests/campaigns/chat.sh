#!/usr/bin/env bash
# Kills and stops gateways of the chat, acceptors and proposers at random under two hundred users:
# tests/campaigns/chat.sh [SECONDS [SEED]] (600, 1). All must be shown one order, with everything acknowledged in it once.
set -euo pipefail
cd -- "$(dirname -- "$0")/../.."
export PAXCAST_SECONDS=${1:-600} PAXCAST_SEED=${2:-1}
exec cargo test --release --locked --test chat kills -- --nocapture
