#!/bin/sh
# out_of_tree.sh - a plugin is built against the installed SDK alone, and hone takes it.
#
# usage: out_of_tree.sh BUILD_DIR LIST_PLUGINS. Installs the SDK to a scratch prefix, builds the
# templates there with the cc line of their comments and with their meson.build, checks
# that one symbol is exported, and asks the registry. The environment's CC is used.
set -eu
build=$(realpath "$1")
list=$(realpath "$2") # meson names it from the build folder
cc=${CC:-cc}
for tool in meson pkg-config nm "$cc"; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
umask 022 # what others can write is refused
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

DESTDIR="$tmp" meson install -C "$build" --no-rebuild --quiet --tags devel >/dev/null
pc=$(find "$tmp" -name hone-sdk.pc)
sed -i "s|^prefix=|prefix=$tmp|" "$pc"
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
cp -r "$(dirname "$(pkg-config --variable=mapfile hone-sdk)")/template" "$tmp/mine"
cd "$tmp/mine"

# what a reader of the templates would type
mkdir cc
for source in recipe_lines optimizer_sgd; do
    # shellcheck disable=SC2046
    "$cc" -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -fPIC -shared -fvisibility=hidden \
        $(pkg-config --cflags hone-sdk) \
        -Wl,-z,now,-z,defs,--version-script="$(pkg-config --variable=mapfile hone-sdk)" \
        "$source.c" -o "cc/$source.so"
done
meson setup meson-build . >/dev/null
meson compile -C meson-build >/dev/null

for so in cc/*.so meson-build/*.so; do
    symbols=$(nm -D --defined-only "$so" | awk '{ print $NF }')
    [ "$symbols" = hone_plugin_entry ] || { echo "$so exports: $symbols"; exit 1; }
done

# usable from C++
if command -v c++ >/dev/null; then
    echo '#include <hone/hone.h>' >all.cc
    for std in c++11 c++20; do
        # shellcheck disable=SC2046
        c++ -std=$std -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags hone-sdk) all.cc
    done
fi

mkdir only
cp meson-build/*.so only/
for dir in cc only; do
    "$list" "$PWD/$dir" >out
    for want in \
        'com.example.lines 1.0.0 hone.recipe/1 lines: {"unit":"line","min_bytes":1}' \
        'com.example.sgd 1.0.0 hone.optimizer/1 sgd: {"momentum":0.9'; do
        grep -qF "$want" out || { echo "missing: $want"; cat out; exit 1; }
    done
    if grep "^refused $PWD" out; then exit 1; fi
done

# and they run: samples by the recipe, steps by the optimizer
mine=$PWD/only
(
    set +e
    HONE_BUILD_DIR=$build
    . "$HONE_SOURCE_DIR/tests/cli/lib.sh"
    make_corpus
    make_model
    ok "the recipe runs" "$hone" prepare --plugin_dir "$mine" --model fresh/model --prepare.sources docs \
        --prepare.recipes lines --prepare.out lines
    has "its samples are there" lines/samples.jsonl "Press the button"
    ok "the optimizer runs" "$hone" train --plugin_dir "$mine" --model fresh/model --data.path lines/samples.jsonl \
        --train.out run --train.seq_len 64 --train.batch 2 --train.accumulate 1 --train.steps 4 --train.lr 1e-2 \
        --optimizer.name sgd --optimizer.momentum 0.5
    has "and trains" out "done after 4 steps"
    finish
)
echo "ok"
