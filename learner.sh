#!/usr/bin/env bash
# Runs one learner: ./learner.sh ID CONF [options]; decided values on standard output.
#
# Becomes the release executable, so a signal sent to this process reaches the role itself.
# The executable is built first if it is missing. PAXCAST_BIN names another directory of executables.
set -euo pipefail

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
program=${PAXCAST_BIN:-${CARGO_TARGET_DIR:-$root/target}/release}/learner
if [[ ! -x $program && -z ${PAXCAST_BIN:-} ]]; then
    cargo build --release --locked --bins --manifest-path "$root/Cargo.toml" >&2
fi
exec "$program" "$@"
