#!/bin/sh
# bench.sh - what `./dev bench [PART]... [FLAG]...` runs; without a part, ops, lora, tokenizer, data.
#
#   lora        LoRA steps at about 10 M and 100 M parameters
#   ops         matrix products and other ops as shares of this machine's own ceilings
#   tokenizer   MB/s of encoding on one core, by tokenizers of three families
#   data        recipes: keywords, chunks by tokens; alone or beside rake-nltk, LangChain
#   readers     PDF and docx files of HONE_BENCH_DOCUMENTS (a folder; else /usr/share/doc), beside pdftotext and
#               docx2txt where Debian's packages are installed
#   cpu         what the cpu device is judged by: products beside oneDNN's, training steps (LoRA and
#               full, every format), generation
#
# --peers also runs PyTorch + PEFT (lora, cpu), Hugging Face tokenizers (tokenizer), rake-nltk and LangChain's
# splitter (data) on the same inputs, alternating with hone, from PyPI in .venv-peers (HONE_PEERS names another).
# cpu runs them unasked; --no-peers leaves them out. --large adds a model of 1 B parameters, 2 GB on disk.
set -eu
cd "$(dirname "$0")/.."
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-2000}" # as hone itself sets it

peers=""
find_peers() {
    venv=${HONE_PEERS:-.venv-peers}
    if ! [ -x "$venv/bin/python" ]; then
        echo "bench: PyTorch and other peers from PyPI into $venv (several GB; --no-peers: without)" >&2
        python3 -m venv "$venv" &&
            "$venv/bin/pip" install -q torch transformers peft numpy tokenizers rake-nltk langchain-text-splitters || {
            rm -rf "$venv"
            echo "bench: they cannot be installed: hone alone is measured" >&2
            return 0
        }
    fi
    peers=$venv/bin/python
}

bench_ops() { build/tests/bench/bench_ops; }

# Training steps whose name has the words in $1.
steps() {
    folder=$(mktemp -d /tmp/hone-bench-model-XXXXXX)
    trap 'rm -rf "$folder"' EXIT
    # shellcheck disable=SC2086
    python3 tools/bench/pairs.py build/tests/bench/bench_step "$folder" ${peers:+--peer "$peers"} $large --only "$1"
}

bench_lora() { steps LoRA; }

bench_cpu() {
    steps ""
    echo "== generation: every matrix of a model times one vector"
    build/tests/bench/bench_decode
    echo "== matrix products"
    build/tests/bench/bench_ops gemm
    build/tests/bench/bench_ops bf16
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

# The reader of source code beside tree-sitter's parser alone; without grammars it is left out.
bench_code() {
    folder=$1
    echo "== source code, one core, processor time: MB/s of the reader, of tree-sitter's parser alone, ratio, units"
    find core plugins -name '*.c' | sort | xargs cat >"$folder/code.c"
    python3 -c "import glob, os; [print(open(f, errors='replace').read()) for f in sorted(glob.glob(os.path.dirname(os.__file__) + '/[a-m]*.py'))]" >"$folder/code.py"
    for language in c:c python:py; do
        grammar=build/plugins/grammars/libtree-sitter-${language%:*}.so
        [ -f "$grammar" ] && [ -x build/tests/bench/bench_code ] || continue
        printf '%-10s' "${language%:*}"
        build/tests/bench/bench_code "$grammar" "tree_sitter_${language%:*}" "$folder/code.${language#*:}" "a.${language#*:}" 5
    done
}

bench_data() {
    folder=$(mktemp -d /tmp/hone-bench-data-XXXXXX)
    trap 'rm -rf "$folder"' EXIT
    python3 -c "import pydoc_data.topics as t; print('\\n'.join(t.topics.values()))" >"$folder/prose"
    tokenizer=tests/golden/tokenizers/llama3
    bench_code "$folder"
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

bench_readers() {
    echo "== readers, one core, processor time"
    files=$(find "${HONE_BENCH_DOCUMENTS:-/usr/share/doc}" -name '*.pdf' -size +100k -o -name '*.docx' | sort | head -n 20)
    [ -n "$files" ] || { echo "bench: no PDF or docx in ${HONE_BENCH_DOCUMENTS:-/usr/share/doc}"; return; }
    echo "$files" | tr '\n' '\0' | xargs -0 tools/bench/time_documents.py
}

parts=""
large=""
ask="" # for peers: yes, no, or as the part has it
for word in "$@"; do
    case "$word" in
    --peers) ask=yes ;;
    --no-peers) ask=no ;;
    --large) large=--large ;;
    lora | ops | tokenizer | data | readers | cpu) parts="$parts $word" ;;
    *) echo "bench: $word is no part: lora, ops, tokenizer, data, readers, cpu, --peers, --no-peers, --large" >&2; exit 2 ;;
    esac
done
case "$ask$parts" in
no*) ;;
yes* | *cpu*) find_peers ;;
esac
for part in ${parts:-ops lora tokenizer data}; do ("bench_$part"); done
