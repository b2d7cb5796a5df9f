#!/bin/sh
# prompts.sh - recipes that ask a service: what is asked is kept, also when the run is interrupted, and nothing
# is asked twice. $1: the scripted service.
scripted=$(realpath "$1")
. "$HONE_SOURCE_DIR/tests/cli/lib.sh"

unset http_proxy HTTP_PROXY
printf 'fast\tQ: Is it fast?\\nA: "is fast"\nslow\tQ: Is it slow?\\nA: "slow"\n' >script
"$scripted" script >port &
service=$!
trap 'kill $service; rm -rf "$scratch"' EXIT
while ! [ -s port ]; do sleep 0.1; done
at="http://127.0.0.1:$(cat port)"
requests() { python3 -c "import urllib.request as u; print(u.build_opener(u.ProxyHandler({})).open('$at').read().split()[0].decode())"; }

mkdir docs
echo "This document is fast." >docs/a.txt
echo "This one is fast as well." >docs/b.txt
echo "And this one is [[slow]]." >docs/c.txt
set -- --prepare.sources docs --prepare.out data --prepare.recipes queries --recipe.queries.characters 200 \
    --prepare.jobs 1
prepare() { "$hone" prepare --generator.endpoint "$at/v1" --generator.model scripted "$@"; }
prepare "$@" --generator.dry_run >out.txt 2>err || :
grep -q "built without libcurl" err && exit 77
asked=$(requests)

"$hone" prepare --generator.endpoint "$at/v1" --generator.model scripted "$@" >out.txt 2>err &
run=$!
sleep 1.5
kill -INT $run
wait $run
got=$?
[ $got = 130 ] || fail "an interrupted run: exit $got"
[ ! -e data/samples.jsonl ] || fail "an interrupted run wrote a dataset"
first=$(requests)
[ "$first" = $((asked + 3)) ] || fail "the interrupted run asked $((first - asked)), want 3"

ok "a dry run" prepare "$@" --generator.dry_run
grep -q " 1  prompts would be asked" out || fail "a dry run: $(cat out)"
[ ! -e data/samples.jsonl ] || fail "a dry run wrote a dataset"
ok "the run goes on" prepare "$@"
second=$(requests)
[ "$second" = $((first + 1)) ] || fail "the second run asked $((second - first)), want the slow one alone"
grep -q ", 1 asked" out || fail "the second run: $(cat out)"
[ "$(wc -l <data/samples.jsonl)" = 3 ] || fail "samples: $(cat data/samples.jsonl)"
grep -q '"prompt":"[0-9a-f]\{16\}"' data/samples.jsonl || fail "no prompt in the samples' provenance"
cp data/samples.jsonl before
ok "nothing is asked twice" prepare "$@" --prepare.cache_mb 0
[ "$(requests)" = "$second" ] || fail "the third run asked again"
grep -q "3 kept from before, 0 asked" out || fail "the third run: $(cat out)"
cmp -s before data/samples.jsonl || fail "the third run's samples are others"

echo "{{text}} {{this}}" >mine
refused "a prompt with a mistake" 2 "{{this}} is unknown" prepare "$@" --recipe.queries.prompt mine
refused "no key" 2 "no variable HONE_NO_KEY" prepare "$@" --generator.key HONE_NO_KEY
refused "no model" 7 "set the model, or generator.endpoint" "$hone" prepare "$@"
finish
