#!/bin/sh
# journey.sh - the whole path with the real program: documents, samples, a tuned model, answers, exam.
. "$HONE_SOURCE_DIR/tests/cli/lib.sh"
make_corpus
make_model

cat >hone.json <<'JSON'
{ "model": "fresh/model", "backend": "cpu/fp32",
  "prepare": { "sources": ["docs"], "recipes": ["headings"], "out": "data" },
  "adapter": { "rank": 16, "alpha": 32, "targets": ["all-linear"] },
  "train": { "out": "run", "seq_len": 64, "batch": 2, "accumulate": 1, "steps": 150, "lr": 1e-2, "log_every": 50 },
  "generate": { "max_tokens": 24 },
  "exam": { "file": "exam.jsonl" } }
JSON
ok "prepare" "$hone" prepare
has "prepare names what it wrote" out "data/samples.jsonl"
has "and counts tokens" out "tokens, "
ok "a second preparation" "$hone" prepare
grep -q '"documents_read": 0' data/report.json && echo "ok   reads nothing" || fail "a second preparation reads: $(grep documents_read data/report.json)"
ok "preview" "$hone" preview --n 2 --file docs/colours.md
has "shows what is masked" out "]]"
ok "preview as a page" "$hone" preview --html page.html --n 100
has "which is whole" page.html "</html>"
grep -q "<script" page.html && fail "the page has a script"
has "samples know their source" data/samples.jsonl "colours.md"
examples=$HONE_SOURCE_DIR/examples/recipes
ok "programs as recipes" "$hone" prepare --prepare.out programs \
    --prepare.recipes "exec:$examples/first_lines.py,exec:$examples/long_paragraphs.sh"
has "the one in Python gives samples" programs/samples.jsonl '"recipe":"exec:first_lines.py"'
ok "a folder that holds its own results" "$hone" prepare --prepare.sources . --prepare.out data2
has "does not read them" data2/report/left_out.jsonl '/data2","why":"own output"'
ok "train" "$hone" train
has "train prints the result" out "loss"
has "train holds its memory against the plan" out "(planned "
ok "plan" "$hone" plan
has "plan names the optimizer's states" out "optimizer states"
has "plan says whether it fits" out ": fits"
ok "plan as JSON" "$hone" plan --json
python3 -c 'import json; p = json.load(open("out")); assert p["fits"] and p["data"]["steps"] > 0' || fail "plan as JSON"
ok "plan for another machine" "$hone" plan --model llama-2-7b --device a100-80gb --train.batch 1 --train.seq_len 2048
has "plan for another machine has a floor" out "floor at the device's peak"
ok "advice" "$hone" plan --advise
cp out advised.json
has "advice says why" err "(section 6)"
has "advice for text" advised.json '"rank": 1'
ok "advised config trains" "$hone" train advised.json --data.path data/samples.jsonl --train.out advised --train.steps 2
ok "advice for code on another machine" "$hone" plan --advise --kind code --model code-llama-7b --device rtx4090 --prepare.sources docs
has "advice for code" out '"rank": 16'
# what this build takes for one row, and a little: a sanitizer's own memory counts as well
enough=$("$hone" plan --json --train.batch 1 --train.seq_len 512 2>/dev/null | python3 -c '
import json, sys
print(json.load(sys.stdin)["host_bytes"]["resident"] // 1000000 + 12)')
refused "what does not fit is not begun" 4 "what would fit: --train.batch" "$hone" train --train.out big \
    --train.batch 64 --train.seq_len 512 --plan.memory "${enough}MB"
[ ! -e big ] || fail "what does not fit left a folder"
[ -s run/metrics.jsonl ] && echo "ok   metrics.jsonl" || fail "no metrics.jsonl"
[ -s run/adapter/adapter_model.safetensors ] && echo "ok   adapter" || fail "no adapter"
question=$(python3 -c 'import json
for l in open("data/samples.jsonl"):
    s = json.loads(l)["segments"]
    if "sky" in s[0]["text"]: print(s[0]["text"])' 2>/dev/null)
ok "ask" "$hone" ask "$question"
has "it learned" out "blue"
ok "ask as JSON" "$hone" ask --json "$question"
has "ask as JSON" out '"answer"'
"$hone" ask --use.base true "$question" >base.out 2>/dev/null
cmp -s out base.out && fail "the base model answers the same"
printf '%s\n/quit\n' "$question" | "$hone" chat >out 2>err && has "chat" out "blue"
printf '{"question": %s, "answer": "The colour of sky is blue.", "kind": "recall"}\n{"question": "How is the sky coloured?", "answer": "The colour of sky is blue.", "kind": "reworded"}\n' \
    "$(python3 -c 'import json,sys; print(json.dumps(sys.argv[1]))' "$question")" >exam.jsonl
ok "exam" "$hone" exam
has "exam's last line" out "exam: recall f1"
ok "exam on two backends" "$hone" exam --backend cpu/fp32,cpu:0/fp32
has "exam on two backends, a column each" out "cpu/fp32 cpu:0/fp32"
has "exam on two backends, what it took" out "tokens/s"
"$hone" exam --backend cpu/fp32,cpu/none >out 2>err && fail "exam takes a backend that is not there"
has "a backend that is not there is found before anything runs" err "cpu/none"
[ -s out ] && fail "exam printed something before it found the wrong backend"
ok "convert" "$hone" convert --backend cpu/nf4 quarter
ok "the model itself in nf4" "$hone" ask --use.base true --backend cpu/nf4 "$question"
cp out base.out
ok "the converted one" "$hone" ask --use.base true --backend cpu/nf4 --model quarter "$question"
cmp -s out base.out || fail "a converted model answers otherwise"
refused "a converted model in another format" 2 "use nf4 in the backend" "$hone" ask --use.base true --model quarter "$question"
refused "convert over a model" 7 "not empty" "$hone" convert --backend cpu/nf4 quarter
ok "score text" "$hone" score --text "The colour of sky is blue."
has "score" out '"perplexity"'
ok "score a pair" "$hone" score --prompt "$question" --answer "The colour of sky is blue."
has "score lists log-probabilities" out '"logprobs"'
ok "tokenize" "$hone" tokenize --text "Press the button <|im_end|>"
cp out ids
ok "detokenize" "$hone" detokenize ids
has "round trip" out "Press the button <|im_end|>"
ok "tokenize without special tokens" "$hone" tokenize --special false --text "<|im_end|>"
has "specials are plain text then" out ","
mkdir -p short
cp fresh/model/*.json short/
sed 's/"truncation": *null/"truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}/' \
    fresh/model/tokenizer.json >short/tokenizer.json
ok "tokenize without the file's truncation" "$hone" tokenize --model short --text "Press the button <|im_end|>"
cmp -s out ids || fail "a text was cut"
has "it is said" err "its truncation is not applied"
ok "start from an adapter" "$hone" train --adapter.init run/adapter --train.out run2 --train.steps 2
ok "doctor" "$hone" doctor
has "doctor" out "everything is here"
ok "plugin list" "$hone" plugin list
has "plugin list" out "hone.device/1"
ok "plugin list as JSON" "$hone" plugin list --json
has "signer" out '"signer"'
ok "plugin info" "$hone" plugin info adamw
has "options of a plugin" out "beta1"
ok "plugin info as JSON" "$hone" plugin info adamw --json
has "availability" out '"available": true'

# A template that prints the day: a run goes on with the day on which it began.
printf '{"user": {"before": "{date}: ", "after": "\\n"}, "assistant": {"before": "", "end": "{eos}"}}\n' >dated.json
dated="--template dated.json --train.out dated --train.steps 2 --train.save_every 1"
ok "a template with the day" "$hone" train $dated
has "the run knows its day" dated/run.json "\"date\": \"$(LC_ALL=C date '+%d %b %Y')\""
rm -rf dated
ok "a day that is given" "$hone" train $dated --data.date "01 Jan 2020"
ok "going on on another day" "$hone" train $dated
has "it says so" err "it stays 01 Jan 2020"
has "the day stays" dated/run.json '"date": "01 Jan 2020"'
refused "another day is another run" 7 "data.date was \"01 Jan 2020\"" "$hone" train $dated --data.date "02 Jan 2020"

# Every optimizer trains; paged state needs little memory and leaves no file.
for o in adam adamw8bit paged-adamw paged-adam; do
    ok "train with $o" "$hone" train --optimizer.name $o --train.out "run-$o" --train.steps 3
done
ok "full training in a little memory" "$hone" train --train.method full --optimizer.name paged-adamw --train.out full-paged \
    --train.steps 3 --train.paged_memory 0.25
ok "full training in memory" "$hone" train --train.method full --train.out full --train.steps 3
cmp -s full/model/model.safetensors full-paged/model/model.safetensors && echo "ok   paged to the same bytes" || fail "paged state gives other bytes"
ls full-paged | grep -q tmp && fail "a file of paged state is left: $(ls full-paged)"
refused "another optimizer at resume" 7 'optimizer.name was "adamw" when this run began and is "adam" now' "$hone" train \
    --train.method full --train.out full --train.steps 3 --optimizer.name adam
refused "paged memory without paging" 2 "does not page its state" "$hone" train --train.paged_memory 8 --train.out none --train.steps 1

# The same config gives the same bytes, and an interrupted run ends in them too.
ok "train again" "$hone" train --train.out again
cmp -s run/adapter/adapter_model.safetensors again/adapter/adapter_model.safetensors && echo "ok   same bytes" || fail "two equal runs differ"
"$hone" train --train.out cut --train.save_every 40 >out 2>err &
pid=$!
i=0
while [ $i -lt 200 ] && ! ls cut/checkpoint-* >/dev/null 2>&1; do sleep 0.05; i=$((i + 1)); done
kill -INT $pid
wait $pid
code=$?
if [ $code = 130 ]; then
    echo "ok   SIGINT exits with 130"
    ok "resume" "$hone" train --train.out cut --train.save_every 40
    cmp -s run/adapter/adapter_model.safetensors cut/adapter/adapter_model.safetensors && echo "ok   resumed to the same bytes" || fail "resume differs"
elif [ $code != 0 ]; then fail "SIGINT: exit $code"; fi
finish
