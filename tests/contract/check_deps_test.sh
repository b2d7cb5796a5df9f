#!/bin/sh
# check_deps_test.sh - tools/check_deps.sh sees what it should, and nothing else.
#
# usage: check_deps_test.sh SOURCE_DIR. Every case is a tree of one or two files and a word of the
# message ("" for none).
set -eu
source=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

# expect WORD FILE LINE: a tree with LINE in FILE; WORD is in what the check says.
expect() {
    rm -rf "$tmp/tree"
    mkdir -p "$tmp/tree/tools" "$tmp/tree/core/base" "$tmp/tree/plugins" "$tmp/tree/sdk" "$tmp/tree/tests" \
        "$tmp/tree/$(dirname "$2")"
    cp "$source/tools/check_deps.sh" "$tmp/tree/tools/"
    echo '/* base.h - SPDX-License-Identifier: Apache-2.0 */' >"$tmp/tree/core/base/base.h"
    printf '/* SPDX-License-Identifier: Apache-2.0 */\n%s\n' "$3" >"$tmp/tree/$2"
    if said=$("$tmp/tree/tools/check_deps.sh" "$tmp/nowhere" 2>&1); then
        [ -z "$1" ] || { echo "not seen in $2: $3"; failed=1; }
    else
        case $said in
        *"${1:-nothing}"*) ;;
        *) echo "$2: $3: says '$said'"; failed=1 ;;
        esac
    fi
}

expect "" core/model/a.c '#include "core/base/base.h"'
expect "" core/model/a.c '#include "core/model/private.h"'
expect "" core/model/a.c '#include "hone/device.h"'
expect "only the door" core/model/a.c '#include "core/base/options.h"'
expect "not a lower room" core/base/a.c '#include "core/model/model.h"'
expect "not a lower room" core/train/a.c '#include "core/prepare/prepare.h"'
expect "not a lower room" core/exam/a.c '#include "core/app/app.h"'
expect "no such room" core/base/a.c '#include "core/nowhere/nowhere.h"'
expect "no such room" core/nowhere/a.c 'int x;'
expect "write core/<room>" core/base/a.c '#include "base.h"'
expect "may not include" core/base/a.c '#include "tests/test.h"'
expect "opens shared objects" core/model/a.c '#include <dlfcn.h>'
expect "" core/plugin/loader.c '#include <ltdl.h>'
expect "" plugins/x/a.c '#include "hone/recipe.h"'
expect "its own folder only" plugins/x/a.c '#include "core/base/base.h"'
expect "its own folder only" plugins/x/a.c '#include "absent.h"'
expect "may not include" plugins/x/a.c '#include "../y/b.h"'
expect "quoted includes only" plugins/x/a.c '#include <core/base/base.h>'
expect "the SDK may not include" sdk/include/hone/a.h '#include "core/base/base.h"'
expect "prints" core/base/a.c '    printf("x");'
expect "prints" plugins/x/a.c '    fprintf(stderr, "x");'
expect "" core/base/log.c '    fprintf(stderr, "x");'
expect "" core/app/a.c '    printf("x"); exit(1);'
expect "" core/base/a.c '    snprintf(b, n, "x"); text_printf(t, "printf(1)"); /* printf(2) */ // exit(1)'
expect "ends the process" core/base/a.c '    exit(1);'
expect "ends the process" core/base/a.c '    if (x) abort();'
expect "" core/base/a.c '    _exit(1); writer_abort(w); w->abort(w);'
expect "cleanup label" core/base/a.c '    goto done;'
expect "cleanup label" core/base/a.c 'fail:'
expect "" core/base/a.c '    goto out;'
expect "" core/base/a.c 'out:'
expect "" tests/a.c '#include "core/base/options.h"
int f(void) { printf("x"); goto x; }'
mkdir -p "$tmp/tree"
expect "" core/base/a.c '/* several
 * lines with printf("x") and
 * goto done; */'
rm "$tmp/tree/core/base/a.c"
echo 'int x;' >"$tmp/tree/core/base/b.c"
if "$tmp/tree/tools/check_deps.sh" "$tmp/nowhere" >/dev/null; then
    echo "a file without licence is not seen"
    failed=1
fi
exit $failed
