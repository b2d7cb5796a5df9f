#!/bin/sh
# mistakes.sh - what people do wrong, and what hone says: exit code and message.
. "$HONE_SOURCE_DIR/tests/cli/lib.sh"
make_corpus
make_model
m="--model fresh/model"
short="--train.seq_len 64 --train.batch 2 --train.accumulate 1 --train.steps 3"

refused "unknown command" 2 "did you mean 'train'" "$hone" trian
refused "unknown setting" 2 "did you mean" "$hone" train --train.lrr 1
refused "out of range" 2 "train.lr" "$hone" train --train.lr nine
refused "no model" 2 "no model" "$hone" ask hello
refused "missing folder" 2 "nowhere is no folder" "$hone" ask --model nowhere hello
refused "flag without value" 2 "needs a value" "$hone" train --train.lr
echo '{ "train": { "lr": 1e-3, } }' >bad.json
refused "bad JSON names the place" 3 "bad.json" "$hone" train bad.json
echo '{ "trian": {} }' >typo.json
refused "unknown section" 2 "did you mean 'train'" "$hone" train typo.json
: >empty.jsonl
refused "empty dataset" 3 "empty.jsonl" "$hone" train $m $short --data.path empty.jsonl --train.out r1
printf '{"prompt": "a", "completion": ""}\n' >masked.jsonl
"$hone" train $m $short --data.path masked.jsonl --train.out r2 >out 2>err && fail "a dataset without supervised tokens trains"
printf '{"prompt": "a", "completion": "b"}\n{"instruction": 3}\n' >mixed.jsonl
refused "mixed rows name the line" 3 "mixed.jsonl:2" "$hone" train $m $short --data.path mixed.jsonl --train.out r3
printf '{"prompt": "a", "completion": "%s"}\n' "$(yes word | head -n 400 | tr '\n' ' ')" >long.jsonl
refused "an over-long pair stops" 3 "seq_len" "$hone" train $m $short --data.path long.jsonl --train.out r4
cp -r fresh/model cut
size=$(wc -c <cut/model.safetensors)
head -c $((size / 2)) fresh/model/model.safetensors >cut/model.safetensors
refused "truncated safetensors" 3 "model.safetensors" "$hone" ask --model cut hello
cp -r fresh/model nan
printf '\377\377\377\377' | dd of=nan/model.safetensors bs=1 seek=$((size - 4)) conv=notrunc 2>/dev/null
refused "weights that are no numbers" 6 "not finite" "$hone" score --model nan --text "hello there"
refused "nothing learned" 2 "train.lr is 0" "$hone" train $m $short --data.path text/samples.jsonl --train.lr 0 --train.out r7
refused "a token alone has no score" 3 "one token is too short" "$hone" score $m --text a
printf 'so \377 it \342\202 is' >bytes.txt
ok "bytes that are no UTF-8 have tokens" "$hone" tokenize $m bytes.txt
has "with a warning" err "3 bytes are no UTF-8"
tr -d '\n ' <out >tokens
ok "and the same ones a score" "$hone" score $m bytes.txt
has "with the same warning" err "3 bytes are no UTF-8"
tr -d '\n ' <out | grep -qF "\"input_ids\":$(cat tokens)" || fail "score sees $(cat out), tokenize $(cat tokens)"
cp -r fresh/model shape
sed -i 's/"intermediate_size": [0-9]*/"intermediate_size": 96/' shape/config.json
refused "config and weights disagree" 3 "mlp" "$hone" ask --model shape hello
cp -r fresh/model other
sed -i 's/"model_type": "[a-z]*"/"model_type": "mamba"/; s/LlamaForCausalLM/MambaForCausalLM/' other/config.json
refused "another architecture" 2 "mamba" "$hone" ask --model other hello
refused "unknown format" 2 "cpu/fp31" "$hone" ask $m --backend cpu/fp31 hello
refused "unknown optimizer" 2 "adamw" "$hone" train $m $short --data.path text/samples.jsonl --optimizer.name adamww --train.out r5
refused "unknown option of a plugin" 2 "beta1" "$hone" train $m $short --data.path text/samples.jsonl --optimizer.beta7 0.5 --train.out r6
refused "unknown template" 2 "chatml" "$hone" ask $m --template chatlm hello
cp -r fresh/model strange
sed -i 's/"chat_template": ".*"/"chat_template": "{{ messages[0].content | upper }}"/' strange/tokenizer_config.json
refused "an unrecognised template is refused" 2 "template" "$hone" ask --model strange hello
mkdir plugins && echo "not a plugin" >plugins/broken.so
ok "a bad file is listed, not fatal" "$hone" plugin list --plugin-dir plugins
has "and named" out "broken.so"
refused "a plugin that cannot be used is named where it is missed" 2 "broken.so: " "$hone" prepare \
    --prepare.sources text --prepare.out gone --prepare.recipes broken --plugin-dir plugins
refused "a list given twice loses nothing" 2 "takes a list: --plugin-dir FIRST,SECOND" "$hone" plugin list --plugin-dir a --plugin-dir=b
printf 'x\0y' >strange.zzz
refused "no sample at all is no success" 2 "no sample came of 1 files" "$hone" prepare --prepare.sources strange.zzz --prepare.out none
mkdir odd && printf '# Fine\n\nWords to learn.\n' >odd/fine.md && mkfifo odd/pipe && ln -s . odd/loop && ln -s nowhere odd/dead.md
refused "what was left out shows in the exit status" 9 "2 of 3 documents were left out" "$hone" prepare --prepare.sources odd \
    --prepare.recipes raw --recipe.raw.characters 400 --prepare.out oddout
has "and is named" oddout/report/failed.jsonl 'odd/dead.md","why":"link"'
has "the rest is there" oddout/samples.jsonl "Words to learn"
printf '{"text": "a\\u0000b"}\n' >nul.jsonl
ok "U+0000 in a text is a character" "$hone" tokenize $m --jsonl nul.jsonl
"$hone" tokenize --help | grep -q '\-\-train\.' && fail "tokenize --help shows what it does not look at"
ok "a dash is as good as an underscore" "$hone" options --json --train.seq-len 77 --train.log_every=3
has "in every section" out '"seq_len": 77'

# Two runs on one folder.
"$hone" train $m --train.seq_len 64 --train.batch 2 --train.accumulate 1 --train.steps 100000 --data.path text/samples.jsonl --train.out held >/dev/null 2>&1 &
pid=$!
i=0
while [ $i -lt 200 ] && [ ! -e held/.lock ]; do sleep 0.05; i=$((i + 1)); done
sleep 0.3
refused "two runs on one folder" 7 "$pid" "$hone" train $m $short --data.path text/samples.jsonl --train.out held
kill -KILL $pid
wait $pid 2>/dev/null

# A disk that is full, by a limit on file sizes.
(ulimit -f 40; trap '' XFSZ; "$hone" train $m $short --data.path text/samples.jsonl --train.out full >out 2>err)
code=$?
[ $code = 5 ] && echo "ok   a full disk is exit code 5" || fail "full disk: exit $code: $(cat err)"
ls full | grep -q 'tmp' && fail "temporary files stay after a full disk"

# An adapter of another model's tokenizer.
"$hone" train $m $short --data.path text/samples.jsonl --train.out tuned >/dev/null 2>&1 || fail "train"
sed -i 's/"tokenizer": "[0-9a-f]*"/"tokenizer": "0000"/' tuned/adapter/hone.json
refused "an adapter of another tokenizer" 7 "tokenizer" "$hone" ask $m --use.adapter tuned/adapter hello
finish
