#!/bin/sh
# interrupts.sh - Ctrl-C at any moment of a run: every time the step is finished, the state saved,
# exit code 130. Signals that arrive while a library's product runs are what goes wrong.
. "$HONE_SOURCE_DIR/tests/cli/lib.sh"
make_corpus
make_model
rounds=${HONE_ROUNDS:-40}
wide='{ "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 512, "intermediate_size": 1024,
  "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 320,
  "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
  "tie_word_embeddings": true, "initializer_range": 0.02, "bos_token_id": 0, "eos_token_id": 0 }'
echo "$wide" >base/config.json
bad=0
i=0
while [ $i -lt "$rounds" ]; do
    rm -rf held
    "$hone" train --model base --data.path text/samples.jsonl --train.method full --train.fresh true --train.out held \
        --train.seq_len 64 --train.batch 4 --train.accumulate 1 --train.steps 100000 --train.save_every 100000 >out 2>err &
    pid=$!
    n=0
    while [ $n -lt 400 ] && ! grep -q '^step ' err; do sleep 0.02; n=$((n + 1)); done
    sleep "0.$((i * 37 % 100 / 10))$((i * 37 % 10))"
    kill -INT $pid
    wait $pid
    code=$?
    [ $code = 130 ] || { bad=$((bad + 1)); echo "round $i: exit $code: $(tail -n 1 err)"; }
    i=$((i + 1))
done
[ $bad = 0 ] && echo "ok   $rounds interrupts" || fail "$bad of $rounds interrupts"
finish
