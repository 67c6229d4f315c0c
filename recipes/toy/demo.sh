#!/bin/sh
# Show what a trained toy model does: each sentence, and under it the translation with its
# alignment (i-j: word i of the sentence gave word j of the translation, counted from 0).
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
