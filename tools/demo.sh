#!/bin/sh
# demo.sh - what `./dev demo` runs: documents to samples, LoRA on the small model, exam before
# and after. About three minutes on two cores. Files go to build/demo.
set -eu
cd "$(dirname "$0")/.."
out=build/demo
rm -rf "$out"
mkdir -p "$out"
hone() {
    command=$1
    shift
    build/hone "$command" examples/demo/hone.json --prepare.out "$out/data" --train.out "$out/run" "$@"
}
echo "1. hone prepare: documents become training samples"
hone prepare
echo
echo "2. hone train: LoRA on models/hone-tiny"
hone train
echo
echo "3. hone exam: the same questions before and after"
hone exam | sed 's/^exam: /demo: /'
