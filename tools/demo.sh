#!/bin/sh
# demo.sh - what `./dev demo` runs: documents to samples, LoRA on the small model, exam before
# and after, in the number format that is fastest here. About three minutes on two cores without
# AMX. Files go to build/demo.
set -eu
cd "$(dirname "$0")/.."
out=build/demo
rm -rf "$out"
mkdir -p "$out"
hone() {
    command=$1
    shift
    build/hone "$command" examples/demo/hone.json --backend "$backend" --prepare.out "$out/data" --train.out "$out/run" "$@"
}
# What hone plan says of a step in a format, from rates measured here.
seconds() { backend=$1 hone plan --measure --json 2>/dev/null | sed -n 's/^ *"step_seconds": \([0-9.e+-]*\).*/\1/p'; }
backend=cpu/fp32
echo "1. hone prepare: documents become training samples"
hone prepare
echo
narrow=$(seconds cpu/bf16) wide=$(seconds cpu/fp32)
backend=cpu/fp32
if LC_ALL=C awk "BEGIN { exit !(${narrow:-0} > 0 && 1.3 * ${narrow:-0} < ${wide:-0}) }"; then backend=cpu/bf16; fi
LC_ALL=C printf '2. hone train: LoRA on models/hone-tiny, %s (hone plan: %.3f s a step in fp32, %.3f in bf16)\n' \
    "$backend" "${wide:-0}" "${narrow:-0}"
hone train
echo
echo "3. hone exam: the same questions before and after"
hone exam | sed 's/^exam: /demo: /'
