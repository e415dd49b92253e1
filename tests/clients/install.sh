#!/usr/bin/env bash
# The clients of Redis that tests/kv drives, put where it looks for them:
#
#   tests/clients/install.sh
#
# installs redis-py into target/clients/python and ioredis into
# target/clients/node, in the versions that stand beside this script. Needs
# python3 with venv, node and npm.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"

clients=${CARGO_TARGET_DIR:-$PWD/../../target}/clients
mkdir -p -- "$clients/node"

if ! cmp --quiet requirements.txt "$clients/python/requirements.txt"; then
    python3 -m venv -- "$clients/python"
    "$clients/python/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
    cp -- requirements.txt "$clients/python/"
fi
if ! cmp --quiet package-lock.json "$clients/node/node_modules/package-lock.json"; then
    cp -- package.json package-lock.json .npmrc "$clients/node/"
    npm --prefix "$clients/node" ci --ignore-scripts
    cp -- package-lock.json "$clients/node/node_modules/"
fi
