#!/bin/sh
# build.sh - train models/hone-tiny from scratch, with hone alone, on Debian's documentation
# packages of SQLite (public domain), PostgreSQL (PostgreSQL licence) and Python (PSF licence).
# Takes about an hour on two cores. Files go to tools/hone-tiny/work; the result is copied to
# models/hone-tiny when everything went well. Stop it and call it again: it goes on.
set -eu
cd "$(dirname "$0")"
hone=../../build/hone
mkdir -p work/packages work/documents work/model

if [ ! -e work/documents/.done ]; then
    (cd work/packages && apt-get download sqlite3-doc postgresql-doc-15 python3.11-doc)
    for p in work/packages/*.deb; do dpkg -x "$p" work/extracted; done
    find work/extracted -name '*.html' -type f | while read -r f; do
        name=$(printf %s "${f#work/extracted/usr/share/doc/}" | tr / _)
        cp "$f" "work/documents/$name"
    done
    touch work/documents/.done
fi
if [ ! -e work/model/tokenizer.json ]; then
    # The vocabulary comes first: chunks for it are cut by characters, for lack of a tokenizer.
    "$hone" prepare text.json
    "$hone" vocabulary work/model work/text/samples.jsonl --size 4096
    cp config.json tokenizer_config.json work/model/
fi
[ -e work/data/samples.jsonl ] || "$hone" prepare hone.json
"$hone" train hone.json
mkdir -p ../../models/hone-tiny
for f in config.json tokenizer.json tokenizer_config.json; do cp "work/model/$f" ../../models/hone-tiny/; done
cp work/run/model/model.safetensors ../../models/hone-tiny/
