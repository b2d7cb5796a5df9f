#!/bin/sh
# bench.sh - what `./dev bench [PART]... [--peers]` runs; without a part, every one.
#
#   lora        a LoRA step at about 10 M and 100 M parameters
#   ops         matrix products and other ops as shares of this machine's own ceilings
#   cpu         both: what the cpu device is judged by
#
# --peers also runs PyTorch + PEFT on the same folders, alternating with hone, from PyPI in
# .venv-peers (HONE_PEERS names another).
set -eu
cd "$(dirname "$0")/.."
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-2000}" # as hone itself sets it

peers=""
find_peers() {
    venv=${HONE_PEERS:-.venv-peers}
    [ -x "$venv/bin/python" ] || {
        python3 -m venv "$venv"
        "$venv/bin/pip" install -q torch transformers peft numpy
    }
    peers=$venv/bin/python
}

bench_ops() { build/tests/bench/bench_ops; }

bench_lora() {
    folder=$(mktemp -d /tmp/hone-bench-model-XXXXXX)
    trap 'rm -rf "$folder"' EXIT
    for shape in "10M 512 4 12" "100M 512 2 5"; do
        # shellcheck disable=SC2086
        set -- $shape
        echo "== LoRA step, $1 parameters, $3 rows of $2 tokens"
        build/tests/bench/bench_step write "$folder/$1" "$1"
        for round in 1 2; do
            build/tests/bench/bench_step run "$folder/$1" "$2" "$3" "$4"
            [ -z "$peers" ] || "$peers" tools/bench/peer_lora.py "$folder/$1" "$2" "$3" "$4" sdpa
        done
    done
}

parts=""
for word in "$@"; do
    case "$word" in
    --peers) find_peers ;;
    lora | ops) parts="$parts $word" ;;
    cpu) parts="$parts ops lora" ;;
    *) echo "bench: $word is no part: lora, ops, cpu, --peers" >&2; exit 2 ;;
    esac
done
for part in ${parts:-ops lora}; do "bench_$part"; done
