#!/bin/sh
# build.sh - the grammars of tree-sitter as shared objects, from their published source packages.
#
# usage: tools/grammars/build.sh FOLDER. Leaves FOLDER/libtree-sitter-<language>.so. The versions
# and hashes are in requirements.txt beside this file; pip fetches and checks them, nothing of
# Python is installed. Does nothing when FOLDER is up to date. Fails with one line when a package
# cannot be fetched or compiled: hone then reads source code as plain text.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
stamp=$(cat "$here/requirements.txt" "$here/scanner.h" "$0" | sha256sum)
[ "$(cat "$out/stamp" 2>/dev/null)" != "$stamp" ] || exit 0

fail() { echo "dev: no grammars, source code will be read as plain text: $*" >&2; exit 1; }

# Debian's own Python: pip needs its setuptools, and fetches no others.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=/usr/bin/python3
[ -x "$python" ] || python=python3
"$python" -m pip --disable-pip-version-check download -q --retries 1 --timeout 20 --no-deps --no-binary :all: \
    --no-build-isolation --require-hashes -r "$here/requirements.txt" -d "$work" >"$work/log" 2>&1 ||
    fail "$(grep -i -m1 error "$work/log" || tail -1 "$work/log")"
for package in "$work"/*.tar.gz; do tar -xzf "$package" -C "$work"; done

# What the grammars include as tree_sitter/*.h comes from tree-sitter's own package.
mkdir "$work/include"
ln -s "$work"/tree-sitter-*/tree_sitter/core/lib/src "$work/include/tree_sitter"
typescript=$(echo "$work"/tree_sitter_typescript-*/)
mkdir -p "$typescript/common"
cp "$here/scanner.h" "$typescript/common/"
cp "$work"/tree_sitter_javascript-*/src/scanner.c "$typescript/common/javascript_scanner.c"

# compile NAME FOLDER: the parser and, where it has one, the scanner.
compile() {
    scanner="$2/src/scanner.c"
    [ -f "$scanner" ] || scanner=""
    # shellcheck disable=SC2086
    ${CC:-cc} -std=gnu11 -O2 -g0 -w -fPIC -shared -fvisibility=default -I "$2/src" -I "$work/include" \
        -Dts_malloc=malloc -Dts_calloc=calloc -Dts_realloc=realloc -Dts_free=free \
        "$2/src/parser.c" $scanner -o "$out/.$1.so" && mv "$out/.$1.so" "$out/libtree-sitter-$1.so"
}
echo "dev: compiling the grammars"
{
    for name in c cpp go java javascript python rust; do
        compile $name "$(echo "$work"/tree_sitter_$name-*/)" || touch "$work/failed"
    done
} &
for name in typescript tsx; do compile $name "$typescript/$name" || touch "$work/failed"; done
compile c-sharp "$(echo "$work"/tree_sitter_c_sharp-*/)" || touch "$work/failed"
wait
[ ! -e "$work/failed" ] || fail "a grammar does not compile; see above"
echo "$stamp" >"$out/stamp"
