#!/bin/sh
# Show translations by a trained toy model: each sentence, followed by its translation and alignment
# (i-j: source word i is aligned to target word j, counted from 0).
#
#   sh recipes/toy/demo.sh .venv/bin/nmt runs/toy
set -eu
nmt=$1
run=$2
sample=$(dirname "$0")/sample.en

translated=$(mktemp)
trap 'rm -f "$translated"' EXIT
"$nmt" translate "$run" -i "$sample" --align >"$translated"
echo
sed 's/^/> /' "$sample" | paste -d '\n' - "$translated" | sed 'n;G'
