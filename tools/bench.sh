#!/bin/sh
# bench.sh - what `./dev bench [PART]... [--peers]` runs; without a part, every one.
#
#   lora        a LoRA step at about 10 M and 100 M parameters
#   ops         matrix products and other ops as shares of this machine's own ceilings
#   tokenizer   MB/s of encoding on one core, by tokenizers of three families
#   data        recipes: keywords, chunks by tokens; alone or beside rake-nltk, LangChain
#   cpu         ops and lora: what the cpu device is judged by
#
# --peers also runs PyTorch + PEFT (lora), Hugging Face tokenizers (tokenizer), rake-nltk and LangChain's
# splitter (data) on the same inputs, alternating with hone, from PyPI in .venv-peers (HONE_PEERS names another).
set -eu
cd "$(dirname "$0")/.."
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-2000}" # as hone itself sets it

peers=""
find_peers() {
    venv=${HONE_PEERS:-.venv-peers}
    [ -x "$venv/bin/python" ] || {
        python3 -m venv "$venv"
        "$venv/bin/pip" install -q torch transformers peft numpy tokenizers rake-nltk langchain-text-splitters
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

bench_tokenizer() {
    folder=$(mktemp -d /tmp/hone-bench-texts-XXXXXX)
    trap 'rm -rf "$folder"' EXIT
    # what every Debian machine has of English, beside our own pages
    {
        python3 -c "import pydoc_data.topics as t; print('\\n'.join(t.topics.values()))" || :
        cat /usr/share/common-licenses/* || :
        find . -name '*.md' -not -path './build*' -not -path './.venv*' | sort | xargs cat
    } >"$folder/prose" 2>/dev/null
    find core plugins sdk -name '*.[ch]' | sort | xargs cat >"$folder/code"
    build/tests/bench/bench_tokenizer mix 2000000 >"$folder/scripts"
    families=""
    for family in gpt2 llama3 qwen2 llama2_legacy mistral_v03; do families="$families tests/golden/tokenizers/$family"; done
    echo "== encoding, one core, warm"
    if [ -n "$peers" ]; then
        # shellcheck disable=SC2086
        "$peers" tools/bench/peer_tokenizers.py build/tests/bench/bench_tokenizer 3 $families -- \
            "$folder/prose" "$folder/code" "$folder/scripts"
        return
    fi
    for family in $families; do
        for name in prose code scripts; do
            for size in 4096 0; do
                printf '%-14s %-8s %5s  ' "${family##*/}" "$name" "$size"
                build/tests/bench/bench_tokenizer run "$family" "$folder/$name" "$size" 5
            done
        done
    done
}

bench_data() {
    folder=$(mktemp -d /tmp/hone-bench-data-XXXXXX)
    trap 'rm -rf "$folder"' EXIT
    python3 -c "import pydoc_data.topics as t; print('\\n'.join(t.topics.values()))" >"$folder/prose"
    tokenizer=tests/golden/tokenizers/llama3
    echo "== recipes, one core, processor time: MB/s"
    if [ -n "$peers" ]; then
        "$peers" tools/bench/peer_recipes.py build/tests/bench/bench_recipes 3 $tokenizer -- "$folder/prose"
        return
    fi
    printf 'keywords  '
    echo the of and to a in is | build/tests/bench/bench_recipes rake "$folder/prose" 4096 5
    printf 'chunks    '
    build/tests/bench/bench_recipes chunk $tokenizer "$folder/prose" 256 5
}

parts=""
for word in "$@"; do
    case "$word" in
    --peers) find_peers ;;
    lora | ops | tokenizer | data) parts="$parts $word" ;;
    cpu) parts="$parts ops lora" ;;
    *) echo "bench: $word is no part: lora, ops, tokenizer, data, cpu, --peers" >&2; exit 2 ;;
    esac
done
for part in ${parts:-ops lora tokenizer data}; do "bench_$part"; done
