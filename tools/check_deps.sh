#!/bin/sh
# check_deps.sh - the rules of docs/architecture.md that a compiler does not know.
#
# usage: tools/check_deps.sh [BUILD_DIR]. Sources are read as they are; the plugins of the build
# folder (default: build) are looked at when they are there. Prints every fault, then fails.
#
#   includes  a room sees lower rooms through core/<room>/<room>.h, and itself; a plugin sees
#             hone/ and the headers beside it; nothing sees tests/; libltdl stays in one file
#   calls     nobody but core/app and core/base/log.c prints, nobody but core/app ends the process
#   labels    one cleanup label: out
#   licence   every source names it
#   symbols   a plugin exports hone_plugin_entry alone
set -eu
build=$(realpath "${1:-$(dirname "$0")/../build}" 2>/dev/null || true)
cd "$(dirname "$0")/.."
status=0

# shellcheck disable=SC2016
find sdk core plugins tests -name '*.[ch]' -type f | sort | xargs awk '
function fault(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; failed = 1 }

# Does the file beside this one exist?
function beside(name,    path, line, there) {
    path = FILENAME
    sub(/[^\/]*$/, name, path)
    there = (getline line < path) >= 0
    close(path)
    return there
}

function check_include(inc,    p) {
    split(inc, p, "/")
    if (p[1] == "tests" || inc ~ /\.\./)
        fault("may not include \"" inc "\"")
    else if (top == "core" && p[1] == "core") {
        if (!(p[2] in level))
            fault("\"" inc "\": no such room (add it to tools/check_deps.sh and docs/architecture.md)")
        else if (p[2] != room && level[p[2]] >= level[room])
            fault(room " may not include \"" inc "\": not a lower room")
        else if (p[2] != room && p[3] != p[2] ".h")
            fault(room " may not include \"" inc "\": only the door core/" p[2] "/" p[2] ".h")
    } else if (top == "core" && p[1] != "hone")
        fault("core may not include \"" inc "\": write core/<room>/<file>")
    else if (top == "plugins" && p[1] != "hone" && !beside(inc))
        fault("a plugin may not include \"" inc "\": hone/ and its own folder only")
    else if (top == "sdk" && p[1] != "hone" && !beside(inc))
        fault("the SDK may not include \"" inc "\"")
}

BEGIN {
    n = split("base:1 plugin:2 data:3 model:4 generate:5 prepare:5 train:5 exam:6 rag:6 serve:6 app:7", rows, " ")
    for (i = 1; i <= n; i++) {
        split(rows[i], row, ":")
        level[row[1]] = row[2]
    }
    before = "(^|[^A-Za-z0-9_>.])"
    prints = before "(printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror|psignal)[ ]*[(]"
    ends = before "(exit|abort|quick_exit|err|errx)[ ]*[(]"
}

FNR == 1 {
    if (FILENAME != last && last != "" && !licence)
        { printf "%s: no SPDX-License-Identifier: Apache-2.0\n", last; failed = 1 }
    last = FILENAME
    licence = comment = 0
    split(FILENAME, d, "/")
    top = d[1]
    room = d[2]
    if (top == "core" && !(room in level))
        fault("no such room: " room)
}

/SPDX-License-Identifier: Apache-2.0/ { licence = 1 }

/^[ ]*#[ ]*include[ ]*"/ { split($0, q, "\""); if (top != "tests") check_include(q[2]); next }

/^[ ]*#[ ]*include[ ]*</ {
    if (top == "core" && FILENAME != "core/plugin/loader.c" && /<(ltdl|dlfcn)\.h>/)
        fault("only core/plugin/loader.c opens shared objects")
    if (top != "tests" && /<(core|plugins|tests)\//)
        fault("quoted includes only: " $0)
    if (top == "core" && /<hone\//)
        fault("quoted includes only: " $0)
    next
}

top != "tests" {
    # code without comments and strings
    line = $0
    gsub(/\\["\\]/, "", line)
    gsub(/"[^"]*"/, "\"\"", line)
    gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line)
    sub(/\/\/.*/, "", line)
    if (comment) {
        if (line !~ /\*\//)
            next
        sub(/^.*\*\//, "", line)
        comment = 0
    }
    if (line ~ /\/\*/) {
        sub(/\/\*.*/, "", line)
        comment = 1
    }
    if (FILENAME != "core/base/log.c" && !(top == "core" && room == "app")) {
        if (line ~ prints)
            fault("prints; core/base/log.c and core/app do, a plugin has host->log")
        if (line ~ ends)
            fault("ends the process; only core/app may")
    }
    if (line ~ /(^|[^A-Za-z0-9_])goto[ ]+/ && line !~ /goto[ ]+out;/)
        fault("the one cleanup label is out")
    if (line ~ /^[ ]*[a-z_][a-z0-9_]*:[ ]*$/ && line !~ /^[ ]*(out|default):/)
        fault("the one cleanup label is out")
}

END {
    if (!licence)
        { printf "%s: no SPDX-License-Identifier: Apache-2.0\n", FILENAME; failed = 1 }
    exit failed
}' || status=1

if [ -n "$build" ] && [ -d "$build/plugins" ]; then
    for so in "$build"/plugins/*.so; do
        [ -e "$so" ] || continue
        symbols=$(nm -D --defined-only "$so" | awk '{ printf "%s%s", (NR > 1 ? " " : ""), $NF }')
        [ "$symbols" = hone_plugin_entry ] || {
            echo "$so: exports '$symbols', expected hone_plugin_entry alone"
            status=1
        }
    done
fi
exit $status
