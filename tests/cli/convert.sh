#!/bin/sh
# convert.sh - hone convert on a full disk and under kills: a folder is whole or not there, and what
# was there before stays as it was. HONE_ROUNDS: kills.
. "$HONE_SOURCE_DIR/tests/cli/lib.sh"
make_corpus
make_model
m="--model fresh/model --backend cpu/int8"

ok "convert" "$hone" convert whole $m
ok "and ask it" "$hone" ask hello --model whole --backend cpu/int8 --generate.max_tokens 2
before=$(cat whole/* | cksum)
refused "a folder with something in it stays" 7 "not empty" "$hone" convert whole $m
[ "$(cat whole/* | cksum)" = "$before" ] || fail "the folder was touched"

# A disk that takes 16 KB more of any file.
refused "a full disk" 5 "model.safetensors" sh -c "trap '' XFSZ; ulimit -f 32; exec \"\$0\" \"\$@\"" "$hone" convert full $m
[ "$(echo full*)" = "full*" ] || fail "left on a full disk: $(echo full*)"

rounds=${HONE_ROUNDS:-8}
killed=0
i=0
while [ $i -lt "$rounds" ]; do
    rm -rf cut
    "$hone" convert cut $m >out 2>err &
    pid=$!
    sleep "0.$((i * 5 % 4))$((i * 7 % 10))"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null || killed=$((killed + 1))
    if [ -e cut ]; then
        [ "$(cat cut/* | cksum)" = "$before" ] || fail "round $i: half a model: $(ls cut)"
    fi
    i=$((i + 1))
done
echo "ok   $rounds rounds, $killed killed"
rm -rf cut
mkdir -p "cut.tmp.$pid" && echo half >"cut.tmp.$pid/model.safetensors"
ok "what a kill left is no obstacle" "$hone" convert cut $m
[ "$(echo cut*)" = cut ] || fail "still there: $(echo cut*)"
[ "$(cat cut/* | cksum)" = "$before" ] || fail "another model than before"
finish
