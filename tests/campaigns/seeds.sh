#!/usr/bin/env bash
# Many seeds, on any number of machines, in as many sittings as it takes:
#
#   tests/campaigns/seeds.sh FROM TO [DIRECTORY] [PART/PARTS]
#
# runs the seeds FROM up to but without TO in shards of a thousand. Each shard
# leaves one line of JSON in DIRECTORY (default runs/seeds); a shard that is there
# already is not run again, so a sitting that was ended goes on where it was.
# With 3/8 only every eighth shard is run, from the third on: give each of eight
# jobs of a scheduler its part and the same directory, or gather the files later.
# At the end, and at any time with `paxcast sim --merge DIRECTORY/*.json`, all of
# it is added up. Exit status 10 when a seed failed.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

if (($# < 2 || $# > 4)); then
    sed -n '4p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
from=$1 to=$2 directory=${3:-runs/seeds} part=${4:-1/1}
shard=1000
mkdir -p -- "$directory"
cargo build --release --locked --quiet --bin paxcast
paxcast=target/release/paxcast

number=0
for ((begin = from; begin < to; begin += shard)); do
    end=$((begin + shard < to ? begin + shard : to))
    number=$((number + 1))
    (((number - ${part%/*}) % ${part#*/} == 0)) || continue
    file=$directory/seeds-$begin-$end.json
    [[ -e $file ]] && continue
    # A failing seed ends no campaign: it stands in the tally, and in the log.
    "$paxcast" sim --seeds "$begin..$end" --failures "$shard" --json --scenario "${file%.json}.scenario" \
        >"$file.new" 2>"$file.log" || [[ -s $file.new ]]
    mv -- "$file.new" "$file"
    [[ -s $file.log ]] || rm -- "$file.log"
done
"$paxcast" sim --merge "$directory"/seeds-*.json
