# lib.sh - what the command line tests share: a scratch folder, a tiny model made by hone itself, checks.
# Sourced with HONE_BUILD_DIR and HONE_SOURCE_DIR set by meson.
set -u
hone=$HONE_BUILD_DIR/core/app/hone
[ -x "$HONE_BUILD_DIR/hone" ] && hone=$HONE_BUILD_DIR/hone
export HONE_PLUGIN_PATH="$HONE_BUILD_DIR/plugins"
scratch=$(mktemp -d /tmp/hone-cli-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
export XDG_CACHE_HOME="$scratch/cache" # rates are measured here once
failures=0

# check NAME: the last command must have succeeded.
fail() {
    echo "FAIL $*"
    failures=$((failures + 1))
}

# ok NAME COMMAND...: exits 0; output in ./out, errors in ./err
ok() {
    name=$1
    shift
    if "$@" >out 2>err; then echo "ok   $name"; else
        fail "$name: exit $?: $*"
        tail -n 5 out err
    fi
}

# refused NAME CODE TEXT COMMAND...: exits with CODE, one line on stderr holds TEXT
refused() {
    name=$1 want=$2 text=$3
    shift 3
    "$@" >out 2>err
    got=$?
    if [ "$got" != "$want" ]; then
        fail "$name: exit $got, want $want: $*"
        tail -n 3 err
    elif ! grep -qF -- "$text" err; then
        fail "$name: no '$text' in: $(tail -n 2 err)"
    else echo "ok   $name"; fi
}

# has NAME FILE TEXT
has() {
    if grep -qF -- "$3" "$2"; then echo "ok   $1"; else fail "$1: no '$3' in $2: $(head -c 300 "$2")"; fi
}

# A corpus of two Markdown files, a vocabulary of 400 entries and a model of two layers.
make_corpus() {
    mkdir -p docs
    i=0
    : >docs/colours.md
    echo "# Colours" >>docs/colours.md
    for pair in "sky blue" "grass green" "blood red" "coal black" "snow white" "gold yellow"; do
        set -- $pair
        printf '\n## What colour is %s?\n\nThe colour of %s is %s.\n' "$1" "$1" "$2" >>docs/colours.md
    done
    printf '# Manual\n\nPress the button to start the engine. Press it again to stop the engine.\n\n## Safety\n\nNever open the cover while the engine runs.\n' >docs/manual.md
}

make_model() {
    mkdir -p base
    "$hone" prepare --prepare.sources docs --prepare.recipes raw --recipe.raw.characters 400 --prepare.out text >/dev/null || fail "prepare for the vocabulary"
    "$hone" vocabulary base text/samples.jsonl --size 320 >/dev/null || fail vocabulary
    cp "$HONE_SOURCE_DIR/tools/hone-tiny/tokenizer_config.json" base/
    cat >base/config.json <<JSON
{ "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 160,
  "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 320,
  "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
  "tie_word_embeddings": true, "initializer_range": 0.02, "bos_token_id": 0, "eos_token_id": 0 }
JSON
    "$hone" train --model base --data.path text/samples.jsonl --train.method full --train.fresh true --train.out fresh \
        --train.seq_len 64 --train.batch 2 --train.accumulate 1 --train.steps 5 --train.lr 3e-3 --train.save_dtype fp32 >/dev/null 2>err || {
        fail "pretraining"
        cat err
    }
    cp base/tokenizer*.json fresh/model/ 2>/dev/null
}

finish() {
    [ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
    exit 0
}
